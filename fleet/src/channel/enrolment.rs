//! What a host was enrolled with: where its channel is, whom it trusts at first, and what its owner calls it.
//!
//! `/etc/linnet/enrolment.json`, one file for all programs of the host, written by `linnet-updater enrol` or by the
//! host's operator:
//!
//! ```json
//! {"channel": {"url": "https://linnet.example.org/"}, "root": "/etc/linnet/root.json", "tags": ["web", "eu"]}
//! ```

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::settings::ChannelSettings;
use crate::capped;

/// Where the file is.
pub const ENROLMENT_PATH: &str = "/etc/linnet/enrolment.json";
/// Where the root of trust of an enrolment is put.
pub const ROOT_PATH: &str = "/etc/linnet/root.json";
/// Longest file that is read.
const MAX_BYTES: usize = 64 << 10;
const MAX_TAGS: usize = 64;

/// What a host was enrolled with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Where the channel is, and how it is reached.
    pub channel: ChannelSettings,
    /// The root metadata that trust begins with.
    #[serde(default = "default_root")]
    pub root: PathBuf,
    /// What overrides can be for.
    #[serde(default)]
    pub tags: Vec<String>,
}

fn default_root() -> PathBuf {
    PathBuf::from(ROOT_PATH)
}

/// Why an enrolment is refused.
#[derive(Debug, Error)]
pub enum EnrolmentError {
    /// The file can't be read.
    #[error("read {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not an enrolment.
    #[error("{path:?}: {key}: {message}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
}

impl Enrolment {
    /// Reads the file; `None` for a host that was not enrolled.
    ///
    /// # Errors
    /// [`EnrolmentError`], with the file and the key.
    pub fn read(path: &Path) -> Result<Option<Self>, EnrolmentError> {
        match capped::read(path, MAX_BYTES) {
            Ok(Some(bytes)) => Self::parse(path, &bytes).map(Some),
            Ok(None) => Err(shape(path, "the file", format!("is longer than {MAX_BYTES} bytes"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(EnrolmentError::Read { path: path.to_owned(), source }),
        }
    }

    /// Parses and checks the content of the file; `path` is for the messages.
    ///
    /// # Errors
    /// [`EnrolmentError::Shape`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, EnrolmentError> {
        let shape = |key: &str, message: String| shape(path, key, message);
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let enrolment: Self = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| shape(&error.path().to_string(), error.into_inner().to_string()))?;
        json.end().map_err(|error| shape("the file", error.to_string()))?;
        let plain = |tag: &String| {
            (1..=64).contains(&tag.len())
                && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
        };
        if enrolment.tags.len() > MAX_TAGS || !enrolment.tags.iter().all(plain) {
            let message = format!("give at most {MAX_TAGS} tags of 1 to 64 letters, digits and ._:-");
            return Err(shape("tags", message));
        }
        if !enrolment.root.is_absolute() {
            return Err(shape("root", "give an absolute path".to_owned()));
        }
        Ok(enrolment)
    }
}

fn shape(path: &Path, key: &str, message: String) -> EnrolmentError {
    EnrolmentError::Shape { path: path.to_owned(), key: key.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Enrolment>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("enrolment.json");
        std::fs::write(&path, text).unwrap();
        Enrolment::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_url_is_enough() {
        let enrolment = read(r#"{"channel": {"url": "https://x.example/"}}"#).unwrap().unwrap();
        assert_eq!(enrolment.channel, ChannelSettings::new("https://x.example/"));
        assert_eq!(enrolment.root, Path::new("/etc/linnet/root.json"));
        assert!(enrolment.tags.is_empty());
    }

    #[test]
    fn no_file_is_no_enrolment() {
        assert_eq!(Enrolment::read(Path::new("/nonexistent/enrolment.json")).unwrap(), None);
    }

    #[test]
    fn mistakes_name_the_key() {
        for (text, key) in [
            ("", "EOF"),
            ("{}", "missing field `channel`"),
            (r#"{"channel": {"url": "x", "ca": "y"}}"#, "channel.ca: unknown field"),
            (r#"{"channel": {"url": "x"}, "tag": []}"#, "tag: unknown field"),
            (r#"{"channel": {"url": "x"}, "tags": ["a b"]}"#, "tags: give at most"),
            (r#"{"channel": {"url": "x"}, "root": "root.json"}"#, "root: give an absolute path"),
            (r#"{"channel": {"url": "x"}} {}"#, "trailing"),
        ] {
            let refusal = read(text).unwrap_err();
            assert!(refusal.contains(key), "{refusal}");
        }
    }
}
