//! Opening: what an earlier run has left, whatever became of it.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    time::{Instant, SystemTime},
};

use linnet_fleet::lock::Lock;

use crate::{
    account::{Account, Lost},
    counts::Counts,
    error::{SpoolError, is_of_the_disk},
    layout::{Preface, SEGMENT_HEADER, preface},
    segment::{Age, Measured, Segment, first_header, measure, number_of},
    spool::{Bounds, Inner, Shared, Spool},
    state::{Position, Store, Stored},
    tracked::Tracked,
};

const DIRECTORY_MODE: u32 = 0o700;

impl Spool {
    /// Opens or makes the spool, with exactly these readers.
    ///
    /// A disk that is full is no reason not to open: appending says so, and works again when there is room.
    ///
    /// # Errors
    /// When the directory can't be made, read or written, when another process has it open, or when something in it is of a newer
    /// version: then nothing in it is changed.
    pub fn open(directory: &Path, bounds: Bounds, readers: &[&str]) -> Result<Self, SpoolError> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(directory)
            .map_err(SpoolError::io("make", directory))?;
        let lock = Lock::acquire(&directory.join("lock"))
            .map_err(|source| SpoolError::Locked { directory: directory.to_owned(), source })?;
        // All are looked at before anything is changed.
        let found = look(directory)?;
        let (store, stored) = Store::open(directory)?;
        let now_ms = now_ms();
        let mut cut_bytes = 0;
        let segments = take_over(found, now_ms, &mut cut_bytes)?;
        let end = segments.back().map_or_else(Counts::default, |last| last.end);
        let known = stored.iter().flat_map(BTreeMap::values);
        // A power loss may have taken what a reader had settled: counts never go back.
        let appended = known.clone().fold(end, |most, one| {
            let holes = one.holes.iter().fold(one.reached, |most, hole| most.max(&hole.to));
            most.max(&holes)
        });
        let next_number = known
            .map(|one| one.position.segment)
            .chain(segments.iter().map(|segment| segment.number))
            .max()
            .map_or(1, |last| last.saturating_add(1));
        let oldest = segments.front().map_or(appended, |first| first.base);
        let first = segments.front().map_or(next_number, |first| first.number);
        let positions_are_lost = match &stored {
            None => !segments.is_empty(),
            Some(stored) => stored.is_empty(),
        };
        let mut stored = stored.unwrap_or_default();
        let begin = |name: &&str| {
            let known = stored.remove(*name);
            let (segment, reached) =
                if positions_are_lost { (first, oldest) } else { (next_number, appended) };
            let fresh = || Stored {
                position: Position { segment, offset: SEGMENT_HEADER as u64 },
                reached,
                account: Account { start: reached, ..Account::default() },
                holes: Vec::new(),
            };
            let mut reader = Tracked::new(known.unwrap_or_else(fresh));
            // Only what is dropped is deleted before its position is stored (and, on a full disk without spare room, what is settled);
            // the crash came in between.
            if reader.cursor.segment < first && !oldest.is_within(&reader.reached) {
                reader.lose(reader.reached, oldest.max(&reader.reached), Lost::SpoolFull);
            }
            ((*name).to_owned(), reader)
        };
        let readers = readers.iter().map(begin).collect();
        let now = Instant::now();
        let mut inner = Inner {
            directory: directory.to_owned(),
            store,
            bounds,
            segments,
            active: None,
            unsynced: false,
            appended,
            next_number,
            readers,
            stopped: false,
            cut_bytes,
            dirty: true,
            saved: now,
            unsaved: false,
            synced: now,
            _lock: lock,
        };
        inner.collect();
        if let Err(error) = inner.save(false) {
            log::warn!("spool: positions are not stored: {error}");
        }
        let shared = Shared {
            inner: Mutex::new(inner),
            more: Condvar::new(),
            end: Condvar::new(),
            status: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A segment's file as it was found. There may be more of them than descriptors.
struct Looked {
    number: u64,
    path: PathBuf,
    len: u64,
    preface: Preface,
}

fn preface_of(path: &Path, len: u64) -> io::Result<Preface> {
    let mut bytes = [0; SEGMENT_HEADER];
    let have = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len());
    let part = bytes.get_mut(..have).unwrap_or_default();
    File::open(path)?.read_exact_at(part, 0)?;
    Ok(preface(part))
}

/// None where the disk does not give it back: one file that is gone is no reason to lose what comes from now on.
fn unless_of_the_disk<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>, SpoolError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_of_the_disk(&error) => {
            log::error!("{path:?}: {error}: what can't be read of it is lost");
            Ok(None)
        }
        Err(error) => Err(SpoolError::io("read", path)(error)),
    }
}

