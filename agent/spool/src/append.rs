//! Writing: whole records, or nothing of them.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use crate::{
    account::Lost,
    counts::Counts,
    error::SpoolError,
    layout::{MAX_PAYLOAD, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader},
    segment::{Age, Segment, path_of},
    spool::{Inner, Spool},
};

const MODE: u32 = 0o600;

impl Spool {
    /// Appends a batch: whole lines, and the kind of each. When it returns well, no crash of this process loses it.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing of the batch stays behind then, and it is in every reader's account as lost.
    pub fn append(&self, kinds: &[u8], lines: &[u8], now_ms: i64) -> Result<(), SpoolError> {
        let mut inner = self.shared.lock();
        let counts = Counts::of(kinds);
        let result = inner.append(kinds, lines, &counts, now_ms);
        if let Err(error) = &result {
            let reason = match error {
                SpoolError::Full { .. } => Lost::DiskFull,
                SpoolError::TooLong { .. } => Lost::TooLong,
                _ => Lost::Io,
            };
            inner.lose(&counts, reason);
        }
        // Readers may be waiting for their backends, and store nothing of what is lost meanwhile.
        inner.save_now_and_then(false);
        drop(inner);
        self.shared.more.notify_all();
        result
    }
}

impl Inner {
    fn append(&mut self, kinds: &[u8], lines: &[u8], counts: &Counts, now_ms: i64) -> Result<(), SpoolError> {
        let payload_len = kinds.len() + lines.len();
        let record_len = (RECORD_HEADER + payload_len) as u64;
        let segment_bytes = self.bounds.segment_bytes.min(self.bounds.max_bytes / 4);
        let too_long = || SpoolError::TooLong { bytes: payload_len, most: MAX_PAYLOAD };
        if payload_len > MAX_PAYLOAD || record_len + SEGMENT_HEADER as u64 > self.bounds.max_bytes {
            return Err(too_long());
        }
        self.expire();
        self.make_room(record_len)?;
        let is_full = self
            .segments
            .back()
            .is_some_and(|last| last.len > SEGMENT_HEADER as u64 && last.len + record_len > segment_bytes);
        let is_old = self.opened().is_some_and(|opened| opened.get() > self.bounds.max_age / 8);
        if is_full || is_old {
            self.seal();
            self.collect();
        }
        let file = self.writable(now_ms)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(kinds);
        crc.update(lines);
        let header = RecordHeader {
            payload_len: u32::try_from(payload_len).map_err(|_| too_long())?,
            events: u32::try_from(kinds.len()).map_err(|_| too_long())?,
            payload_crc: crc.finalize(),
            time_ms: now_ms,
            after: self.appended.plus(counts),
        };
        let Some(last) = self.segments.back_mut() else { return Ok(()) };
        let written = write_record(&file, last.len, &header, kinds, lines);
        if let Err(error) = written {
            let error = SpoolError::io("write", &last.path)(error);
            if let Err(undo) = file.set_len(last.len) {
                // The next record goes into another segment. Half a record is none, wherever it stands.
                log::warn!("{:?}: half a record could not be taken back: {undo}", last.path);
                self.seal();
            }
            return Err(error);
        }
        last.len += record_len;
        last.end = header.after;
        last.newest = Age::new();
        self.appended = header.after;
        self.unsynced = true;
        Ok(())
    }

    /// Drops from the oldest end until another record fits.
    fn make_room(&mut self, record_len: u64) -> Result<(), SpoolError> {
        // A segment may have to be opened for it.
        let needed = record_len + SEGMENT_HEADER as u64;
        if self.bytes() + needed > self.bounds.max_bytes {
            self.collect();
        }
        while self.bytes() + needed > self.bounds.max_bytes && !self.segments.is_empty() {
            self.drop_oldest(Lost::SpoolFull)?;
        }
        Ok(())
    }

    /// The last segment's file, opened anew if need be.
    fn writable(&mut self, now_ms: i64) -> Result<Arc<File>, SpoolError> {
        if let Some(file) = &self.active {
            return Ok(Arc::clone(file));
        }
        let number = self.next_number;
        let path = path_of(&self.directory, number);
        let header = SegmentHeader { number, opened_ms: now_ms, base: self.appended };
        let file = create(&path, &header).map_err(|error| {
            // What is left of it would be taken for a damaged one.
            let _ = fs::remove_file(&path);
            SpoolError::io("create", &path)(error)
        })?;
        self.next_number += 1;
        self.segments.push_back(Segment {
            number,
            path,
            len: SEGMENT_HEADER as u64,
            base: self.appended,
            end: self.appended,
            opened: Age::new(),
            newest: Age::new(),
        });
        let file = Arc::new(file);
        self.active = Some(Arc::clone(&file));
        Ok(file)
    }
}

fn create(path: &Path, header: &SegmentHeader) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(MODE).open(path)?;
    file.write_all_at(&header.encode(), 0)?;
    Ok(file)
}

fn write_record(
    file: &File,
    offset: u64,
    header: &RecordHeader,
    kinds: &[u8],
    lines: &[u8],
) -> io::Result<()> {
    file.write_all_at(&header.encode(), offset)?;
    let offset = offset + RECORD_HEADER as u64;
    file.write_all_at(kinds, offset)?;
    file.write_all_at(lines, offset + kinds.len() as u64)
}
