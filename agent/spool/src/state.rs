//! `readers.json`: positions and accounts of all readers, replaced whole.
//!
//! A digit that is another one would still be JSON, and could send a reader past everything that waits for it. So the text of
//! `readers` has a CRC beside it (a file without one is of an earlier build), and no position is believed that no spool comes to.
//!
//! Most times it is replaced without waiting for the disk. Some file systems (XFS) have the new name on the disk before the content, so
//! a power loss may leave an empty file. What was brought to the disk last has a second name, `readers.synced.json`, and is believed
//! where the first is of no use; no segment is deleted that it still needs. While the disk is full they go to [`Spare`]; which is the
//! newest says the number of each.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use linnet_fleet::atomic_file::{self, AtomicFileError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    account::Account,
    counts::{BEYOND, Counts},
    error::{SpoolError, is_of_the_disk},
    spare::Spare,
};

const NAME: &str = "readers.json";
const SYNCED: &str = "readers.synced.json";
const VERSION: u32 = 1;
const MODE: u32 = 0o600;
/// Some readers have some kilobytes.
const MAX_BYTES: u64 = 4 << 20;

/// A place between two records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Position {
    pub segment: u64,
    pub offset: u64,
}

/// Events that are known not to come, and are counted: from one state of the spool's counts to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hole {
    pub from: Counts,
    pub to: Counts,
}

/// What is stored of a reader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Stored {
    /// All before it is settled.
    pub position: Position,
    /// The spool's counts there.
    pub reached: Counts,
    pub account: Account,
    pub holes: Vec<Hole>,
}

/// By name.
pub(crate) type Readers = BTreeMap<String, Stored>;

#[derive(Serialize, Deserialize)]
struct Document<'t> {
    version: u32,
    /// Of the text of `readers`.
    #[serde(default)]
    readers_crc: Option<u32>,
    /// How often it was stored. A file without one is of an earlier build.
    #[serde(default)]
    number: Option<u64>,
    #[serde(default)]
    number_crc: Option<u32>,
    #[serde(borrow)]
    readers: &'t RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
struct Saved {
    number: Option<u64>,
    readers: Readers,
}

/// Or why it is of no use.
type Content = Result<Saved, String>;

/// Where they are stored.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    spare: Spare,
    /// Of what was stored last.
    number: u64,
    /// That is in the spare room.
    is_full: bool,
    /// What was found is of an earlier build, which left alone what is newer than it knew.
    is_unnumbered: bool,
}

impl Store {
    /// With what was stored; empty where there is nothing that can be read, with a word why in the log. None where there is no file.
    pub fn open(directory: &Path) -> Result<(Self, Option<Readers>), SpoolError> {
        let mut spare = Spare::of(directory);
        let texts = spare.texts().into_iter();
        let kept = texts.filter_map(|(slot, text)| Some((slot, understand(&text).ok()?)));
        let kept = kept.max_by_key(|(_, saved)| saved.number);
        if let Some((slot, _)) = kept {
            spare.keep(slot);
        }
        let mut number = kept.as_ref().and_then(|(_, saved)| saved.number);
        let kept = kept.map(|(_, saved)| saved);
        let found = newest(directory, kept)?;
        let synced = read(&directory.join(SYNCED)).ok().flatten().and_then(Result::ok);
        for saved in found.iter().chain(&synced) {
            number = number.max(saved.number);
        }
        let is_unnumbered = found.as_ref().is_some_and(|saved| saved.number.is_none());
        let number = number.unwrap_or(0);
        let store = Self { directory: directory.to_owned(), spare, number, is_full: false, is_unnumbered };
        Ok((store, found.map(|saved| saved.readers)))
    }

