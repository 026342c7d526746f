//! One segment's file: found, measured, and read record by record.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    counts::Counts,
    error::SpoolError,
    layout::{RECORD_HEADER, RECORD_MAGIC, RecordHeader, SEGMENT_HEADER},
};

const SUFFIX: &str = ".seg";
/// 2026-01-01, in milliseconds since the epoch.
const FORMAT_MADE_MS: i64 = 1_767_225_600_000;
/// How much is looked through at once for the next record after a damaged one.
const SEARCH_BYTES: usize = 64 << 10;

/// A segment as the spool knows it.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub number: u64,
    pub path: PathBuf,
    /// Bytes that count; what may follow them in the file does not.
    pub len: u64,
    /// The spool's counts at its beginning.
    pub base: Counts,
    /// And at its end.
    pub end: Counts,
    /// When it was opened, and when its newest record came.
    pub opened: Age,
    pub newest: Age,
}

impl Segment {
    /// Deletes its file; somebody else may have been faster.
    pub fn remove(&self) -> Result<(), SpoolError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SpoolError::io("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// How old something is, by a clock that does not step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Age {
    then: Duration,
    seen: Instant,
}

impl Age {
    pub fn new() -> Self {
        Self { then: Duration::ZERO, seen: Instant::now() }
    }

    /// Of a wall clock's time; nothing is older than zero. A time before this format was made is that of a clock that had not been
    /// set yet, as on a host without one of its own: how old it is cannot be known, and what is not known to be old is kept.
    pub fn since_ms(then_ms: i64, now_ms: i64) -> Self {
        let since = if then_ms < FORMAT_MADE_MS { 0 } else { now_ms.saturating_sub(then_ms) };
        let millis = u64::try_from(since).unwrap_or(0);
        Self { then: Duration::from_millis(millis), seen: Instant::now() }
    }

    pub fn get(&self) -> Duration {
        self.then.saturating_add(self.seen.elapsed())
    }
}

pub(crate) fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016x}{SUFFIX}"))
}

/// The number of a file that is named as a segment is.
pub(crate) fn number_of(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    if digits.len() != 16 {
        return None;
    }
    // They are numbered one by one from 1: half of all numbers are never reached, and after the last there would be no next.
    u64::from_str_radix(digits, 16).ok().filter(|number| *number <= u64::MAX / 2)
}

/// What stands at a place.
pub(crate) enum Found {
    /// A record, whole.
    Record { header: RecordHeader, payload: Vec<u8>, next: u64 },
    /// Something damaged, and where the next good header is.
    Skip { next: u64 },
    /// Nothing more.
    End,
}

/// Reads the record at `offset` of a segment that ends at `end`.
pub(crate) fn read(file: &File, offset: u64, end: u64) -> io::Result<Found> {
    let Some(header) = header_at(file, offset, end)? else {
        return Ok(match find(file, offset.saturating_add(1), end)? {
            Some(next) => Found::Skip { next },
            None => Found::End,
        });
    };
    let next = offset + header.len();
    let mut payload = vec![0; usize::try_from(header.payload_len).unwrap_or(0)];
    match file.read_exact_at(&mut payload, offset + RECORD_HEADER as u64) {
        // Shorter than it was: somebody cut it.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Found::Skip { next }),
        other => other?,
    }
    if crc32fast::hash(&payload) != header.payload_crc {
        return Ok(Found::Skip { next });
    }
    Ok(Found::Record { header, payload, next })
}

/// What the headers of a segment's records say.
pub(crate) struct Measured {
    /// Where the last whole record ends.
    pub len: u64,
    /// The time of that record.
    pub newest_ms: Option<i64>,
    /// The greatest counts, kind by kind: those of the last, if the records are in order.
    pub end: Counts,
}

/// Walks the headers from the first record on.
pub(crate) fn measure(file: &File, len: u64) -> io::Result<Measured> {
    let mut offset = SEGMENT_HEADER as u64;
    let mut measured = Measured { len: offset, newest_ms: None, end: Counts::default() };
    loop {
        match header_at(file, offset, len)? {
            Some(header) => {
                offset += header.len();
                let end = measured.end.max(&header.after);
                measured = Measured { len: offset, newest_ms: Some(header.time_ms), end };
            }
            None => match find(file, offset.saturating_add(1), len)? {
                Some(next) => offset = next,
                None => return Ok(measured),
            },
        }
    }
}

/// The first good header of a segment whose own is damaged.
pub(crate) fn first_header(file: &File, len: u64) -> io::Result<Option<(u64, RecordHeader)>> {
    let Some(offset) = find(file, 0, len)? else { return Ok(None) };
    Ok(header_at(file, offset, len)?.map(|header| (offset, header)))
}

/// The header of a record that lies within the segment as a whole.
fn header_at(file: &File, offset: u64, end: u64) -> io::Result<Option<RecordHeader>> {
    if offset.saturating_add(RECORD_HEADER as u64) > end {
        return Ok(None);
    }
    let mut bytes = [0; RECORD_HEADER];
    match file.read_exact_at(&mut bytes, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    Ok(RecordHeader::decode(&bytes).filter(|header| offset.saturating_add(header.len()) <= end))
}

/// The next good header at or after `from`.
fn find(file: &File, mut from: u64, end: u64) -> io::Result<Option<u64>> {
    let mut window = vec![0; SEARCH_BYTES];
    while from.saturating_add(RECORD_HEADER as u64) <= end {
        let want = usize::try_from(end - from).unwrap_or(usize::MAX).min(window.len());
        let got = read_up_to(file, window.get_mut(..want).unwrap_or_default(), from)?;
        let seen = window.get(..got).unwrap_or_default();
        if got < RECORD_MAGIC.len() {
            return Ok(None);
        }
        for (at, four) in seen.windows(RECORD_MAGIC.len()).enumerate() {
            let place = from + at as u64;
            if four == RECORD_MAGIC && header_at(file, place, end)?.is_some() {
                return Ok(Some(place));
            }
        }
        from += (got - (RECORD_MAGIC.len() - 1)) as u64;
    }
    Ok(None)
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = buffer.get_mut(got..)
        && !rest.is_empty()
    {
        match file.read_at(rest, offset + got as u64) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