fn look(directory: &Path) -> Result<Vec<Looked>, SpoolError> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).map_err(SpoolError::io("list", directory))?;
    for entry in entries {
        let path = entry.map_err(SpoolError::io("list", directory))?.path();
        let Some(number) = number_of(&path) else { continue };
        let len = fs::metadata(&path).map_err(SpoolError::io("stat", &path))?.len();
        let preface = unless_of_the_disk(&path, preface_of(&path, len))?.unwrap_or(Preface::Damaged);
        if let Preface::Version(version) = preface {
            return Err(SpoolError::Version { path, found: version });
        }
        found.push(Looked { number, path, len, preface });
    }
    found.sort_by_key(|one| one.number);
    Ok(found)
}

fn take_over(found: Vec<Looked>, now_ms: i64, cut_bytes: &mut u64) -> Result<VecDeque<Segment>, SpoolError> {
    let mut segments: VecDeque<Segment> = VecDeque::new();
    let last_number = found.last().map(|last| last.number);
    let is_good = |one: &Looked| matches!(one.preface, Preface::Good(_));
    let says_where_the_one_before_ends: Vec<bool> =
        found.iter().skip(1).map(is_good).chain([false]).collect();
    for (looked, end_is_known) in found.into_iter().zip(says_where_the_one_before_ends) {
        let Looked { number, path, len, preface } = looked;
        let (base, opened_ms) = match preface {
            Preface::Good(header) => (Some(header.base), header.opened_ms),
            _ => {
                log::error!("{path:?}: the header is damaged; its records are looked for");
                let first = File::open(&path).and_then(|file| first_header(&file, len));
                let first = unless_of_the_disk(&path, first)?.flatten();
                (None, first.map_or(now_ms, |(_, header)| header.time_ms))
            }
        };
        // The one before ends where this one begins.
        if let (Some(before), Some(base)) = (segments.back_mut(), base) {
            before.end = before.end.max(&base);
        }
        if let Some(before) = segments.back_mut() {
            before.newest = Age::since_ms(opened_ms, now_ms);
        }
        let before = segments.back().map_or_else(Counts::default, |before| before.end);
        let base = base.unwrap_or(before).max(&before);
        let mut segment = Segment {
            number,
            path,
            len,
            base,
            end: base,
            opened: Age::since_ms(opened_ms, now_ms),
            newest: Age::since_ms(opened_ms, now_ms),
        };
        // Only the last can be torn; of the others only a damaged one is walked, and the one before it, for where they end.
        if !end_is_known || !matches!(preface, Preface::Good(_)) {
            let found = File::open(&segment.path).and_then(|file| measure(&file, len));
            // What was in it is known only if it is not the last: then the next one says where it ends.
            let nothing = Measured { len, newest_ms: None, end: Counts::default() };
            let found = unless_of_the_disk(&segment.path, found)?.unwrap_or(nothing);
            segment.end = base.max(&found.end);
            if let Some(newest_ms) = found.newest_ms {
                segment.newest = Age::since_ms(newest_ms, now_ms);
            }
            if Some(number) == last_number && found.len < len {
                *cut_bytes += len - found.len;
                segment.len = found.len;
                cut(&segment.path, found.len, len);
            }
        }
        segments.push_back(segment);
    }
    Ok(segments)
}

fn cut(path: &Path, whole: u64, len: u64) {
    log::warn!("{path:?}: cutting {} bytes of a record that was not written whole", len - whole);
    let cut = OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(whole));
    if let Err(error) = cut {
        // They are not read either way.
        log::warn!("{path:?}: {error}");
    }
}
