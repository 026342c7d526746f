//! Reading: record by record, from a reader's own position.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    account::Settlement,
    counts::Counts,
    error::{SpoolError, is_of_the_disk},
    layout::SEGMENT_HEADER,
    segment::{Found, read},
    spool::{Inner, Shared},
    state::Position,
};

/// One reader. It takes records, and settles all that it has taken at once.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    name: String,
    file: Option<Open>,
    /// The last segment that had records of another spool, or in another order.
    odd: Option<u64>,
    /// Where reading fails, and how often in a row.
    failing: (Position, u32),
}

/// The segment that is read.
#[derive(Debug)]
struct Open {
    number: u64,
    path: PathBuf,
    file: File,
}

/// After so many failures in a row at one place, what follows there is given up: what is behind it must not wait for a disk that does
/// not give it back.
const TRIES: u32 = 3;

/// What was appended at once: whole lines, and the kind of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    payload: Vec<u8>,
    events: usize,
    /// When it was appended, in milliseconds since the epoch.
    pub time_ms: i64,
}

impl Taken {
    /// The kind of each event.
    #[must_use]
    pub fn kinds(&self) -> &[u8] {
        self.payload.get(..self.events).unwrap_or_default()
    }

    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        self.payload.get(self.events..).unwrap_or_default()
    }
}

