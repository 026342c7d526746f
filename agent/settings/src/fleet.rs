//! The `agent` and `plugins` parts of the fleet's document: what a host makes of them, and whether every host could take
//! them.
//!
//! `plugins` is `agent.plugins.enabled` by a shorter name, so it has the same keys, layers and origins.

use jiff::Timestamp;
use linnet_fleet::rollout::{FleetDocument, HostTraits, merge};
use serde_json::{Map, Value, json};

use crate::layers::{Effective, Layer, LayerError, Origin, check_fleet, effective};

/// A layer of the document's, put together from its sections.
type Part = (Origin, Value);

/// The settings of one host: the document, its overrides for this host now, and the host's own file.
///
/// # Errors
/// [`LayerError`].
pub fn settings_of(
    document: &FleetDocument,
    host: &HostTraits,
    local: Option<&Value>,
    now: Timestamp,
) -> Result<Effective, LayerError> {
    let overrides = document.overrides.iter().filter(|one| one.is_for(host, now));
    let parts: Vec<Part> = base(document)
        .into_iter()
        .chain(overrides.filter_map(|one| part(Origin::Override(one.name.clone()), &one.patch)))
        .collect();
    effective(&layers(&parts), local)
}

/// Whether every host could take this document: the publisher's tool asks what the agent asks.
///
/// # Errors
/// Which layer and key is wrong, and why.
pub fn check(document: &FleetDocument) -> Result<(), LayerError> {
    let nothing = (Origin::Fleet, Value::Object(Map::new()));
    let base = [base(document).unwrap_or(nothing)];
    let overrides: Vec<Part> = document
        .overrides
        .iter()
        .filter_map(|one| part(Origin::Override(one.name.clone()), &one.patch))
        .collect();
    let [(origin, patch)] = &base;
    check_fleet(&Layer { origin: origin.clone(), patch }, &layers(&overrides))
}

fn base(document: &FleetDocument) -> Option<Part> {
    part(Origin::Fleet, &document.rest)
}

fn part(origin: Origin, sections: &Map<String, Value>) -> Option<Part> {
    let (agent, plugins) = (sections.get("agent"), sections.get("plugins"));
    let mut patch = agent.cloned();
    if let Some(plugins) = plugins {
        merge(
            patch.get_or_insert_with(|| Value::Object(Map::new())),
            &json!({ "plugins": { "enabled": plugins } }),
        );
    }
    Some((origin, patch?))
}

fn layers(parts: &[Part]) -> Vec<Layer<'_>> {
    parts.iter().map(|(origin, patch)| Layer { origin: origin.clone(), patch }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: &str) -> Timestamp {
        now.parse().unwrap()
    }

    fn document(text: &str) -> FleetDocument {
        FleetDocument::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_plugins_section_enables_and_overrides_and_the_host_s_own_file_differ() {
        let document = document(
            r#"{"version": 1, "agent": {"hash": {"wait_ms": 7}, "plugins": {"enabled": {"integrity": {}}}},
                "plugins": {"inventory": {"settings": {"interval_s": 60}}, "persistence": {}},
                "overrides": [
                    {"name": "pilot", "match": {"tags": ["pilot"]},
                     "patch": {"plugins": {"inventory": {"version": "0.2.0"}, "persistence": null}}}]}"#,
        );
        check(&document).unwrap();
        let of = |tags: &[&str], local: Option<Value>| {
            let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let host = HostTraits { tags, ..HostTraits::default() };
            settings_of(&document, &host, local.as_ref(), at("2026-11-22T00:00:00Z")).unwrap()
        };
        let running = |shown: &Effective| -> Vec<String> {
            let enabled = &shown.settings.plugins.enabled;
            enabled.iter().filter(|(_, one)| one.is_some()).map(|(name, _)| name.clone()).collect()
        };
        let all = of(&[], None);
        assert_eq!(running(&all), ["integrity", "inventory", "persistence"]);
        assert_eq!(all.settings.hash.wait_ms, 7);
        assert_eq!(all.origins["plugins.enabled.inventory.settings.interval_s"], Origin::Fleet);
        let pilot = of(&["pilot"], None);
        assert_eq!(running(&pilot), ["integrity", "inventory"]);
        let inventory = pilot.settings.plugins.enabled["inventory"].as_ref().unwrap();
        assert_eq!(inventory.version.unwrap().to_string(), "0.2.0");
        assert_eq!(inventory.settings["interval_s"], 60);
        assert_eq!(pilot.origins["plugins.enabled.inventory.version"], Origin::Override("pilot".to_owned()));
        let own = of(&["pilot"], Some(json!({"plugins": {"enabled": {"inventory": null}}})));
        assert_eq!(running(&own), ["integrity"]);
        assert_eq!(own.origins["plugins.enabled.inventory"], Origin::Local);
    }

    #[test]
    fn a_mistake_in_the_plugins_section_is_refused_by_its_layer_and_key() {
        for (text, message) in [
            (r#"{"version": 1, "plugins": {"a": {"setings": {}}}}"#, "fleet: plugins.enabled.a.setings"),
            (r#"{"version": 1, "plugins": []}"#, "fleet: plugins.enabled"),
            (r#"{"version": 1, "plugins": {"../a": {}}}"#, "is no plugin's name"),
            (
                r#"{"version": 1, "overrides": [{"name": "x", "match": {}, "patch": {"plugins": {"a": {"version": 1}}}}]}"#,
                "fleet override x: plugins.enabled.a.version",
            ),
        ] {
            let error = check(&document(text)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
