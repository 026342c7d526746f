//! `config/fleet.json`: parsed into typed values once, or refused whole with the key that is wrong.
//!
//! `update` is strict. Everything else is carried as it is: settings of the agent and of plugins are the agent's to
//! check, and keys of a later version must not strand an older host.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

use super::overrides::{HostTraits, MAX_OVERRIDES, Override, merge};
use super::update::Update;

/// A document that is longer is refused before it is parsed.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// Why a document was refused. It is refused whole; what the host has stays.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// Longer than [`MAX_DOCUMENT_BYTES`].
    #[error("the document has {bytes} bytes, at most {MAX_DOCUMENT_BYTES} are taken")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not of the document's form, an unknown key in `update` included.
    #[error("{key}: {message}")]
    Shape {
        /// The path of the key, as `update.waves[1].permille`.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// Of the form, but against a rule.
    #[error("{key} {message}")]
    Rule {
        /// The path of the key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
}

/// What an operator publishes to the fleet.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct FleetDocument {
    /// Grows with each document, so that *running*, *received* and *refused* can be told apart.
    pub version: u64,
    /// Which release whom to give when, where no override says otherwise.
    pub update: Option<Update>,
    /// What is different for some hosts.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// Everything else, unread.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
    /// `update` as it was written, for overrides to be laid over.
    #[serde(skip)]
    update_source: Option<Value>,
}

/// The one key that is read a second time.
#[derive(Deserialize)]
struct Source {
    update: Option<Value>,
}

