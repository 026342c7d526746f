//! `state.json`: the persisted state.
//!
//! Version 1. Replaced whole and synced before it counts. A file that cannot be understood (empty, cut, garbage, of a
//! newer schema) is put aside as `state.json.damaged` and told; the state is then rebuilt from the disk, see
//! [`crate::engine`]. What is not known within version 1 is ignored.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use linnet_fleet::atomic_file::{self, AtomicFileError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::kill_point;
use crate::machine::State;

/// The schema that this code writes.
pub const SCHEMA_VERSION: u32 = 1;
const MAX_BYTES: u64 = 1 << 20;
const MODE: u32 = 0o644;

/// Why the state was not read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The system refused to read.
    #[error("read {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is there, and cannot be understood.
    #[error("{path:?} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It cannot be turned into JSON.
    #[error("encode the state: {0}")]
    Encode(serde_json::Error),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicFileError),
}

#[derive(Serialize)]
struct Document<'s> {
    schema_version: u32,
    #[serde(flatten)]
    state: &'s State,
}

#[derive(Deserialize)]
struct Versioned {
    schema_version: u32,
}

/// The state at `path`; none where there is no file.
///
/// # Errors
/// [`StoreError::Read`] or [`StoreError::Damaged`].
pub fn read(path: &Path) -> Result<Option<State>, StoreError> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::Read { path: path.to_owned(), source }),
        Ok(_) => {}
    }
    let damaged = |why: String| StoreError::Damaged { path: path.to_owned(), why };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(damaged(format!("longer than {MAX_BYTES} bytes")));
    }
    let Versioned { schema_version } =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if schema_version != SCHEMA_VERSION {
        return Err(damaged(format!("schema version {schema_version}, this updater knows {SCHEMA_VERSION}")));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(error.to_string()))
}

/// Replaces the state. When it returns, the state survives a power loss.
///
/// # Errors
/// [`StoreError::Encode`] or [`StoreError::Write`].
pub fn write(path: &Path, state: &State) -> Result<(), StoreError> {
    let mut json = serde_json::to_vec_pretty(&Document { schema_version: SCHEMA_VERSION, state })
        .map_err(StoreError::Encode)?;
    json.push(b'\n');
    kill_point::reach("before-state-write");
    atomic_file::write(path, &json, MODE)?;
    kill_point::reach("after-state-write");
    Ok(())
}

/// Puts a damaged file aside, so that it can be looked at. Only the last one is kept.
///
/// # Errors
/// What the system said.
pub fn put_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension("json.damaged");
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        assert_eq!(read(&path).unwrap(), None);
        let state = State { transitions: 7, ..State::default() };
        write(&path, &state).unwrap();
        assert_eq!(read(&path).unwrap(), Some(state));
    }

    #[test]
    fn every_cut_of_a_document_and_every_other_version_is_damaged_and_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        write(&path, &State::default()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for end in 0..whole.len() - 2 {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert!(matches!(read(&path), Err(StoreError::Damaged { .. })), "cut at {end}");
        }
        for text in ["", "\0\0\0\0", "[]", "{}", r#"{"schema_version":2,"phase":{"name":"idle"}}"#, "<html>"]
        {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{text:?}: {error}");
        }
        let aside = put_aside(&path).unwrap();
        assert_eq!(aside.file_name().unwrap(), "state.json.damaged");
        assert_eq!(read(&path).unwrap(), None);
    }

    #[test]
    fn additions_within_the_version_are_tolerated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        std::fs::write(&path, r#"{"schema_version":1,"phase":{"name":"idle","later":1},"later":[]}"#)
            .unwrap();
        assert_eq!(read(&path).unwrap(), Some(State::default()));
    }
}
