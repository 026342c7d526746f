//! Overrides: parts of the fleet's document for some hosts.
//!
//! An override says whom it is for (`match`) and what is different there (`patch`, with the sections `agent`, `plugins`
//! and `update`). Those that match a host are laid over the document in their order, object by object; anything else
//! replaces what was there, `null` included, which an optional key takes for nothing.
//!
//! A settings change is rolled out by an override with `waves`: its share of the hosts grows with time, `halt` takes it
//! back from all at once, and when it is with everybody the publisher folds it into the document. So what a host runs
//! follows from the document and the time alone, and a host that comes back after a week needs no history.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::host::HostId;

use super::bucket::{Bucket, Permille};
use super::update::{Wave, check_waves};

/// Most overrides of a document.
pub const MAX_OVERRIDES: usize = 256;
const MAX_NAME_BYTES: usize = 64;
/// The sections that an override may change.
const SECTIONS: [&str; 3] = ["agent", "plugins", "update"];

/// Something that is different for some hosts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Its name in messages and in `config --effective`; unique in the document.
    pub name: String,
    /// Whom it is for.
    #[serde(rename = "match")]
    pub of: Match,
    /// Takes it back from all hosts.
    #[serde(default)]
    pub halt: bool,
    /// What is different, by section.
    pub patch: Map<String, Value>,
}

/// Whom an override is for: hosts of which *everything* given here is true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// The host carries one of these tags.
    pub tags: Option<Vec<String>>,
    /// The host's name or id is one of these.
    pub hosts: Option<Vec<String>>,
    /// The host's bucket is in this share.
    pub permille: Option<Permille>,
    /// The host's bucket is in the share of the last wave that has begun.
    pub waves: Option<Vec<Wave>>,
    /// Draws the buckets; the override's name where it is missing.
    pub salt: Option<String>,
}

/// What overrides ask of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostTraits {
    /// Draws its bucket; a host without one is in a share only when that is everybody.
    pub id: Option<HostId>,
    /// Its name, as `uname -n` says it.
    pub hostname: String,
    /// What its owner calls it.
    pub tags: Vec<String>,
}

impl Override {
    /// Whether it is for this host now.
    #[must_use]
    pub fn is_for(&self, host: &HostTraits, now: Timestamp) -> bool {
        if self.halt {
            return false;
        }
        let Match { tags, hosts, permille, waves, salt } = &self.of;
        let salt = salt.as_deref().unwrap_or(&self.name);
        let bucket = host.id.as_ref().map_or(Bucket::LAST, |id| Bucket::of(salt, id));
        let id = host.id.as_ref().map(ToString::to_string);
        let is_named = |name: &String| *name == host.hostname || Some(name) == id.as_ref();
        let begun = |waves: &[Wave]| waves.iter().rev().find(|wave| wave.at <= now).map(|wave| wave.permille);
        tags.as_ref().is_none_or(|tags| tags.iter().any(|tag| host.tags.contains(tag)))
            && hosts.as_ref().is_none_or(|hosts| hosts.iter().any(is_named))
            && permille.is_none_or(|share| bucket.is_in(share))
            && waves.as_ref().is_none_or(|waves| begun(waves).is_some_and(|share| bucket.is_in(share)))
    }

    /// The rules that types can't express; the error is the key below the override and what is wrong with it.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let refused = |key: &str, message: String| Err((key.to_owned(), message));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if self.name.is_empty() || self.name.len() > MAX_NAME_BYTES || !self.name.bytes().all(plain) {
            return refused("name", format!("give 1 to {MAX_NAME_BYTES} letters, digits and ._-"));
        }
        for (key, list) in [("match.tags", &self.of.tags), ("match.hosts", &self.of.hosts)] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                return refused(key, "is empty, so it matches nobody: leave it out to match all".to_owned());
            }
        }
        if let Some(waves) = &self.of.waves {
            if self.of.permille.is_some() {
                return refused("match.permille", "stands beside waves: give one of the two".to_owned());
            }
            if waves.is_empty() {
                return refused("match.waves", "is empty, so it matches nobody".to_owned());
            }
            check_waves(waves).map_err(|(key, message)| (format!("match.{key}"), message))?;
        }
        for (section, patch) in &self.patch {
            if !SECTIONS.contains(&section.as_str()) {
                return refused(&format!("patch.{section}"), format!("is none of {}", SECTIONS.join(", ")));
            }
            if !patch.is_object() {
                return refused(&format!("patch.{section}"), "is not an object".to_owned());
            }
        }
        Ok(())
    }
}

