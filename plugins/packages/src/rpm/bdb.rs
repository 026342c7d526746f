//! The values of a Berkeley DB hash, `Packages` of rpm before 4.16 (`dbinc/db_page.h` of Berkeley DB 5). Every page is looked
//! at in its order, since all values are wanted; numbers are of the machine that wrote it, as its magic number says.

use std::fs::File;

use super::RpmError;
use super::paged::{Paged, append, read_at};

const MAGIC: u32 = 0x0006_1561;
const PAGE_HEADER: usize = 26;
/// Types of pages.
const HASH_UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const HASH: u8 = 13;
/// Types of items.
const KEY_DATA: u8 = 1;
const OFF_PAGE: u8 = 3;

const MALFORMED: RpmError = RpmError::Malformed("not a Berkeley DB hash as rpm writes it");

/// The blobs.
#[derive(Debug)]
pub(super) struct Blobs {
    paged: Paged,
    is_big_endian: bool,
    page: Vec<u8>,
    number: u32,
    /// The next pair on the page.
    pair: usize,
    pairs: usize,
    /// What the values of the page have together, since none lies over another.
    room: usize,
    other: Vec<u8>,
}

impl Blobs {
    pub(super) fn open(file: File) -> Result<Self, RpmError> {
        let mut head = [0; 512];
        read_at(&file, 0, &mut head)?;
        let word =
            |at: usize| head.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
        let is_big_endian = match (u32::from_be_bytes(word(12)), u32::from_le_bytes(word(12))) {
            (MAGIC, _) => true,
            (_, MAGIC) => false,
            _ => return Err(MALFORMED),
        };
        // Encrypted pages would be garbage.
        if head.get(24) != Some(&0) {
            return Err(MALFORMED);
        }
        let size = if is_big_endian { u32::from_be_bytes(word(20)) } else { u32::from_le_bytes(word(20)) };
        let paged = Paged::new(file, size as usize)?;
        Ok(Self {
            paged,
            is_big_endian,
            page: Vec::new(),
            number: 0,
            pair: 0,
            pairs: 0,
            room: 0,
            other: Vec::new(),
        })
    }

    fn u16(&self, page: &[u8], at: usize) -> Result<usize, RpmError> {
        let chunk = page.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(MALFORMED)?;
        Ok(usize::from(if self.is_big_endian {
            u16::from_be_bytes(chunk)
        } else {
            u16::from_le_bytes(chunk)
        }))
    }

    fn u32(&self, page: &[u8], at: usize) -> Result<u32, RpmError> {
        let chunk = page.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(MALFORMED)?;
        Ok(if self.is_big_endian { u32::from_be_bytes(chunk) } else { u32::from_le_bytes(chunk) })
    }

    /// An item of the page: from its offset to the one before, which was put above it.
    fn item(&self, index: usize) -> Result<&[u8], RpmError> {
        let from = self.u16(&self.page, PAGE_HEADER + 2 * index)?;
        let to = match index.checked_sub(1) {
            Some(before) => self.u16(&self.page, PAGE_HEADER + 2 * before)?,
            None => self.page.len(),
        };
        self.page.get(from..to).ok_or(MALFORMED)
    }

    /// The next blob, as much of it as is wanted; false at the end.
    pub(super) fn next_blob(&mut self, blob: &mut Vec<u8>, most: usize) -> Result<bool, RpmError> {
        loop {
            while self.pair == self.pairs {
                self.number += 1;
                if self.number >= self.paged.count {
                    return Ok(false);
                }
                let mut page = std::mem::take(&mut self.page);
                self.paged.read(self.number, &mut page)?;
                self.page = page;
                let is_hash = matches!(self.page.get(25), Some(&HASH | &HASH_UNSORTED));
                self.pairs = if is_hash { self.u16(&self.page, 20)? / 2 } else { 0 };
                self.pair = 0;
                self.room = self.page.len();
            }
            blob.clear();
            let value = 2 * self.pair + 1;
            self.pair += 1;
            self.room = self.room.checked_sub(self.item(value)?.len()).ok_or(MALFORMED)?;
            let (kind, rest) = self.item(value)?.split_first().ok_or(MALFORMED)?;
            match *kind {
                KEY_DATA => drop(append(blob, rest, most)),
                OFF_PAGE => {
                    let (first, length) = (self.u32(rest, 3)?, self.u32(rest, 7)?);
                    self.read_chain(first, length as usize, blob, most)?;
                }
                _ => return Err(MALFORMED),
            }
            // Under the key 0 stands a number: the next one to be given out.
            if blob.len() > 4 {
                return Ok(true);
            }
        }
    }

    fn read_chain(
        &mut self,
        first: u32,
        length: usize,
        blob: &mut Vec<u8>,
        most: usize,
    ) -> Result<(), RpmError> {
        let (mut next, mut other) = (first, std::mem::take(&mut self.other));
        let mut left = length;
        // A chain that leads back into itself ends with the length.
        while left > 0 {
            self.paged.read(next, &mut other)?;
            let here = self.u16(&other, 22)?.min(left);
            if other.get(25) != Some(&OVERFLOW) || here == 0 {
                return Err(MALFORMED);
            }
            if append(blob, other.get(PAGE_HEADER..PAGE_HEADER + here).ok_or(MALFORMED)?, most) {
                break;
            }
            next = self.u32(&other, 16)?;
            left -= here;
        }
        self.other = other;
        Ok(())
    }
}