/// Where the next record is.
enum Place {
    At { position: Position, file_end: u64, open: Option<PathBuf> },
    Nothing,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, name: String) -> Self {
        Self { shared, name, file: None, odd: None, failing: (Position::default(), 0) }
    }

    /// The next record; none when nothing came in this time, or when the spool was stopped and all is read.
    ///
    /// # Errors
    /// When a segment can't be read; the reader stays where it is, until the disk has failed there [`TRIES`] times. Then what is left
    /// of that segment counts as damaged, as does one that is gone.
    pub fn take(&mut self, patience: Duration) -> Result<Option<Taken>, SpoolError> {
        let until = Instant::now() + patience;
        loop {
            let Place::At { position, file_end, open } = self.place(until) else { return Ok(None) };
            if let Some(path) = open {
                match File::open(&path) {
                    Ok(file) => self.file = Some(Open { number: position.segment, path, file }),
                    // Dropped in this moment: the cursor has moved on.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_at(position) => {
                        continue;
                    }
                    Err(error) => {
                        self.fail(position, file_end, error, "open", &path)?;
                        continue;
                    }
                }
            }
            let Some(Open { path, file, .. }) = &self.file else { continue };
            match read(file, position.offset, file_end) {
                Ok(found) => {
                    if let Some(taken) = self.advance(position, file_end, found) {
                        return Ok(Some(taken));
                    }
                }
                Err(error) => {
                    let path = path.clone();
                    self.fail(position, file_end, error, "read", &path)?;
                }
            }
        }
    }

    /// An error when the reader stays; without one, what could not be read was given up.
    fn fail(
        &mut self,
        position: Position,
        file_end: u64,
        error: io::Error,
        what: &'static str,
        path: &Path,
    ) -> Result<(), SpoolError> {
        let tries = match error.kind() {
            io::ErrorKind::NotFound => 1,
            _ if is_of_the_disk(&error) => TRIES,
            _ => u32::MAX,
        };
        // A handle may be what is stale.
        self.file = None;
        let before = if self.failing.0 == position { self.failing.1 } else { 0 };
        // What passes says nothing of the disk.
        self.failing = (position, before + u32::from(tries != u32::MAX));
        let error = SpoolError::io(what, path)(error);
        if self.failing.1 < tries {
            return Err(error);
        }
        self.give_up(position, file_end, &error);
        Ok(())
    }

    /// Notes what became of all that was taken since the last time. Nothing of it comes again.
    pub fn settle(&mut self, settlement: &Settlement) {
        let mut inner = self.shared.lock();
        if let Some(reader) = inner.readers.get_mut(&self.name) {
            let account = &mut reader.stored.account;
            account.delivered = account.delivered.plus(&settlement.delivered);
            account.filtered = account.filtered.plus(&settlement.filtered);
            account.refused = account.refused.plus(&settlement.refused);
            for (reason, counts) in &settlement.dropped {
                account.drop(reason, counts);
            }
            reader.settle();
        }
        inner.dirty = true;
        inner.save_now_and_then(false);
        inner.collect();
    }

    /// Waits, unless the spool is stopped first: then it is `true`.
    #[must_use]
    pub fn rest(&self, time: Duration) -> bool {
        let inner = self.shared.lock();
        let waited = self.shared.end.wait_timeout_while(inner, time, |inner| !inner.stopped);
        waited.unwrap_or_else(std::sync::PoisonError::into_inner).0.stopped
    }

    /// Whether the spool was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.lock().stopped
    }

    fn place(&mut self, until: Instant) -> Place {
        let mut inner = self.shared.lock();
        loop {
            if let Some((position, file_end)) = inner.next_place(&self.name) {
                if self.file.as_ref().is_some_and(|open| open.number == position.segment) {
                    return Place::At { position, file_end, open: None };
                }
                self.file = None;
                let path = inner.segments.iter().find(|one| one.number == position.segment);
                return Place::At { position, file_end, open: path.map(|segment| segment.path.clone()) };
            }
            inner.expire();
            inner.save_now_and_then(true);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || inner.stopped {
                return Place::Nothing;
            }
            let waited = self.shared.more.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Goes on behind this segment; what of it was not read counts as damaged.
    fn give_up(&mut self, position: Position, file_end: u64, error: &SpoolError) {
        log::error!(
            "{error}: what of it was not delivered is lost for {}, and counted as damaged",
            self.name
        );
        let mut inner = self.shared.lock();
        // What is written into it from now on could not be read either.
        if inner.segments.back().is_some_and(|last| last.number == position.segment) {
            inner.seal();
        }
        drop(inner);
        self.file = None;
        self.advance(position, file_end, Found::End);
    }

    fn is_at(&self, position: Position) -> bool {
        self.shared.lock().readers.get(&self.name).is_some_and(|reader| reader.cursor == position)
    }

    fn advance(&mut self, position: Position, file_end: u64, found: Found) -> Option<Taken> {
        let mut inner = self.shared.lock();
        let inner = &mut *inner;
        let segment = inner.segments.iter().find(|one| one.number == position.segment);
        let end = segment.map_or(inner.appended, |segment| segment.end);
        let reader = inner.readers.get_mut(&self.name)?;
        if reader.cursor != position {
            // Its segment was dropped meanwhile, and counted.
            return None;
        }
        match found {
            Found::Skip { next } => {
                reader.cursor.offset = next;
                None
            }
            Found::End => {
                reader.cursor.offset = file_end;
                None
            }
            Found::Record { header, payload, next } => {
                reader.cursor.offset = next;
                let taken = Taken {
                    events: usize::try_from(header.events).unwrap_or(0),
                    payload,
                    time_ms: header.time_ms,
                };
                let counts = Counts::of(taken.kinds());
                let before = header.after.minus(&counts);
                // What is written follows what was there; what does not is no record of this spool, whatever its checksum is.
                let follows = reader.reached.is_within(&before)
                    && before.plus(&counts) == header.after
                    && header.after.is_within(&end);
                if !follows {
                    // Once a segment.
                    if self.odd.replace(position.segment) != Some(position.segment) {
                        log::error!(
                            "spool: segment {:016x} has records whose totals don't follow: they count as damaged",
                            position.segment
                        );
                    }
                    return None;
                }
                reader.arrive(&before);
                reader.reached = header.after;
                reader.taken = reader.cursor;
                reader.in_flight = reader.in_flight.plus(&counts);
                Some(taken)
            }
        }
    }
}

impl Inner {
    /// Where a reader reads on, if there is something: the position, and where that segment ends.
    fn next_place(&mut self, name: &str) -> Option<(Position, u64)> {
        let end = self.end();
        let appended = self.appended;
        loop {
            let reader = self.readers.get_mut(name)?;
            let at = reader.cursor;
            let Some(segment) = self.segments.iter().find(|segment| segment.number >= at.segment) else {
                reader.arrive(&appended);
                return None;
            };
            if segment.number > at.segment {
                reader.cursor = Position { segment: segment.number, offset: SEGMENT_HEADER as u64 };
                continue;
            }
            if at.offset < segment.len {
                return Some((at, segment.len));
            }
            if segment.number == end.segment {
                // All is read: what was not met on the way is gone.
                reader.arrive(&appended);
                if reader.in_flight.is_zero() && reader.stored.reached != reader.reached {
                    reader.taken = reader.cursor;
                    reader.settle();
                    self.dirty = true;
                }
                return None;
            }
            let next = segment.number + 1;
            reader.cursor = Position { segment: next, offset: SEGMENT_HEADER as u64 };
            if reader.in_flight.is_zero() {
                reader.taken = reader.cursor;
            }
        }
    }
}
