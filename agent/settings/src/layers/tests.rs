use proptest::prelude::*;
use serde_json::json;

use super::*;

fn fleet(patch: &Value) -> Layer<'_> {
    Layer { origin: Origin::Fleet, patch }
}

fn named<'v>(name: &str, patch: &'v Value) -> Layer<'v> {
    Layer { origin: Origin::Override(name.to_owned()), patch }
}

#[test]
fn nothing_at_all_is_the_default_and_every_key_says_so() {
    let all = effective(&[], None).unwrap();
    assert_eq!(all, Effective::defaults());
    assert!(all.origins.values().all(|origin| *origin == Origin::Default));
    assert!(all.rows().any(|(key, value, _)| key == "hash.wait_ms" && value == 2000));
}

#[test]
fn local_outranks_overrides_and_those_the_document() {
    let (base, web, own) = (
        json!({"events": {"fork": true}, "hash": {"wait_ms": 100}, "argv_max_bytes": 1000}),
        json!({"hash": {"wait_ms": 200}, "argv_max_bytes": 2000}),
        json!({"argv_max_bytes": 3000}),
    );
    let all = effective(&[fleet(&base), named("web", &web)], Some(&own)).unwrap();
    assert!(all.settings.events.fork && all.settings.events.exec);
    assert_eq!((all.settings.hash.wait_ms, all.settings.argv_max_bytes), (200, 3000));
    let origin = |key: &str| all.origins[key].to_string();
    assert_eq!(origin("events.fork"), "fleet");
    assert_eq!(origin("hash.wait_ms"), "fleet override web");
    assert_eq!(origin("argv_max_bytes"), "local");
    assert_eq!(origin("events.exec"), "default");
    assert!(all.notes.is_empty());
}

#[test]
fn the_fleet_lowers_a_limit_and_never_raises_one() {
    let (low, high) = (json!({"limits": {"cpu_permille": 100}}), json!({"limits": {"cpu_permille": 4000}}));
    let own = json!({"limits": {"cpu_permille": 300}});
    for (asked, own, expected, origin, is_told) in [
        (&low, None, 100, Origin::Fleet, false),
        (&low, Some(&own), 100, Origin::Fleet, false),
        (&high, None, 500, Origin::Ceiling, true),
        (&high, Some(&own), 300, Origin::Ceiling, true),
    ] {
        let all = effective(&[fleet(asked)], own).unwrap();
        assert_eq!(all.settings.limits.cpu_permille, expected);
        assert_eq!(all.origins["limits.cpu_permille"], origin);
        assert_eq!(!all.notes.is_empty(), is_told, "{:?}", all.notes);
    }
    let all = effective(&[fleet(&high)], None).unwrap();
    assert_eq!(all.notes, ["limits.cpu_permille: fleet asks for 4000, this host allows at most 500"]);
    let raised = json!({"limits": {"cpu_permille": 2000}});
    assert_eq!(effective(&[], Some(&raised)).unwrap().settings.limits.cpu_permille, 2000);
}

#[test]
fn taking_a_limit_away_by_null_is_raising_it() {
    let own = json!({"limits": {"memory_high_bytes": 33_554_432}});
    let none = json!({"limits": {"memory_high_bytes": null}});
    let all = effective(&[fleet(&none)], Some(&own)).unwrap();
    assert_eq!(all.settings.limits.memory_high_bytes, Some(33_554_432));
    assert_eq!(all.origins["limits.memory_high_bytes"], Origin::Ceiling);
}

#[test]
fn what_is_the_host_s_alone_is_refused_from_the_fleet() {
    for key in LOCAL_ONLY {
        let mut patch = json!({});
        put(&mut patch, key, at(&defaults(), key).unwrap().clone());
        let refused = effective(&[fleet(&patch)], None).unwrap_err();
        assert_eq!(refused, LayerError::LocalOnly { origin: Origin::Fleet, key: (*key).to_owned() });
        assert!(effective(&[], Some(&patch)).is_ok(), "{key}");
    }
}

#[test]
fn a_wrong_layer_is_named_with_its_key() {
    for (patch, message) in [
        (json!({"hash": {"wait": 1}}), "fleet override web: hash.wait: unknown field `wait`"),
        (json!({"hash": {"wait_ms": "1"}}), "fleet override web: hash.wait_ms: invalid type"),
        (json!({"hash": {"wait_ms": 0}}), "fleet override web: hash.wait_ms: 0 is outside 1 to 30000"),
        (json!([]), "fleet override web: not a JSON object"),
        (
            json!({"limits": {"memory_max_bytes": 25_165_824}, "ring": {"bytes": 16_777_216}}),
            "fleet override web: ring.bytes: the ring may take at most half",
        ),
    ] {
        let refused = effective(&[named("web", &patch)], None).unwrap_err().to_string();
        assert!(refused.starts_with(message), "{refused}");
    }
}

