//! `hold.json`: the operator's word on this host, which outranks everything remote.
//!
//! Version 1. A file that cannot be understood holds the host: a damaged "no" must not become a "yes".

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use linnet_fleet::atomic_file::{self, AtomicFileError};
use linnet_keys::release::Version;
use serde::{Deserialize, Serialize};
use thiserror::Error;

const SCHEMA_VERSION: u32 = 1;
const MAX_BYTES: u64 = 64 << 10;

/// What the operator said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Nothing is changed on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Word>,
    /// Only this version is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pin>,
}

/// When it was said, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// When.
    pub since: Timestamp,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A wanted version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Which.
    pub version: Version,
    /// When it was said, and why.
    #[serde(flatten)]
    pub word: Word,
}

/// Why the hold was not read or written.
#[derive(Debug, Error)]
pub enum HoldError {
    /// The system refused to read.
    #[error("read {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be understood.
    #[error(
        "{path:?} is damaged ({why}), so nothing is changed on this host: say again what is wanted, with `enable`, \
         `disable`, `pin` or `unpin`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It cannot be turned into JSON.
    #[error("encode the hold: {0}")]
    Encode(serde_json::Error),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicFileError),
}

#[derive(Serialize)]
struct Document<'h> {
    schema_version: u32,
    #[serde(flatten)]
    hold: &'h Hold,
}

#[derive(Deserialize)]
struct Versioned {
    schema_version: u32,
}

impl Hold {
    /// The hold at `path`; none where there is no file.
    ///
    /// # Errors
    /// [`HoldError::Read`] or [`HoldError::Damaged`].
    pub fn read(path: &Path) -> Result<Self, HoldError> {
        let mut bytes = Vec::new();
        match std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(HoldError::Read { path: path.to_owned(), source }),
            Ok(_) => {}
        }
        let damaged = |why: String| HoldError::Damaged { path: path.to_owned(), why };
        let Versioned { schema_version } =
            serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        if schema_version != SCHEMA_VERSION {
            return Err(damaged(format!(
                "schema version {schema_version}, this updater knows {SCHEMA_VERSION}"
            )));
        }
        serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))
    }

    /// Replaces the hold.
    ///
    /// # Errors
    /// [`HoldError::Encode`] or [`HoldError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), HoldError> {
        let mut json = serde_json::to_vec_pretty(&Document { schema_version: SCHEMA_VERSION, hold: self })
            .map_err(HoldError::Encode)?;
        json.push(b'\n');
        Ok(atomic_file::write(path, &json, 0o644)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_read_back_and_no_file_says_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hold.json");
        assert_eq!(Hold::read(&path).unwrap(), Hold::default());
        let word = Word { since: Timestamp::UNIX_EPOCH, why: Some("audit week".to_owned()) };
        let hold = Hold {
            disabled: Some(word.clone()),
            pinned: Some(Pin { version: "0.2.0".parse::<Version>().unwrap(), word }),
        };
        hold.write(&path).unwrap();
        assert_eq!(Hold::read(&path).unwrap(), hold);
    }

    #[test]
    fn a_damaged_no_is_not_a_yes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hold.json");
        for text in [
            "",
            "{}",
            "garbage",
            r#"{"schema_version":9}"#,
            r#"{"schema_version":1,"pinned":{"version":"x"}}"#,
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(Hold::read(&path), Err(HoldError::Damaged { .. })), "{text:?}");
        }
    }
}
