//! `readers.spare`: where positions and accounts go while the disk is full.
//!
//! What is lost because there is no room must not be forgotten because there is no room. So some is taken while it can be had, written
//! with zeros (blocks that are only reserved may need another one when they are first written), and used in place. There are two slots,
//! written in turn and each brought to the disk before the other is touched: a crash in the middle of one, or a power loss, leaves the
//! other.
//!
//! ```text
//! slot = len:u32 crc:u32(of the text) text, little-endian; of length 0 when it is empty
//! ```
//!
//! File systems that never write in place (btrfs, ZFS) may refuse it all the same; then what is stored is what was stored last.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const NAME: &str = "readers.spare";
const MODE: u32 = 0o600;
const HEADER: u64 = 8;
const BLOCK: u64 = 4096;
/// A thousand losses before each of some readers; what is longer is not stored on a full disk.
const MAX_SLOT: u64 = 1 << 20;

/// The room, if there is any.
#[derive(Debug)]
pub(crate) struct Spare {
    path: PathBuf,
    /// 0 where there is no room.
    slot_bytes: u64,
    next: u64,
    /// Something may stand in it.
    used: bool,
}

impl Spare {
    /// That of a directory, as it was left.
    pub fn of(directory: &Path) -> Self {
        let path = directory.join(NAME);
        let slot_bytes = fs::metadata(&path).map_or(0, |file| whole_blocks(file.len() / 2));
        Self { path, slot_bytes: slot_bytes.min(MAX_SLOT), next: 0, used: true }
    }

    /// The texts that stand in it, each with its slot.
    pub fn texts(&self) -> Vec<(u64, Vec<u8>)> {
        let Ok(file) = File::open(&self.path) else { return Vec::new() };
        (0..2).filter_map(|slot| Some((slot, self.text(&file, slot)?))).collect()
    }

    fn text(&self, file: &File, slot: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.slot_bytes).ok()?];
        file.read_exact_at(&mut bytes, slot * self.slot_bytes).ok()?;
        let (len, rest) = bytes.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        let text = rest.get(..usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
        (!text.is_empty() && crc32fast::hash(text) == u32::from_le_bytes(*crc)).then(|| text.to_owned())
    }

    /// What stands in this slot is not overwritten next.
    pub fn keep(&mut self, slot: u64) {
        self.next = 1 - slot.min(1);
    }

    /// There is room, if there ever was some.
    pub fn is_ready(&self) -> bool {
        self.slot_bytes > 0
    }

    /// Takes room for a text of twice this length, and empties it. What it had stays when there is no more.
    pub fn make_ready(&mut self, text_len: usize) -> io::Result<()> {
        let wanted = whole_blocks(HEADER + 2 * text_len as u64 + BLOCK - 1).min(MAX_SLOT);
        if !self.used && wanted <= self.slot_bytes {
            return Ok(());
        }
        let file = self.open(true)?;
        for slot in 0..2 {
            if self.is_ready() {
                file.write_all_at(&[0; HEADER as usize], slot * self.slot_bytes)?;
            }
        }
        self.used = false;
        if wanted > self.slot_bytes {
            let old = 2 * self.slot_bytes;
            if let Err(error) = write_zeros(&file, old, 2 * wanted) {
                file.set_len(old)?;
                return Err(error);
            }
            self.slot_bytes = wanted;
        }
        Ok(())
    }

    /// Puts a text into the next slot, and brings it to the disk.
    pub fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if text.len() as u64 + HEADER > self.slot_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = u32::try_from(text.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(text.len() + HEADER as usize);
        bytes.extend(len.to_le_bytes());
        bytes.extend(crc32fast::hash(text).to_le_bytes());
        bytes.extend(text);
        let file = self.open(false)?;
        self.used = true;
        file.write_all_at(&bytes, self.next * self.slot_bytes)?;
        self.next = 1 - self.next;
        file.sync_data()
    }

    fn open(&self, create: bool) -> io::Result<File> {
        OpenOptions::new().write(true).create(create).truncate(false).mode(MODE).open(&self.path)
    }
}

fn whole_blocks(bytes: u64) -> u64 {
    bytes / BLOCK * BLOCK
}

fn write_zeros(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeros = [0; BLOCK as usize];
    for at in (from..to).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    // Some file systems choose the blocks, and find out that there are none, only here.
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(directory: &Path) -> Vec<Vec<u8>> {
        Spare::of(directory).texts().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn the_last_two_texts_stand_in_it_until_it_is_made_ready() {
        let directory = tempfile::tempdir().unwrap();
        let mut spare = Spare::of(directory.path());
        assert!(!spare.is_ready());
        assert_eq!(spare.write(b"none").unwrap_err().kind(), io::ErrorKind::StorageFull);
        spare.make_ready(3000).unwrap();
        assert!(texts(directory.path()).is_empty());
        for text in ["a", "b", "c"] {
            spare.write(text.as_bytes()).unwrap();
        }
        assert_eq!(texts(directory.path()), [b"c", b"b"]);
        let mut again = Spare::of(directory.path());
        again.keep(0);
        again.write(b"d").unwrap();
        assert_eq!(texts(directory.path()), [b"c", b"d"]);
        again.make_ready(3000).unwrap();
        assert!(texts(directory.path()).is_empty());
    }

    #[test]
    fn it_grows_with_the_text_and_takes_no_longer_one() {
        let directory = tempfile::tempdir().unwrap();
        let mut spare = Spare::of(directory.path());
        spare.make_ready(10).unwrap();
        spare.write(&[b'x'; 4088]).unwrap();
        assert!(spare.write(&[b'x'; 4089]).is_err());
        assert_eq!(texts(directory.path()), [[b'x'; 4088]]);
        spare.make_ready(4089).unwrap();
        assert!(texts(directory.path()).is_empty());
        spare.write(&[b'y'; 8178]).unwrap();
        assert_eq!(texts(directory.path()), [[b'y'; 8178]]);
    }

    #[test]
    fn a_slot_with_any_byte_changed_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let mut spare = Spare::of(directory.path());
        spare.make_ready(10).unwrap();
        spare.write(b"text").unwrap();
        let path = directory.path().join(NAME);
        let good = fs::read(&path).unwrap();
        for at in 0..12 {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                fs::write(&path, &bad).unwrap();
                assert!(texts(directory.path()).is_empty(), "bit {bit} of byte {at}");
            }
        }
        for len in [0, 1, 11, 4095] {
            fs::write(&path, good.get(..len).unwrap()).unwrap();
            assert!(texts(directory.path()).is_empty(), "{len} bytes");
        }
    }
}
