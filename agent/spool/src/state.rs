//! `readers.json`: positions and accounts of all readers, replaced whole.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use linnet_fleet::atomic_file;
use serde::{Deserialize, Serialize};

use crate::{account::Account, counts::Counts, error::SpoolError};

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
struct Document {
    version: u32,
    readers: BTreeMap<String, Stored>,
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
    match serde_json::from_slice::<Document>(&bytes) {
        Ok(document) => Ok(Some(document.readers)),
        Err(error) => {
            log::error!("{path:?}: {error}: positions are lost, events may come twice");
            Ok(Some(BTreeMap::new()))
        }
    }
}

/// Replaces what is stored.
pub(crate) fn save(
    directory: &Path,
    readers: BTreeMap<String, Stored>,
    synced: bool,
) -> Result<(), SpoolError> {
    let path = path(directory);
    let document = Document { version: VERSION, readers };
    let json = serde_json::to_vec(&document)
        .map_err(|error| SpoolError::io("encode", &path)(io::Error::other(error)))?;
    let write = if synced { atomic_file::write } else { atomic_file::write_volatile };
    write(&path, &json, MODE).map_err(|error| SpoolError::io("replace", &path)(io::Error::other(error)))
}
