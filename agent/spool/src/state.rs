//! `readers.json`: positions and accounts of all readers, replaced whole.
//!
//! A digit that is another one would still be JSON, and could send a reader past everything that waits for it. So the text of
//! `readers` has a CRC beside it (a file without one is of an earlier build), and no position is believed that no spool comes to.

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

/// What was stored; empty where there is nothing that can be read, with a word why in the log.
pub(crate) fn load(directory: &Path) -> Result<Option<BTreeMap<String, Stored>>, SpoolError> {
    let path = path(directory);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            log::error!(
                "{path:?} is too long to be what it should: positions are lost, events may come twice"
            );
            return Ok(Some(BTreeMap::new()));
        }
        _ => {}
    }
    let bytes = fs::read(&path).map_err(SpoolError::io("read", &path))?;
    if let Ok(Versioned { version }) = serde_json::from_slice(&bytes)
        && version != VERSION
    {
        return Err(SpoolError::StateVersion { path, found: version });
    }
    match understand(&bytes) {
        Ok(readers) => Ok(Some(readers)),
        Err(why) => {
            log::error!("{path:?}: {why}: positions are lost, events may come twice");
            Ok(Some(BTreeMap::new()))
        }
    }
}

fn understand(bytes: &[u8]) -> Result<BTreeMap<String, Stored>, String> {
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
    write(&path, &json, MODE).map_err(|error| SpoolError::io("replace", &path)(io::Error::other(error)))
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