/// Lays one value over another: objects key by key, anything else in place of what was there.
pub fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::FleetDocument;

    fn host(number: u32, tags: &[&str]) -> HostTraits {
        HostTraits {
            id: HostId::derive(&format!("{:032x}", u128::from(number) + 1)),
            hostname: format!("host{number}"),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        }
    }

    fn document(overrides: &str) -> FleetDocument {
        let text = format!(
            r#"{{"version": 1, "agent": {{"a": 1}}, "update": {{"halt": false}}, "overrides": {overrides}}}"#
        );
        FleetDocument::parse(text.as_bytes()).unwrap()
    }

    fn refused(overrides: &str) -> String {
        let text = format!(r#"{{"version": 1, "overrides": {overrides}}}"#);
        FleetDocument::parse(text.as_bytes()).unwrap_err().to_string()
    }

    const NOW: &str = "2026-11-21T00:00:00Z";

    fn names(document: &FleetDocument, host: &HostTraits) -> Vec<String> {
        let layers = document.layers("agent", host, NOW.parse().unwrap());
        layers.into_iter().map(|(name, _)| name.unwrap_or("base").to_owned()).collect()
    }

    #[test]
    fn everything_that_is_given_must_be_true() {
        let document = document(
            r#"[{"name": "all", "match": {}, "patch": {"agent": {"b": 1}}},
                {"name": "web", "match": {"tags": ["web", "www"]}, "patch": {"agent": {"b": 2}}},
                {"name": "one", "match": {"hosts": ["host7"], "tags": ["web"]}, "patch": {"agent": {"b": 3}}},
                {"name": "off", "match": {}, "halt": true, "patch": {"agent": {"b": 4}}},
                {"name": "other", "match": {}, "patch": {"plugins": {}}}]"#,
        );
        assert_eq!(names(&document, &host(1, &[])), ["base", "all"]);
        assert_eq!(names(&document, &host(1, &["www"])), ["base", "all", "web"]);
        assert_eq!(names(&document, &host(7, &[])), ["base", "all"]);
        assert_eq!(names(&document, &host(7, &["web"])), ["base", "all", "web", "one"]);
    }

    #[test]
    fn a_host_is_named_by_its_id_too() {
        let here = host(3, &[]);
        let id = here.id.as_ref().unwrap();
        let by_id = document(&format!(
            r#"[{{"name": "x", "match": {{"hosts": ["{id}"]}}, "patch": {{"agent": {{}}}}}}]"#
        ));
        assert_eq!(names(&by_id, &here), ["base", "x"]);
        assert_eq!(names(&by_id, &host(4, &[])), ["base"]);
    }

    #[test]
    fn a_change_grows_by_its_waves_and_halt_takes_it_back() {
        let waves = r#"[{"at": "2026-11-20T00:00:00Z", "permille": 100}, {"at": "2026-11-22T00:00:00Z", "permille": 1000}]"#;
        let change = |halt: bool| {
            document(&format!(
                r#"[{{"name": "argv", "match": {{"waves": {waves}}}, "halt": {halt}, "patch": {{"agent": {{"b": 1}}}}}}]"#
            ))
        };
        let count = |document: &FleetDocument, now: &str| {
            let now = now.parse().unwrap();
            (0..1000).filter(|&n| document.overrides[0].is_for(&host(n, &[]), now)).count()
        };
        let growing = change(false);
        assert_eq!(count(&growing, "2026-11-19T00:00:00Z"), 0);
        // 100 expected, standard deviation 9.5.
        assert!((50..=150).contains(&count(&growing, NOW)), "{}", count(&growing, NOW));
        assert_eq!(count(&growing, "2026-11-22T00:00:00Z"), 1000);
        assert_eq!(count(&change(true), "2026-11-22T00:00:00Z"), 0);
        let nameless = HostTraits::default();
        assert!(!growing.overrides[0].is_for(&nameless, NOW.parse().unwrap()));
        assert!(growing.overrides[0].is_for(&nameless, "2026-11-22T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn the_update_section_of_a_host_has_its_overrides() {
        let document =
            document(r#"[{"name": "hold", "match": {"tags": ["db"]}, "patch": {"update": {"halt": true}}}]"#);
        let now = NOW.parse().unwrap();
        assert!(!document.update_for(&host(1, &[]), now).unwrap().unwrap().halt);
        assert!(document.update_for(&host(1, &["db"]), now).unwrap().unwrap().halt);
    }

    #[test]
    fn mistakes_are_refused_by_the_path_of_their_key() {
        for (overrides, message) in [
            (r#"[{"name": "a b", "match": {}, "patch": {}}]"#, "overrides[0].name "),
            (
                r#"[{"name": "a", "match": {}, "patch": {}}, {"name": "a", "match": {}, "patch": {}}]"#,
                "overrides[1].name ",
            ),
            (
                r#"[{"name": "a", "match": {"tag": ["x"]}, "patch": {}}]"#,
                "overrides[0].match.tag: unknown field",
            ),
            (r#"[{"name": "a", "match": {"tags": []}, "patch": {}}]"#, "overrides[0].match.tags is empty"),
            (
                r#"[{"name": "a", "match": {"permille": 1001}, "patch": {}}]"#,
                "overrides[0].match.permille: 1001 is outside",
            ),
            (r#"[{"name": "a", "match": {"waves": []}, "patch": {}}]"#, "overrides[0].match.waves is empty"),
            (
                r#"[{"name": "a", "match": {}, "patch": {"agents": {}}}]"#,
                "overrides[0].patch.agents is none of",
            ),
            (
                r#"[{"name": "a", "match": {}, "patch": {"agent": 1}}]"#,
                "overrides[0].patch.agent is not an object",
            ),
            (
                r#"[{"name": "a", "match": {}, "patch": {"update": {"halt": 1}}}]"#,
                "overrides[0].patch.update",
            ),
            (r#"[{"name": "a", "patch": {}}]"#, "overrides[0]: missing field `match`"),
        ] {
            let refusal = refused(overrides);
            assert!(refusal.starts_with(message), "{refusal}");
        }
    }

    #[test]
    fn objects_merge_and_everything_else_replaces() {
        let mut target = serde_json::json!({"a": {"b": 1, "c": [1, 2]}, "d": 1});
        merge(&mut target, &serde_json::json!({"a": {"c": [3], "e": {"f": null}}, "d": {"g": 1}}));
        assert_eq!(target, serde_json::json!({"a": {"b": 1, "c": [3], "e": {"f": null}}, "d": {"g": 1}}));
    }
}
