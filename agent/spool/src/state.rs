//! `readers.json`: positions and accounts of all readers, replaced whole.
//!
//! A digit that is another one would still be JSON, and could send a reader past everything that waits for it. So the text of
//! `readers` has a CRC beside it (a file without one is of an earlier build), and no position is believed that no spool comes to.
//!
//! Most times it is replaced without waiting for the disk. Some file systems (XFS) have the new name on the disk before the content, so
//! a power loss may leave an empty file. What was brought to the disk last has a second name, `readers.synced.json`, and is believed
//! where the first is of no use; no segment is deleted that it still needs.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use linnet_fleet::atomic_file;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    account::Account,
    counts::{BEYOND, Counts},
    error::SpoolError,
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

#[derive(Serialize, Deserialize)]
struct Document<'t> {
    version: u32,
    /// Of the text of `readers`.
    #[serde(default)]
    readers_crc: Option<u32>,
    #[serde(borrow)]
    readers: &'t RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// What was stored; empty where there is nothing that can be read, with a word why in the log. None where nothing ever was.
pub(crate) fn load(directory: &Path) -> Result<Option<BTreeMap<String, Stored>>, SpoolError> {
    let path = path(directory);
    let why = match read(&path)? {
        None => return Ok(None),
        Some(Ok(readers)) => return Ok(Some(readers)),
        Some(Err(why)) => why,
    };
    if let Some(Ok(readers)) = read(&directory.join(SYNCED))? {
        log::warn!("{path:?}: {why}: positions are those of the last sync, events may come twice");
        return Ok(Some(readers));
    }
    log::error!("{path:?}: {why}: positions are lost, events may come twice");
    Ok(Some(BTreeMap::new()))
}

/// What a file holds, or why it is of no use.
type Content = Result<BTreeMap<String, Stored>, String>;

/// None where there is no file.
fn read(path: &Path) -> Result<Option<Content>, SpoolError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            return Ok(Some(Err("it is too long to be what it should".to_owned())));
        }
        _ => {}
    }
    let bytes = fs::read(path).map_err(SpoolError::io("read", path))?;
    match serde_json::from_slice(&bytes) {
        Ok(Versioned { version }) if version != VERSION => {
            Err(SpoolError::StateVersion { path: path.to_owned(), found: version })
        }
        _ => Ok(Some(understand(&bytes))),
    }
}

fn understand(bytes: &[u8]) -> Content {
    let document: Document<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let text = document.readers.get();
    if document.readers_crc.is_some_and(|crc| crc != crc32fast::hash(text.as_bytes())) {
        return Err("it is not what was written".to_owned());
    }
    let readers: BTreeMap<String, Stored> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let is_possible = |stored: &Stored| {
        stored.position.segment < BEYOND
            && stored.reached.is_possible()
            && stored.holes.iter().all(|hole| hole.to.is_possible())
    };
    match readers.iter().find(|(_, stored)| !is_possible(stored)) {
        Some((name, _)) => Err(format!("the position of {name:?} is one that no spool comes to")),
        None => Ok(readers),
    }
}

/// Replaces what is stored.
pub(crate) fn save(
    directory: &Path,
    readers: &BTreeMap<String, Stored>,
    synced: bool,
) -> Result<(), SpoolError> {
    let path = path(directory);
    let json = encode(readers).map_err(|error| SpoolError::io("encode", &path)(io::Error::other(error)))?;
    let write = if synced { atomic_file::write } else { atomic_file::write_volatile };
    write(&path, &json, MODE).map_err(|error| SpoolError::io("replace", &path)(io::Error::other(error)))?;
    if synced && let Err(error) = name_twice(directory, &path) {
        // Some file systems know no second names; with those it is as it always was.
        log::debug!("spool: {SYNCED}: {error}");
    }
    Ok(())
}

/// The file keeps its second name when the first goes to the next one.
fn name_twice(directory: &Path, path: &Path) -> io::Result<()> {
    let new = directory.join(".readers.synced.json.tmp");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::hard_link(path, &new)?;
    fs::rename(&new, directory.join(SYNCED))
}

fn encode(readers: &BTreeMap<String, Stored>) -> serde_json::Result<Vec<u8>> {
    let readers = serde_json::value::to_raw_value(readers)?;
    let readers_crc = Some(crc32fast::hash(readers.get().as_bytes()));
    serde_json::to_vec(&Document { version: VERSION, readers_crc, readers: &readers })
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
        let good = encode(&stored()).unwrap();
        assert_eq!(understand(&good), Ok(stored()));
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                if let Ok(understood) = understand(&bad) {
                    assert_eq!(understood, stored(), "bit {bit} of byte {at}");
                }
            }
        }
    }

    #[test]
    fn a_file_of_an_earlier_build_is_read_without_its_sum() {
        let old = serde_json::json!({ "version": 1, "readers": stored() }).to_string();
        assert_eq!(understand(old.as_bytes()), Ok(stored()));
    }

    #[test]
    fn a_position_that_no_spool_comes_to_is_lost() {
        for segment in [BEYOND, u64::MAX] {
            let mut readers = stored();
            readers.get_mut("a").unwrap().position.segment = segment;
            let why = understand(&encode(&readers).unwrap()).unwrap_err();
            assert!(why.contains("no spool comes to"), "{why}");
        }
    }
}
