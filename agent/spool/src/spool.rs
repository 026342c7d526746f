//! The spool: what all its users share, behind one lock.
//!
//! Nothing that may take long is done under the lock but appending itself: readers read files without it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    fs::File,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError},
    time::{Duration, Instant},
};

use linnet_fleet::lock::Lock;

use crate::{
    account::{Account, Lost},
    counts::Counts,
    error::SpoolError,
    layout::SEGMENT_HEADER,
    reader::Reader,
    segment::{Age, Segment},
    state::{Position, Store},
    tracked::Tracked,
};

/// How often positions are stored while readers advance.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often they are brought to the disk.
const SYNC_EVERY: Duration = Duration::from_secs(30);

/// What the spool may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all segments together.
    pub max_bytes: u64,
    /// Age of the oldest event.
    pub max_age: Duration,
    /// Bytes at which a segment is closed; at most a quarter of `max_bytes` is used.
    pub segment_bytes: u64,
}

/// How full the spool is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Bytes of all segments.
    pub bytes: u64,
    /// Segments.
    pub segments: usize,
    /// Age of the newest event in the oldest segment.
    pub oldest_age: Option<Duration>,
    /// Events ever appended, or lost before they could be.
    pub appended: Counts,
    /// Bytes that were cut off when the spool was opened: a record that was not written whole.
    pub cut_bytes: u64,
}

/// How the spool and its readers are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How full it is.
    pub fill: Fill,
    /// Each reader's account, and what waits for it by kind.
    pub readers: BTreeMap<String, (Account, Counts)>,
}

/// A spool that is open. Cloning gives another handle to it.
#[derive(Clone, Debug)]
pub struct Spool {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub inner: Mutex<Inner>,
    /// Something was appended, or all is over.
    pub more: Condvar,
    /// All is over.
    pub end: Condvar,
    /// As it was when it was asked for last.
    pub status: Mutex<Status>,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub directory: PathBuf,
    pub store: Store,
    pub bounds: Bounds,
    pub segments: VecDeque<Segment>,
    /// The last segment's file, while records are appended to it.
    pub active: Option<Arc<File>>,
    pub unsynced: bool,
    pub appended: Counts,
    pub next_number: u64,
    pub readers: BTreeMap<String, Tracked>,
    pub stopped: bool,
    pub cut_bytes: u64,
    pub dirty: bool,
    pub saved: Instant,
    /// The last time the disk did not take them.
    pub unsaved: bool,
    pub synced: Instant,
    pub _lock: Lock,
}

impl Spool {
    /// A reader by its name, of those that the spool was opened with. Ask for each once.
    #[must_use]
    pub fn reader(&self, name: &str) -> Option<Reader> {
        let known = self.shared.lock().readers.contains_key(name);
        known.then(|| Reader::new(Arc::clone(&self.shared), name.to_owned()))
    }

    /// How it is, or was a moment ago: this never waits for the disk.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut last = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        match self.shared.inner.try_lock() {
            Ok(inner) => *last = inner.status(),
            Err(TryLockError::Poisoned(inner)) => *last = inner.into_inner().status(),
            Err(TryLockError::WouldBlock) => {}
        }
        last.clone()
    }

    /// How it is now.
    #[must_use]
    pub fn status_now(&self) -> Status {
        self.shared.lock().status()
    }

    /// Brings to the disk what was appended.
    ///
    /// # Errors
    /// [`SpoolError`]; what was appended is there all the same, unless the power fails.
    pub fn sync(&self) -> Result<(), SpoolError> {
        let (file, directory) = {
            let mut inner = self.shared.lock();
            if !std::mem::take(&mut inner.unsynced) {
                return Ok(());
            }
            (inner.active.clone(), inner.directory.clone())
        };
        let of_file = file.map_or(Ok(()), |file| file.sync_data());
        let synced = of_file.and_then(|()| File::open(&directory)?.sync_all());
        if synced.is_err() {
            self.shared.lock().unsynced = true;
        }
        synced.map_err(SpoolError::io("sync", &directory))
    }

    /// Wakes all readers and lets them come to an end. Nothing is to be appended any more.
    pub fn stop(&self) {
        self.shared.lock().stopped = true;
        self.shared.more.notify_all();
        self.shared.end.notify_all();
    }

    /// Stores everything, synced; the last thing to do.
    ///
    /// # Errors
    /// [`SpoolError`]: after this, events may come twice.
    pub fn close(&self) -> Result<(), SpoolError> {
        self.stop();
        let synced = self.sync();
        let mut inner = self.shared.lock();
        // What is settled goes first: on a full disk it makes the room that storing the positions takes.
        inner.active = None;
        inner.collect();
        inner.save(true).and(synced)
    }
}

impl Inner {
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    fn status(&self) -> Status {
        let fill = Fill {
            bytes: self.bytes(),
            segments: self.segments.len(),
            oldest_age: self.segments.front().map(|oldest| oldest.newest.get()),
            appended: self.appended,
            cut_bytes: self.cut_bytes,
        };
        let readers = self.readers.iter().map(|(name, reader)| {
            let account = reader.stored.account.clone();
            let waiting = account.waiting(&self.appended);
            (name.clone(), (account, waiting))
        });
        Status { fill, readers: readers.collect() }
    }

    /// The position after the last record.
    pub fn end(&self) -> Position {
        match self.segments.back() {
            Some(last) => Position { segment: last.number, offset: last.len },
            None => Position { segment: self.next_number, offset: SEGMENT_HEADER as u64 },
        }
    }

    /// Closes the last segment, so that it can go.
    pub fn seal(&mut self) {
        if let Some(file) = self.active.take()
            && let Err(error) = file.sync_data()
        {
            log::warn!("spool: sync: {error}");
        }
    }

