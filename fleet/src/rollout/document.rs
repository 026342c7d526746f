//! `config/fleet.json`: parsed into typed values once, or refused whole with the key that is wrong.
//!
//! `update` is strict. Everything else is carried as it is: settings of the agent and of plugins are the agent's to
//! check, and keys of a later version must not strand an older host.

use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

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
    /// Which release whom to give when.
    pub update: Option<Update>,
    /// Everything else, unread.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
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
        let document: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
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
        Ok(document)
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
