//! The values of SQLite's table `Packages`, in the order of its rows (<https://www.sqlite.org/fileformat2.html>).
//!
//! A b-tree is walked down from its root with a stack of bounded depth, and no more pages are looked at than there are. What
//! waits in the write-ahead log counts as far as a commit vouches for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::RpmError;
use super::paged::{Paged, append, be16, be32, read_at};

const MAGIC: &[u8] = b"SQLite format 3\0";
const INTERIOR: u8 = 5;
const LEAF: u8 = 13;
/// A tree of 2^31 pages is no deeper.
const MAX_DEPTH: usize = 20;
/// Frames of a log that are looked at: rpm empties it when it ends.
const MAX_FRAMES: u32 = 32_768;
const TABLE: &[u8] = b"Packages";

const MALFORMED: RpmError = RpmError::Malformed("not SQLite as rpm writes it");

/// Pages, as of the last commit.
#[derive(Debug)]
struct Pages {
    paged: Paged,
    usable: usize,
    log: Option<Log>,
    count: u32,
}

/// The write-ahead log: where the newest state of a page lies.
#[derive(Debug)]
struct Log {
    file: File,
    frames: BTreeMap<u32, u64>,
}

/// The log that belongs to a database.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

impl Pages {
    fn open(path: &Path) -> Result<Self, RpmError> {
        let file = File::open(path)?;
        let mut head = [0; 100];
        read_at(&file, 0, &mut head)?;
        let size = match be16(&head, 16) {
            Some(1) => 65_536,
            Some(size) => usize::from(size),
            None => return Err(MALFORMED),
        };
        let reserved = head.get(20).copied().map_or(0, usize::from);
        let paged = Paged::new(file, size)?;
        let usable = size.checked_sub(reserved).filter(|usable| *usable >= 480).ok_or(MALFORMED)?;
        if !head.starts_with(MAGIC) {
            return Err(MALFORMED);
        }
        let mut count = paged.count;
        let log = match File::open(log_of(path)) {
            Ok(file) => Log::read(file, size, &mut count)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        // A commit may say any number. A page lies in one of both files.
        let waiting = log.as_ref().map_or(0, |log| log.frames.len());
        count = count.min(paged.count.saturating_add(u32::try_from(waiting).unwrap_or(u32::MAX)));
        paged.allow(count.max(paged.count));
        Ok(Self { paged, usable, log, count })
    }

    /// Reads a page; the first has number 1.
    fn read(&self, number: u32, page: &mut Vec<u8>) -> Result<(), RpmError> {
        if number == 0 || number > self.count {
            return Err(MALFORMED);
        }
        match self.log.as_ref().and_then(|log| Some((&log.file, *log.frames.get(&number)?))) {
            Some((file, offset)) => {
                self.paged.spend()?;
                page.resize(self.paged.size, 0);
                read_at(file, offset, page)
            }
            None => self.paged.read(number - 1, page),
        }
    }
}

impl Log {
    /// Reads the log up to its last commit; `count` becomes the number of pages then. None where nothing in it counts.
    fn read(file: File, page_size: usize, count: &mut u32) -> Result<Option<Self>, RpmError> {
        let length = file.metadata()?.len();
        let mut head = [0; 32];
        if length < head.len() as u64 {
            return Ok(None);
        }
        read_at(&file, 0, &mut head)?;
        let big_endian = match be32(&head, 0) {
            Some(0x377f_0682) => false,
            Some(0x377f_0683) => true,
            _ => return Ok(None),
        };
        let mut sum = checksum((0, 0), head.get(..24).unwrap_or_default(), big_endian);
        let stored = |bytes: &[u8], at| Some((be32(bytes, at)?, be32(bytes, at + 4)?));
        if be32(&head, 8) != u32::try_from(page_size).ok() || stored(&head, 24) != Some(sum) {
            return Ok(None);
        }
        let mut log = Self { file, frames: BTreeMap::new() };
        let mut waiting: Vec<(u32, u64)> = Vec::new();
        let (mut offset, mut seen) = (32_u64, 0);
        let mut frame = vec![0; 24 + page_size];
        while offset + frame.len() as u64 <= length {
            seen += 1;
            if seen > MAX_FRAMES {
                return Err(RpmError::Malformed("a write-ahead log that nobody has emptied for long"));
            }
            read_at(&log.file, offset, &mut frame)?;
            sum = checksum(sum, frame.get(..8).unwrap_or_default(), big_endian);
            sum = checksum(sum, frame.get(24..).unwrap_or_default(), big_endian);
            // What was written before the log was begun anew.
            if frame.get(8..16) != head.get(16..24) || stored(&frame, 16) != Some(sum) {
                break;
            }
            waiting.push((be32(&frame, 0).ok_or(MALFORMED)?, offset + 24));
            if let Some(pages) = be32(&frame, 4).filter(|pages| *pages != 0) {
                *count = pages;
                log.frames.extend(waiting.drain(..));
            }
            offset += frame.len() as u64;
        }
        Ok((!log.frames.is_empty()).then_some(log))
    }
}

/// SQLite's checksum over 32-bit words, in pairs.
fn checksum(sum: (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    let word = |chunk: &[u8]| {
        let chunk = chunk.first_chunk().copied().unwrap_or_default();
        if big_endian { u32::from_be_bytes(chunk) } else { u32::from_le_bytes(chunk) }
    };
    bytes.chunks_exact(8).fold(sum, |(one, two), pair| {
        let (left, right) = pair.split_at(4);
        let one = one.wrapping_add(word(left)).wrapping_add(two);
        (one, two.wrapping_add(word(right)).wrapping_add(one))
    })
}

/// One page on the way down.
#[derive(Debug)]
struct Step {
    page: Vec<u8>,
    /// Of the b-tree's header: 100 on the first page.
    start: usize,
    next: u16,
    /// What its cells have together, since none lies over another.
    room: usize,
}

/// Rows of a table.
#[derive(Debug)]
struct Rows {
    steps: Vec<Step>,
    /// Pages that may still be looked at.
    left: u32,
}

impl Rows {
    fn of(pages: &Pages, root: u32) -> Result<Self, RpmError> {
        let mut rows = Self { steps: Vec::new(), left: pages.count };
        rows.enter(pages, root)?;
        Ok(rows)
    }

    fn enter(&mut self, pages: &Pages, number: u32) -> Result<(), RpmError> {
        self.left = self.left.checked_sub(1).ok_or(MALFORMED)?;
        if self.steps.len() == MAX_DEPTH {
            return Err(MALFORMED);
        }
        let mut page = Vec::new();
        pages.read(number, &mut page)?;
        let start = if number == 1 { 100 } else { 0 };
        let room = page.len();
        self.steps.push(Step { page, start, next: 0, room });
        Ok(())
    }

    /// The payload of the next row, as much of it as is wanted.
    fn next_row(&mut self, pages: &Pages, payload: &mut Vec<u8>, most: usize) -> Result<bool, RpmError> {
        loop {
            let Some(step) = self.steps.last_mut() else { return Ok(false) };
            let (page, start) = (&step.page, step.start);
            let cells = be16(page, start + 3).ok_or(MALFORMED)?;
            let cell = |index: u16, head: usize| {
                be16(page, start + head + 2 * usize::from(index)).map(usize::from).ok_or(MALFORMED)
            };
            match page.get(start) {
                Some(&LEAF) if step.next < cells => {
                    let at = cell(step.next, 8)?;
                    step.next += 1;
                    let here = read_payload(pages, page, at, payload, most)?;
                    step.room = step.room.checked_sub(here).ok_or(MALFORMED)?;
                    return Ok(true);
                }
                Some(&INTERIOR) if step.next <= cells => {
                    let child = if step.next == cells {
                        be32(page, start + 8)
                    } else {
                        be32(page, cell(step.next, 12)?)
                    };
                    step.next += 1;
                    self.enter(pages, child.ok_or(MALFORMED)?)?;
                }
                Some(&LEAF | &INTERIOR) => drop(self.steps.pop()),
                _ => return Err(MALFORMED),
            }
        }
    }
}

/// Reads the payload of a leaf's cell: its beginning on the page, the rest in a chain of others. Returns how much of it is on
/// the page.
fn read_payload(
    pages: &Pages,
    page: &[u8],
    at: usize,
    payload: &mut Vec<u8>,
    most: usize,
) -> Result<usize, RpmError> {
    payload.clear();
    let (length, at) = varint(page, at).ok_or(MALFORMED)?;
    let (_row, at) = varint(page, at).ok_or(MALFORMED)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= 1 << 30).ok_or(MALFORMED)?;
    let usable = pages.usable;
    let here = if length <= usable - 35 {
        length
    } else {
        let least = (usable - 12) * 32 / 255 - 23;
        let fitting = least + (length - least) % (usable - 4);
        if fitting <= usable - 35 { fitting } else { least }
    };
    let local = page.get(at..at + here).ok_or(MALFORMED)?;
    let mut left = length - here;
    let mut next = if left > 0 { be32(page, at + here).ok_or(MALFORMED)? } else { 0 };
    let mut is_all = append(payload, local, most);
    let mut other = Vec::new();
    // A chain that leads back into itself ends with the length.
    while left > 0 && !is_all {
        pages.read(next, &mut other)?;
        next = be32(&other, 0).ok_or(MALFORMED)?;
        let count = left.min(usable - 4);
        is_all = append(payload, other.get(4..4 + count).ok_or(MALFORMED)?, most);
        left -= count;
    }
    Ok(here)
}

/// A number of one to nine bytes, and where the next thing begins.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut number = 0_u64;
    for (index, byte) in bytes.get(at..)?.iter().take(9).enumerate() {
        if index == 8 {
            return Some(((number << 8) | u64::from(*byte), at + 9));
        }
        number = (number << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, at + index + 1));
        }
    }
    None
}