impl FleetDocument {
    /// Parses and checks a document.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(DocumentError::TooLong { bytes: bytes.len() });
        }
        let shape = |key: String, message: String| DocumentError::Shape { key, message };
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let mut document: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let key = match error.path().to_string() {
                path if path == "." => "the document".to_owned(),
                path => path,
            };
            shape(key, error.into_inner().to_string())
        })?;
        json.end().map_err(|error| shape("the document".to_owned(), error.to_string()))?;
        if let Some(update) = &document.update {
            update
                .check()
                .map_err(|(key, message)| DocumentError::Rule { key: format!("update.{key}"), message })?;
        }
        let source: Source =
            serde_json::from_slice(bytes).map_err(|error| shape("update".to_owned(), error.to_string()))?;
        document.update_source = source.update;
        document.check_overrides()?;
        Ok(document)
    }

    fn check_overrides(&self) -> Result<(), DocumentError> {
        let rule = |key: String, message: String| DocumentError::Rule { key, message };
        if self.overrides.len() > MAX_OVERRIDES {
            return Err(rule("overrides".to_owned(), format!("are more than {MAX_OVERRIDES}")));
        }
        for (number, one) in self.overrides.iter().enumerate() {
            let below = |key: &str| format!("overrides[{number}].{key}");
            one.check().map_err(|(key, message)| rule(below(&key), message))?;
            if self.overrides.iter().take(number).any(|earlier| earlier.name == one.name) {
                return Err(rule(below("name"), format!("{} is there twice", one.name)));
            }
            if let Some(patch) = one.patch.get("update") {
                self.update_with(&[patch]).map_err(|(key, message)| DocumentError::Shape {
                    key: below(&format!("patch.update{key}")),
                    message,
                })?;
            }
        }
        Ok(())
    }

    /// One section as this host has it: the document's own part, then the patch of each override that is for the host
    /// now, with its name.
    #[must_use]
    pub fn layers(&self, section: &str, host: &HostTraits, now: Timestamp) -> Vec<(Option<&str>, &Value)> {
        let own = self.rest.get(section).map(|own| (None, own));
        let patches = self.overrides.iter().filter(|one| one.is_for(host, now));
        let patches = patches.filter_map(|one| Some((Some(one.name.as_str()), one.patch.get(section)?)));
        own.into_iter().chain(patches).collect()
    }

    /// The update section of this host.
    ///
    /// # Errors
    /// [`DocumentError::Rule`] when overrides that are each well by themselves contradict each other.
    pub fn update_for(&self, host: &HostTraits, now: Timestamp) -> Result<Option<Update>, DocumentError> {
        let patches = self.overrides.iter().filter(|one| one.is_for(host, now));
        let patches: Vec<_> = patches.filter_map(|one| one.patch.get("update")).collect();
        if patches.is_empty() {
            return Ok(self.update.clone());
        }
        let merged = self.update_with(&patches);
        let merged = merged.map_err(|(key, message)| DocumentError::Rule {
            key: format!("update{key} with the overrides of this host"),
            message,
        })?;
        Ok(Some(merged))
    }

    fn update_with(&self, patches: &[&Value]) -> Result<Update, (String, String)> {
        let mut merged = self.update_source.clone().unwrap_or_else(|| Value::Object(Map::new()));
        for patch in patches {
            merge(&mut merged, patch);
        }
        let update: Update = serde_path_to_error::deserialize(&merged).map_err(|error| {
            let key = match error.path().to_string() {
                path if path == "." => String::new(),
                path => format!(".{path}"),
            };
            (key, error.into_inner().to_string())
        })?;
        update.check().map_err(|(key, message)| (format!(".{key}"), message))?;
        Ok(update)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::Release;

    const FULL: &str = r#"{"version": 7, "agent": {"x": 1}, "later": true, "update": {
        "release": {"x86_64": "release/linnet-0.2.0-x86_64.tar.gz"}, "halt": false, "salt": "0.2.0",
        "waves": [{"at": "2026-11-20T00:00:00Z", "permille": 10}, {"at": "2026-11-21T00:00:00Z", "permille": 1000}],
        "window": {"days": ["mon", "tue"], "from": "01:00", "to": "05:00"}}}"#;

    #[test]
    fn a_full_document_is_read_and_other_sections_are_carried() {
        let document = FleetDocument::parse(FULL.as_bytes()).unwrap();
        assert_eq!(document.version, 7);
        let update = document.update.unwrap();
        let path = update.release.as_ref().and_then(|r| r.for_arch("x86_64"));
        assert_eq!(path, Some("release/linnet-0.2.0-x86_64.tar.gz"));
        assert_eq!(update.release.unwrap().for_arch("aarch64"), None);
        assert_eq!(update.waves.len(), 2);
        assert_eq!(document.rest.keys().collect::<Vec<_>>(), ["agent", "later"]);

        let small =
            FleetDocument::parse(br#"{"version":1,"update":{"release":"release/a.tar.gz"}}"#).unwrap();
        assert_eq!(small.update.unwrap().release, Some(Release::Any("release/a.tar.gz".to_owned())));
        assert_eq!(FleetDocument::parse(br#"{"version":1}"#).unwrap().update, None);
    }

    #[test]
    fn each_mistake_is_refused_by_the_path_of_its_key() {
        let wave = |a: &str, b: &str| format!(r#"{{"version":1,"update":{{"waves":[{a},{b}]}}}}"#);
        let update = |section: &str| format!(r#"{{"version":1,"update":{{{section}}}}}"#);
        for (document, key) in [
            (update(r#""hold":true"#), "update.hold"),
            (update(r#""halt":"yes""#), "update.halt"),
            (update(r#""release":7"#), "update.release"),
            (update(r#""release":"config/fleet.json""#), "update.release"),
            (update(r#""release":"release/../x""#), "update.release"),
            (update(r#""release":"release//x""#), "update.release"),
            (update(r#""release":"release/\u001b[31m""#), "update.release"),
            (update(r#""release":{"x86_64":"/etc/passwd"}"#), "update.release.x86_64"),
            (update(r#""window":{"from":"01:00","to":"05:00","day":["mon"]}"#), "update.window.day"),
            (
                update(r#""window":{"from":"01:00","to":"05:00","days":["mon","mox"]}"#),
                "update.window.days[1]",
            ),
            (update(r#""window":{"from":"1","to":"05:00"}"#), "update.window.from"),
            (update(r#""window":{"from":"05:00","to":"05:00"}"#), "update.window.to"),
            (update(r#""window":{"from":"24:00","to":"05:00"}"#), "update.window.from"),
            (update(r#""window":{"from":"01:00","to":"05:00","days":[]}"#), "update.window.days"),
            (
                wave(
                    r#"{"at":"2026-11-20T00:00:00Z","permille":10}"#,
                    r#"{"at":"2026-11-20T00:00:00Z","permille":10}"#,
                ),
                "update.waves[1].at",
            ),
            (
                wave(
                    r#"{"at":"2026-11-20T00:00:00Z","permille":10}"#,
                    r#"{"at":"2026-11-21T00:00:00Z","permille":9}"#,
                ),
                "update.waves[1].permille",
            ),
            (wave(r#"{"at":"2026-11-20T00:00:00Z","permille":1001}"#, "{}"), "update.waves[0].permille"),
            (wave(r#"{"at":"2026-11-20T00:00:00Z","permille":1,"x":1}"#, "{}"), "update.waves[0].x"),
            (wave(r#"{"at":"soon","permille":1}"#, "{}"), "update.waves[0].at"),
            (update(&format!(r#""salt":"{}""#, "x".repeat(129))), "update.salt"),
            (r#"{"update":{}}"#.to_owned(), "the document"),
            ("<html>".to_owned(), "the document"),
            (r#"{"version":1,"update":[]}"#.to_owned(), "update"),
            (r#"{"version":1} trailing"#.to_owned(), "the document"),
            (r#"{"version":-1}"#.to_owned(), "version"),
        ] {
            match FleetDocument::parse(document.as_bytes()) {
                Err(DocumentError::Shape { key: found, .. } | DocumentError::Rule { key: found, .. }) => {
                    assert_eq!(found, key, "{document}");
                }
                other => panic!("{document}: {other:?}"),
            }
        }
        let long = vec![b' '; MAX_DOCUMENT_BYTES + 1];
        assert!(matches!(FleetDocument::parse(&long), Err(DocumentError::TooLong { .. })));
    }
}