#[test]
fn null_says_something_and_is_not_a_deletion() {
    let none = json!({"output": {"file": null}});
    let all = effective(&[fleet(&none)], None).unwrap();
    assert_eq!(all.settings.output.file, None);
    assert_eq!(all.origins["output.file"], Origin::Fleet);
    assert!(!all.origins.contains_key("output.file.keep"));
    let again = json!({"output": {"file": {"keep": 7}}});
    let all = effective(&[fleet(&none)], Some(&again)).unwrap();
    assert_eq!(all.settings.output.file.as_ref().unwrap().keep, 7);
    assert_eq!(all.settings.output.file.unwrap().path, Settings::default().output.file.unwrap().path);
    assert_eq!(all.origins["output.file.keep"], Origin::Local);
    assert_eq!(all.origins["output.file.path"], Origin::Default);
    assert!(!all.origins.contains_key("output.file"));
}

#[test]
fn a_document_is_checked_for_every_host_that_it_could_meet() {
    let (base, good, bad) = (
        json!({"ring": {"bytes": 16_777_216}}),
        json!({"events": {"exit": false}}),
        json!({"limits": {"memory_max_bytes": 25_165_824}}),
    );
    assert!(check_fleet(&fleet(&base), &[named("good", &good)]).is_ok());
    let refused = check_fleet(&fleet(&base), &[named("good", &good), named("small", &bad)]).unwrap_err();
    assert!(refused.to_string().contains("ring.bytes"), "{refused}");
}

#[test]
fn changes_are_told_by_their_keys() {
    let new =
        effective(&[], Some(&json!({"output": {"file": null}, "hash": {"wait_ms": 1}}))).unwrap().settings;
    let changed = changed_keys(&Settings::default(), &new);
    assert_eq!(
        changed,
        ["hash.wait_ms", "output.file", "output.file.keep", "output.file.max_bytes", "output.file.path"]
    );
    assert!(changed_keys(&new, &new).is_empty());
}

proptest! {
    /// Whatever the fleet asks for and the host allows: no limit is above what the host allows.
    #[test]
    fn no_limit_is_ever_above_the_host_s(asked in 10_u32..100_000, own in proptest::option::of(10_u32..100_000), pids in 16_u32..1000) {
        let patch = json!({"limits": {"cpu_permille": asked, "pids_max": pids}});
        let file = own.map(|own| json!({"limits": {"cpu_permille": own}}));
        let all = effective(&[fleet(&patch)], file.as_ref()).unwrap();
        let most = own.unwrap_or(Settings::default().limits.cpu_permille);
        prop_assert_eq!(all.settings.limits.cpu_permille, asked.min(most));
        prop_assert_eq!(all.settings.limits.pids_max, pids.min(Settings::default().limits.pids_max));
    }

    /// Every key of the result has an origin, and no other key has.
    #[test]
    fn origins_are_those_of_the_keys_that_there_are(file in any::<bool>(), again in any::<bool>(), keep in 0_u32..9) {
        let base = if file { json!({"output": {"file": {"keep": keep}}}) } else { json!({"output": {"file": null}}) };
        let own = if again { json!({"output": {"file": {"max_bytes": 70_000}}}) } else { json!({}) };
        let all = effective(&[fleet(&base)], Some(&own)).unwrap();
        prop_assert!(leaves(&all.settings).keys().eq(all.origins.keys()));
    }
}

#[test]
fn every_live_key_is_a_key() {
    let settings = serde_json::to_value(Settings::default()).unwrap();
    for key in LIVE {
        assert!(settings.pointer(&format!("/{}", key.replace('.', "/"))).is_some(), "{key}");
    }
}

#[test]
fn the_fleet_tunes_a_sink_of_the_host_and_can_neither_make_nor_redirect_one() {
    let local = json!({"sinks": {"siem": {"url": "https://siem.example.org/", "auth": {"bearer": {"file": "/etc/token"}}}}});
    let tuned = json!({"sinks": {"siem": {"enabled": false}, "other": {"enabled": true}}});
    let shown = effective(&[Layer { origin: Origin::Fleet, patch: &tuned }], Some(&local)).unwrap();
    assert!(!shown.settings.sinks["siem"].enabled);
    assert_eq!(shown.settings.sinks.len(), 1);
    assert!(shown.notes.iter().any(|note| note.contains("sinks.other")), "{:?}", shown.notes);
    assert!(shown.origins.keys().all(|key| !key.contains("other")), "{:?}", shown.origins);
    let senseless = json!({"sinks": {"siem": {"batch": {"max_events": 0}}}});
    let layer = Layer { origin: Origin::Fleet, patch: &senseless };
    assert!(matches!(check_fleet(&layer, &[]), Err(LayerError::Bounds { .. })), "no host could take it");
    for (key, value) in [
        ("url", json!("https://elsewhere.example.org/")),
        ("kind", json!("splunk_hec")),
        ("auth", json!({"bearer": {"file": "/etc/shadow"}})),
        ("proxy", json!("http://elsewhere.example.org:3128")),
        ("tls", json!({"ca_file": "/tmp/ca.pem"})),
    ] {
        let mut patch = json!({"sinks": {"siem": {}}});
        patch["sinks"]["siem"][key] = value;
        let error = effective(&[Layer { origin: Origin::Fleet, patch: &patch }], Some(&local)).unwrap_err();
        assert!(
            matches!(&error, LayerError::LocalOnly { key: found, .. } if *found == format!("sinks.siem.{key}")),
            "{error}"
        );
    }
}