    /// Replaces what is stored.
    pub fn save(&mut self, readers: &Readers, synced: bool) -> Result<(), SpoolError> {
        // What stands beside an earlier build's file is older than that: it is replaced at once.
        let synced = synced || self.is_unnumbered;
        let path = self.directory.join(NAME);
        self.number = self.number.saturating_add(1);
        let json = encode(readers, self.number)
            .map_err(|error| SpoolError::io("encode", &path)(io::Error::other(error)))?;
        let write = if synced { atomic_file::write } else { atomic_file::write_volatile };
        match write(&path, &json, MODE).map_err(|error| SpoolError::io("replace", &path)(cause(error))) {
            Ok(()) => self.was_saved(&path, json.len(), synced),
            Err(full @ SpoolError::Full { .. }) => self.save_in_spare(&json, full)?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn was_saved(&mut self, path: &Path, json_len: usize, synced: bool) {
        self.is_unnumbered = false;
        if std::mem::take(&mut self.is_full) {
            log::info!("spool: positions are stored in {path:?} again");
        }
        if synced && let Err(error) = name_twice(&self.directory, path) {
            // Some file systems know no second names; with those it is as it always was.
            log::debug!("spool: {SYNCED}: {error}");
        }
        // What is in there is the newest until this one is on the disk.
        if (synced || !self.spare.is_ready())
            && let Err(error) = self.spare.make_ready(json_len)
        {
            log::debug!("spool: no room can be kept for positions on a full disk: {error}");
        }
    }

    fn save_in_spare(&mut self, json: &[u8], full: SpoolError) -> Result<(), SpoolError> {
        if let Err(error) = self.spare.write(json) {
            log::debug!("spool: the room kept for positions on a full disk: {error}");
            return Err(full);
        }
        if !std::mem::replace(&mut self.is_full, true) {
            log::warn!(
                "spool: {full}; positions and what is lost are stored in the room that was kept for that"
            );
        }
        Ok(())
    }
}

/// Of all that is stored, `kept` being what is in the spare room.
fn newest(directory: &Path, kept: Option<Saved>) -> Result<Option<Saved>, SpoolError> {
    let path = directory.join(NAME);
    let why = match read(&path)? {
        None => return Ok(None),
        Some(Ok(saved)) => {
            // Without a number it is of an earlier build, which knew of no spare room, and wrote last.
            let is_newer = |kept: &Saved| saved.number.is_some() && kept.number > saved.number;
            return Ok(Some(kept.filter(is_newer).unwrap_or(saved)));
        }
        Some(Err(why)) => why,
    };
    let synced = read(&directory.join(SYNCED))?.and_then(Result::ok);
    let Some(saved) = kept.into_iter().chain(synced).max_by_key(|saved| saved.number) else {
        log::error!("{path:?}: {why}: positions are lost, events may come twice");
        return Ok(Some(Saved { number: None, readers: Readers::new() }));
    };
    log::warn!("{path:?}: {why}: positions are those of the last sync, events may come twice");
    Ok(Some(saved))
}

/// None where there is no file.
fn read(path: &Path) -> Result<Option<Content>, SpoolError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            return Ok(Some(Err("it is too long to be what it should".to_owned())));
        }
        _ => {}
    }
    let bytes = match fs::read(path) {
        Err(error) if is_of_the_disk(&error) => return Ok(Some(Err(error.to_string()))),
        other => other.map_err(SpoolError::io("read", path))?,
    };
    match serde_json::from_slice(&bytes) {
        Ok(Versioned { version }) if version != VERSION => {
            Err(SpoolError::StateVersion { path: path.to_owned(), found: version })
        }
        _ => Ok(Some(understand(&bytes))),
    }
}

fn understand(bytes: &[u8]) -> Content {
    let document: Document<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if document.version != VERSION {
        return Err(format!("it is of version {}", document.version));
    }
    let text = document.readers.get();
    let other_readers = document.readers_crc.is_some_and(|crc| crc != crc32fast::hash(text.as_bytes()));
    if other_readers || document.number_crc != document.number.map(number_crc) {
        return Err("it is not what was written".to_owned());
    }
    let readers: Readers = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let is_possible = |stored: &Stored| {
        stored.position.segment < BEYOND
            && stored.reached.is_possible()
            && stored.holes.iter().all(|hole| hole.to.is_possible())
    };
    match readers.iter().find(|(_, stored)| !is_possible(stored)) {
        Some((name, _)) => Err(format!("the position of {name:?} is one that no spool comes to")),
        None => Ok(Saved { number: document.number, readers }),
    }
}

