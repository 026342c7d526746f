//! Reading a settings file: one JSON object, capped, into typed values, refused whole with the file and the key.
//!
//! The types refuse unknown keys themselves (`deny_unknown_fields`): a misspelt limit must not be taken for no limit.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::capped;

/// No settings file is larger than this.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// Why settings are refused. Each names the file, and the key where there is one.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file can't be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Larger than any settings file.
    #[error("{path}: larger than {max_bytes} bytes; is this the right file?")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read of such a file.
        max_bytes: usize,
    },
    /// Not JSON, or not of the expected shape.
    #[error("{path}: {key}: {message}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// Path of the key, such as `output.file.path`.
        key: String,
        /// What is wrong, with line and column.
        message: String,
    },
    /// A value outside what makes sense.
    #[error("{path}: {key}: {message}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Path of the key.
        key: &'static str,
        /// What is wrong and what to write instead.
        message: String,
    },
}

impl SettingsError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// The bytes of a settings file.
///
/// # Errors
/// [`SettingsError::Read`] or [`SettingsError::TooLarge`].
pub fn read(path: &Path) -> Result<Vec<u8>, SettingsError> {
    read_capped(path, MAX_FILE_BYTES)
}

/// As [`read`], for a file that has a lower bound of its own.
pub(crate) fn read_capped(path: &Path, max_bytes: usize) -> Result<Vec<u8>, SettingsError> {
    let bytes = capped::read(path, max_bytes)
        .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    bytes.ok_or_else(|| SettingsError::TooLarge { path: path.to_owned(), max_bytes })
}

/// A section of settings: a struct whose keys all have defaults, and that refuses others. The caller has serde's
/// `Deserialize` and `Serialize` in scope.
#[macro_export]
macro_rules! settings_section {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

/// Takes settings from bytes; `path` is for the messages. `check` has the bounds that types can't express, and gives the
/// key that is out of them and what to write instead.
///
/// # Errors
/// [`SettingsError::Shape`] or [`SettingsError::Value`].
pub fn parse<T: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
    check: impl FnOnce(&T) -> Result<(), (&'static str, String)>,
) -> Result<T, SettingsError> {
    let shape = |key: String, message: String| SettingsError::Shape { path: path.to_owned(), key, message };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let settings: T = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| shape(error.path().to_string(), error.into_inner().to_string()))?;
    json.end().map_err(|error| shape("end of file".to_owned(), error.to_string()))?;
    let value = |(key, message)| SettingsError::Value { path: path.to_owned(), key, message };
    check(&settings).map_err(value)?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Small {
        size: u32,
    }

    fn refused(text: &str) -> String {
        let check =
            |small: &Small| if small.size < 9 { Ok(()) } else { Err(("size", "give less".to_owned())) };
        parse(Path::new("a.json"), text.as_bytes(), check).unwrap_err().to_string()
    }

    #[test]
    fn every_refusal_names_file_and_key() {
        assert_eq!(refused(r#"{"size": 9}"#), "a.json: size: give less");
        assert!(refused(r#"{"size": "9"}"#).starts_with("a.json: size: invalid type"));
        assert!(refused(r#"{"size": 1, "sise": 2}"#).starts_with("a.json: sise: unknown field"));
        assert!(refused(r#"{"size": 1} {}"#).starts_with("a.json: end of file"));
        assert!(refused("").contains("EOF"));
    }

    #[test]
    fn a_file_that_is_too_long_or_not_there_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        assert!(read(&path).unwrap_err().is_absence());
        std::fs::write(&path, vec![b' '; MAX_FILE_BYTES + 1]).unwrap();
        assert!(matches!(read(&path), Err(SettingsError::TooLarge { .. })));
    }
}