    pub fn save(&mut self, synced: bool) -> Result<(), SpoolError> {
        let readers =
            self.readers.iter().map(|(name, reader)| (name.clone(), reader.stored.clone())).collect();
        self.store.save(&readers, synced)?;
        (self.dirty, self.unsaved) = (false, false);
        self.saved = Instant::now();
        if synced {
            self.synced = self.saved;
        }
        Ok(())
    }

    /// Stores positions if that is due.
    pub fn save_now_and_then(&mut self, at_rest: bool) {
        // What the disk did not take is not tried again at each batch.
        let at_once = at_rest && !self.unsaved;
        let synced = self.synced.elapsed() >= SYNC_EVERY;
        let is_to_be_synced = synced && self.saved > self.synced;
        if !(self.dirty || is_to_be_synced) || (!at_once && self.saved.elapsed() < SAVE_EVERY) {
            return;
        }
        if let Err(error) = self.save(synced) {
            if !self.unsaved {
                log::warn!("spool: positions are not stored until that is mended: {error}");
            }
            (self.unsaved, self.saved) = (true, Instant::now());
        }
    }

    /// Moves positions at the end of a closed segment to the next one's beginning.
    fn step_over_ends(&mut self) {
        let active = self.active.as_ref().and(self.segments.back()).map(|last| last.number);
        for reader in self.readers.values_mut() {
            let at = reader.stored.position;
            let mut following = self.segments.iter().skip_while(|segment| segment.number < at.segment);
            let Some(here) = following.next().filter(|here| here.number == at.segment) else { continue };
            if at.offset >= here.len && active != Some(here.number) {
                let next = following.next().map_or(self.next_number, |next| next.number);
                reader.stored.position = Position { segment: next, offset: SEGMENT_HEADER as u64 };
            }
        }
    }

    /// Deletes what all readers have settled.
    pub fn collect(&mut self) {
        self.step_over_ends();
        if !self.is_settled() {
            return;
        }
        // Before the segment goes: positions that come back after a crash must not point into what is gone. But on a full disk
        // storing them takes the room that it leaves.
        let saved = self.save(true);
        let is_full = matches!(saved, Err(SpoolError::Full { .. }));
        if let Err(error) = saved
            && !is_full
        {
            if !self.unsaved {
                log::warn!("spool: what is settled stays until positions can be stored: {error}");
            }
            (self.unsaved, self.saved) = (true, Instant::now());
            return;
        }
        self.remove_settled();
        if is_full && let Err(error) = self.save(true) {
            log::warn!("spool: positions are not stored: {error}");
        }
    }

    /// The front, if no reader needs it.
    fn is_settled(&self) -> bool {
        let first = self.readers.values().map(|reader| reader.stored.position.segment).min();
        let is_active = self.active.is_some() && self.segments.len() == 1;
        let is_before = |front: &Segment| first.is_none_or(|first| front.number < first);
        !is_active && self.segments.front().is_some_and(is_before)
    }

    fn remove_settled(&mut self) {
        while self.is_settled() {
            let Some(front) = self.segments.front() else { return };
            if let Err(error) = front.remove() {
                log::warn!("spool: {error}");
                return;
            }
            self.segments.pop_front();
        }
    }

    /// Drops the oldest segment, counted for each reader that has not read it to its end.
    pub fn drop_oldest(&mut self, reason: Lost) -> Result<(), SpoolError> {
        self.drop_segment(0, reason)
    }

    fn drop_segment(&mut self, index: usize, reason: Lost) -> Result<(), SpoolError> {
        if self.segments.len() == index + 1 {
            self.seal();
        }
        let Some(gone) = self.segments.get(index).cloned() else { return Ok(()) };
        gone.remove()?;
        self.segments.remove(index);
        let next = self.segments.get(index).map_or(self.next_number, |segment| segment.number);
        for reader in self.readers.values_mut() {
            if reader.cursor.segment <= gone.number {
                reader.lose(reader.reached.max(&gone.base), gone.end, reason);
            }
            // Who is not there yet passes over the gap when it comes to it.
            if reader.cursor.segment == gone.number || index == 0 && reader.cursor.segment < gone.number {
                reader.cursor = Position { segment: next, offset: SEGMENT_HEADER as u64 };
            }
        }
        self.dirty = true;
        Ok(())
    }

    /// Drops what is too old.
    pub fn expire(&mut self) {
        while let Some(oldest) = self.segments.front()
            && oldest.newest.get() > self.bounds.max_age
        {
            if let Err(error) = self.drop_oldest(Lost::Expired) {
                log::warn!("spool: {error}");
                return;
            }
        }
    }

    /// Counts events that could not be written, for all readers.
    pub fn lose(&mut self, counts: &Counts, reason: Lost) {
        let from = self.appended;
        self.appended = from.plus(counts);
        let to = self.appended;
        for reader in self.readers.values_mut() {
            reader.lose(from, to, reason);
        }
        self.dirty = true;
        self.close_holes();
    }

    /// Drops segments until no reader has too many holes, those first that have most of them: a disk that is full again and again makes
    /// one each time, for as long as a sink is away.
    fn close_holes(&mut self) {
        while let Some(reader) = self.readers.values().find(|reader| reader.has_too_many_holes()) {
            let holes = self.segments.iter().map(|one| reader.holes_within(&one.base, &one.end));
            // Of those with as many, the oldest.
            let most = holes.enumerate().max_by_key(|(index, holes)| (*holes, Reverse(*index)));
            let Some((index, _)) = most else { return };
            if let Err(error) = self.drop_segment(index, Lost::SpoolFull) {
                log::warn!("spool: {error}");
                return;
            }
        }
    }

    /// Age of the segment that is written to.
    pub fn opened(&self) -> Option<Age> {
        self.segments.back().map(|last| last.opened)
    }
}