/// The bytes of a record's column, as far as they are there, with the type of their content.
fn column(record: &[u8], wanted: usize) -> Option<(u64, &[u8])> {
    let (head, mut at) = varint(record, 0)?;
    let mut start = usize::try_from(head).ok()?;
    for index in 0..=wanted {
        if at >= usize::try_from(head).ok()? {
            return None;
        }
        let (kind, next) = varint(record, at)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => usize::try_from((kind - 12) / 2).ok()?,
        };
        if index == wanted {
            let end = start.checked_add(length)?.min(record.len());
            return Some((kind, record.get(start..end)?));
        }
        start = start.checked_add(length)?;
        at = next;
    }
    None
}

/// The blobs of rpm's table.
#[derive(Debug)]
pub(super) struct Blobs {
    pages: Pages,
    rows: Rows,
    record: Vec<u8>,
}

impl Blobs {
    pub(super) fn open(path: &Path) -> Result<Self, RpmError> {
        let pages = Pages::open(path)?;
        // Type, name, table, root page, text.
        let mut schema = Rows::of(&pages, 1)?;
        let mut record = Vec::new();
        while schema.next_row(&pages, &mut record, 4096)? {
            let text = |index| column(&record, index).map(|(_, bytes)| bytes);
            if text(0) == Some(b"table") && text(1) == Some(TABLE) {
                let root = text(3).filter(|bytes| (1..=4).contains(&bytes.len())).ok_or(MALFORMED)?;
                let root = root.iter().fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
                let rows = Rows::of(&pages, root)?;
                return Ok(Self { pages, rows, record });
            }
        }
        Err(RpmError::Malformed("an SQLite database without the table Packages"))
    }