/// The file keeps its second name when the first goes to the next one.
fn name_twice(directory: &Path, path: &Path) -> io::Result<()> {
    let new = directory.join(".readers.synced.json.tmp");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::hard_link(path, &new)?;
    fs::rename(&new, directory.join(SYNCED))?;
    File::open(directory)?.sync_all()
}

/// With the kind of error that the system had.
fn cause(error: AtomicFileError) -> io::Error {
    let kind = match &error {
        AtomicFileError::Io { source, .. } => source.kind(),
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

fn number_crc(number: u64) -> u32 {
    crc32fast::hash(&number.to_le_bytes())
}

fn encode(readers: &Readers, number: u64) -> serde_json::Result<Vec<u8>> {
    let readers = serde_json::value::to_raw_value(readers)?;
    serde_json::to_vec(&Document {
        version: VERSION,
        readers_crc: Some(crc32fast::hash(readers.get().as_bytes())),
        number: Some(number),
        number_crc: Some(number_crc(number)),
        readers: &readers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> BTreeMap<String, Stored> {
        let stored = Stored { position: Position { segment: 7, offset: 100 }, ..Stored::default() };
        BTreeMap::from([("a".to_owned(), stored)])
    }

    #[test]
    fn positions_with_any_byte_changed_are_lost_or_the_same() {
        let written = Saved { number: Some(10), readers: stored() };
        let good = encode(&stored(), 10).unwrap();
        assert_eq!(understand(&good).as_ref(), Ok(&written));
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                if let Ok(understood) = understand(&bad) {
                    assert_eq!(understood, written, "bit {bit} of byte {at}");
                }
            }
        }
    }

    #[test]
    fn a_file_of_an_earlier_build_is_read_without_its_sum() {
        let old = serde_json::json!({ "version": 1, "readers": stored() }).to_string();
        assert_eq!(understand(old.as_bytes()), Ok(Saved { number: None, readers: stored() }));
    }

    #[test]
    fn a_position_that_no_spool_comes_to_is_lost() {
        for segment in [BEYOND, u64::MAX] {
            let mut readers = stored();
            readers.get_mut("a").unwrap().position.segment = segment;
            let why = understand(&encode(&readers, 1).unwrap()).unwrap_err();
            assert!(why.contains("no spool comes to"), "{why}");
        }
    }

    fn at(offset: u64) -> Readers {
        let mut readers = stored();
        readers.get_mut("a").unwrap().position.offset = offset;
        readers
    }

    fn opened(directory: &Path) -> Option<u64> {
        let (_, readers) = Store::open(directory).unwrap();
        Some(readers?.get("a")?.position.offset)
    }

    #[test]
    fn of_two_places_the_one_stored_last_is_believed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let (mut store, nothing) = Store::open(directory.path()).unwrap();
        assert_eq!(nothing, None);
        let in_spare = |store: &mut Store, offset| {
            store.number += 1;
            let json = encode(&at(offset), store.number).unwrap();
            store.save_in_spare(&json, SpoolError::Full { path: path.clone() }).unwrap();
        };
        store.save(&at(1), true).unwrap();
        in_spare(&mut store, 2);
        assert_eq!(opened(directory.path()), Some(2));
        in_spare(&mut store, 3);
        assert_eq!(opened(directory.path()), Some(3));
        // Not synced, so the other stays.
        store.save(&at(4), false).unwrap();
        assert_eq!(opened(directory.path()), Some(4));
        // A power loss took what was not synced.
        fs::write(&path, "").unwrap();
        assert_eq!(opened(directory.path()), Some(3));
        // An earlier build wrote last.
        let old = serde_json::json!({ "version": 1, "readers": at(5) }).to_string();
        fs::write(&path, old).unwrap();
        assert_eq!(opened(directory.path()), Some(5));
        store.save(&at(6), true).unwrap();
        assert!(Spare::of(directory.path()).texts().is_empty());
        assert_eq!(opened(directory.path()), Some(6));
        // The numbers go on after a start, whichever was believed.
        in_spare(&mut store, 7);
        let (mut store, _) = Store::open(directory.path()).unwrap();
        store.save(&at(8), false).unwrap();
        assert_eq!(opened(directory.path()), Some(8));
    }
}
