//! What a host was enrolled with: where its channel is, whom it trusts at first, and what its owner calls it.
//!
//! `/etc/linnet/enrolment.json`, one file for all programs of the host, written by `linnet-updater enrol` or by the
//! host's operator:
//!
//! ```json
//! {"channel": {"url": "https://linnet.example.org/"}, "root": "/etc/linnet/root.json", "tags": ["web", "eu"]}
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::settings::ChannelSettings;
use crate::settings_file::{self, SettingsError};

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

impl Enrolment {
    /// Reads the file; `None` for a host that was not enrolled.
    ///
    /// # Errors
    /// [`SettingsError`], with the file and the key.
    pub fn read(path: &Path) -> Result<Option<Self>, SettingsError> {
        match settings_file::read_capped(path, MAX_BYTES) {
            Err(error) if error.is_absence() => Ok(None),
            bytes => Self::parse(path, &bytes?).map(Some),
        }
    }

    /// Parses and checks the content of the file; `path` is for the messages.
    ///
    /// # Errors
    /// [`SettingsError::Shape`], [`SettingsError::Value`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, SettingsError> {
        settings_file::parse(path, bytes, Self::check)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        let plain = |tag: &String| {
            (1..=64).contains(&tag.len())
                && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
        };
        if self.tags.len() > MAX_TAGS || !self.tags.iter().all(plain) {
            return Err((
                "tags",
                format!("give at most {MAX_TAGS} tags of 1 to 64 letters, digits and ._:-"),
            ));
        }
        if !self.root.is_absolute() {
            return Err(("root", "give an absolute path".to_owned()));
        }
        Ok(())
    }
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