    /// The next blob, as much of it as is wanted; false at the end.
    pub(super) fn next_blob(&mut self, blob: &mut Vec<u8>, most: usize) -> Result<bool, RpmError> {
        blob.clear();
        if !self.rows.next_row(&self.pages, &mut self.record, most)? {
            return Ok(false);
        }
        // The row's number stands for the first column.
        match column(&self.record, 1) {
            Some((kind, bytes)) if kind >= 12 && kind % 2 == 0 => {
                blob.extend_from_slice(bytes);
                Ok(true)
            }
            _ => Err(MALFORMED),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PAGE: usize = 512;
    const LEVELS: usize = 6;

    /// A table whose pages have nothing but the next one, 200 times over, down to an empty leaf.
    fn one_branch() -> Vec<u8> {
        let mut file = vec![0; PAGE * (LEVELS + 2)];
        file[..16].copy_from_slice(MAGIC);
        file[16..18].copy_from_slice(&512_u16.to_be_bytes());
        let row = b"\x1c\x01\x06\x17\x1d\x1d\x01\x0dtablePackagesPackages\x02";
        let at = PAGE - row.len();
        file[at..PAGE].copy_from_slice(row);
        (file[100], file[104]) = (LEAF, 1);
        file[108..110].copy_from_slice(&u16::try_from(at).unwrap().to_be_bytes());
        for (page, next) in file[PAGE..].chunks_exact_mut(PAGE).zip(3_u32..).take(LEVELS) {
            (page[0], page[4]) = (INTERIOR, 200);
            page[8..12].copy_from_slice(&next.to_be_bytes());
            page[508..].copy_from_slice(&next.to_be_bytes());
            page[12..412].copy_from_slice(&508_u16.to_be_bytes().repeat(200));
        }
        file[PAGE * (LEVELS + 1)] = LEAF;
        file
    }

    /// A log with a commit of the first page as it is, and of so many pages.
    fn commit_of(first: &[u8], pages: u32) -> Vec<u8> {
        let put = |log: &mut Vec<u8>, sum: (u32, u32)| {
            log.extend([sum.0.to_be_bytes(), sum.1.to_be_bytes()].concat());
        };
        let mut log = [0x377f_0682_u32, 3_007_000, 512, 0, 1, 2].map(u32::to_be_bytes).concat();
        let sum = checksum((0, 0), &log, false);
        put(&mut log, sum);
        let head = [1_u32, pages].map(u32::to_be_bytes).concat();
        let sum = checksum(checksum(sum, &head, false), first, false);
        log.extend_from_slice(&head);
        log.extend([1_u32, 2].map(u32::to_be_bytes).concat());
        put(&mut log, sum);
        log.extend_from_slice(first);
        log
    }

    /// Without a bound this would read for days.
    #[test]
    fn a_log_that_commits_to_more_pages_than_there_are_makes_no_reading_longer() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("rpmdb.sqlite");
        let file = one_branch();
        fs::write(&path, &file).unwrap();
        for pages in [8, u32::MAX] {
            fs::write(log_of(&path), commit_of(&file[..PAGE], pages)).unwrap();
            let mut blobs = Blobs::open(&path).unwrap();
            assert!(blobs.pages.log.is_some());
            assert!(matches!(blobs.next_blob(&mut Vec::new(), 1 << 20), Err(RpmError::Malformed(_))));
        }
    }
}
