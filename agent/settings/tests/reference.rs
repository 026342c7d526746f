//! docs/settings.md and docs/settings.schema.json, made from the code: what a key means from its comment, what it is from
//! its default, what it may be from the bounds, who may set it and when it applies from the layers.
//!
//! `LINNET_SETTINGS_REGENERATE=1 cargo test -p linnet-settings --test reference` writes them anew.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test's own building blocks: a panic is its failure"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use linnet_plugin_manifest::policy;
use linnet_settings::ignore::IgnoreRule;
use linnet_settings::layers::{CEILINGS, FLEET_SINK_KEYS, LOCAL_ONLY, is_live};
use linnet_settings::sinks::{EventKind, NetworkSink, SINK_RANGES};
use linnet_settings::syslog::Facility;
use linnet_settings::{EnabledPlugin, OtlpMetrics, RANGES, Range, Settings};
use serde_json::{Map, Value, json};

const SOURCES: [&str; 6] = [
    include_str!("../src/values.rs"),
    include_str!("../src/metrics.rs"),
    include_str!("../src/peer.rs"),
    include_str!("../src/ignore.rs"),
    include_str!("../src/sinks.rs"),
    include_str!("../../plugin/manifest/src/policy.rs"),
];

struct Field {
    name: String,
    kind: String,
    what: String,
}

#[derive(Default)]
struct Section {
    what: String,
    fields: Vec<Field>,
}

/// The structs of the sources with the comments of their fields.
fn sections() -> BTreeMap<String, Section> {
    let mut sections = BTreeMap::new();
    for source in SOURCES {
        let (mut comment, mut open): (Vec<&str>, Option<(String, Section)>) = (Vec::new(), None);
        for line in source.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("///") {
                comment.push(text.trim());
                continue;
            }
            if line.starts_with("#[") {
                continue;
            }
            let what = std::mem::take(&mut comment).join(" ");
            match &mut open {
                None => {
                    let name = line.strip_prefix("pub struct ").unwrap_or(line).strip_suffix(" {");
                    if let Some(name) = name
                        && !what.is_empty()
                        && name.chars().all(char::is_alphanumeric)
                    {
                        open = Some((name.to_owned(), Section { what, fields: Vec::new() }));
                    }
                }
                Some((_, section)) => {
                    if line == "}" {
                        let (name, section) = open.take().unwrap();
                        sections.insert(name, section);
                    } else if let Some((name, kind)) = line.split_once(": ") {
                        let kind = kind.split(" = ").next().unwrap_or(kind).trim_end_matches(',');
                        let name = name.strip_prefix("pub ").unwrap_or(name);
                        section.fields.push(Field { name: name.to_owned(), kind: kind.to_owned(), what });
                    }
                }
            }
        }
    }
    sections
}

/// A key with everything that is known of it.
struct Row {
    key: String,
    kind: String,
    default: Value,
    what: String,
}

fn rows(sections: &BTreeMap<String, Section>) -> Vec<Row> {
    let mut rows = Vec::new();
    let defaults = serde_json::to_value(Settings::default()).unwrap();
    walk(sections, "Settings", "", &defaults, &mut rows);
    rows
}

fn walk(
    sections: &BTreeMap<String, Section>,
    name: &str,
    prefix: &str,
    defaults: &Value,
    rows: &mut Vec<Row>,
) {
    for Field { name, kind, what } in &sections[name].fields {
        let key = format!("{prefix}{name}");
        let default = default_of(&key, kind, defaults);
        let plain = kind.strip_prefix("Option<").and_then(|kind| kind.strip_suffix('>'));
        let (below, entry) = match kind.as_str() {
            "IgnoreRules" => ("IgnoreRule", Some(serde_json::to_value(IgnoreRule::default()).unwrap())),
            "BTreeMap<String, NetworkSink>" => {
                ("NetworkSink", Some(serde_json::to_value(NetworkSink::default()).unwrap()))
            }
            "BTreeMap<String, Option<EnabledPlugin>>" => {
                ("EnabledPlugin", Some(serde_json::to_value(EnabledPlugin::default()).unwrap()))
            }
            kind => (plain.unwrap_or(kind), None),
        };
        let is_section = sections.contains_key(below);
        if !is_section || plain.is_some() || entry.is_some() {
            let by_default = defaults.get(name).cloned().unwrap_or_default();
            let default =
                if by_default.is_object() && plain.is_some() { json!("see below") } else { by_default };
            rows.push(Row { key: key.clone(), kind: kind.clone(), default, what: what.clone() });
        }
        if is_section {
            let prefix = if entry.is_some() { format!("{key}.NAME.") } else { format!("{key}.") };
            walk(sections, below, &prefix, entry.as_ref().unwrap_or(&default), rows);
        }
    }
}

/// The default of a key; of a section that is not there by default, what its keys are where it is.
fn default_of(key: &str, kind: &str, defaults: &Value) -> Value {
    let name = key.rsplit('.').next().unwrap_or(key);
    match (defaults.get(name), kind) {
        (Some(Value::Null), "Option<OtlpMetrics>") => serde_json::to_value(OtlpMetrics::default()).unwrap(),
        (default, _) => default.unwrap_or_else(|| panic!("{key} has no default")).clone(),
    }
}

fn unit(key: &str) -> &'static str {
    match key.rsplit('_').next() {
        _ if key.ends_with("_per_s") => "in a second",
        Some("bytes") if key.contains('_') || key.ends_with(".bytes") => "bytes",
        _ if key.ends_with(".bytes") => "bytes",
        Some("ms") => "ms",
        Some("s") => "s",
        Some("permille") => "thousandths",
        Some("second") => "in a second",
        Some("day") => "in a day",
        _ => "",
    }
}

/// Powers of two as people say them.
fn number(value: u64) -> String {
    match value {
        value if value >= 1 << 30 && value.is_power_of_two() => format!("2^{}", value.trailing_zeros()),
        value if value >= 1 << 20 && value % (1 << 20) == 0 => format!("{} MiB", value >> 20),
        value if value >= 4096 && value % 1024 == 0 => format!("{} KiB", value >> 10),
        value => value.to_string(),
    }
}

fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) if text == "see below" => text.clone(),
        Value::Number(number_) if unit(key) == "bytes" && number_.as_u64().is_some_and(|n| n >= 4096) => {
            format!("`{value}` ({})", number(number_.as_u64().unwrap()))
        }
        value => format!("`{value}`"),
    }
}

fn range_of(key: &str) -> Option<Range> {
    let policy = policy::RANGES.into_iter().map(|(key, from, to)| Range { key, from, to });
    RANGES.iter().chain(SINK_RANGES).copied().chain(policy).find(|range| range.key == key)
}

fn bounds(row: &Row) -> String {
    let range = range_of(&row.key);
    let mut text = match (range, row.kind.as_str()) {
        (Some(range), _) => {
            let show = |value| if unit(&row.key) == "bytes" { number(value) } else { value.to_string() };
            format!("{} to {}", show(range.from), show(range.to))
        }
        (None, "bool") => "true, false".to_owned(),
        (None, "PathBuf") => "an absolute path".to_owned(),
        (None, "String" | "Option<String>") => "text".to_owned(),
        (None, "LogLevel") => "error, warn, info, debug, trace".to_owned(),
        (None, "SinkKind") => "http, elasticsearch, splunk_hec, otlp, syslog".to_owned(),
        (None, "Compression") => "gzip, none".to_owned(),
        (None, "Facility") => Facility::NAMES.join(", "),
        (None, "Option<PathBuf>") => "an absolute path, or credential:NAME".to_owned(),
        (None, "Option<Vec<EventKind>>") => {
            format!("a list of {}", EventKind::ALL.map(EventKind::as_str).join(", "))
        }
        (None, "Option<Auth>") => "bearer, basic or api_key: [sinks.md](sinks.md)".to_owned(),
        (None, "Option<Version>") => "a version".to_owned(),
        (None, "Option<MetricsAddress>") => "unix:/path, 127.0.0.1:port or [::1]:port".to_owned(),
        (None, "Option<PathPattern>") => "a pattern of paths".to_owned(),
        (None, "Option<Vec<WordPattern>>") => "a list of patterns".to_owned(),
        (None, kind) if kind.contains("Vec<") => "a list".to_owned(),
        (None, kind) if kind.contains("Map<") || kind == "IgnoreRules" => "an object".to_owned(),
        (None, "Option<FileOutput>" | "Option<OtlpMetrics>") => "an object".to_owned(),
        _ => String::new(),
    };
    if row.kind.starts_with("Option<") {
        text.push_str(", or null");
    }
    if !unit(&row.key).is_empty() && !text.is_empty() && unit(&row.key) != "bytes" {
        let _ = write!(text, " {}", unit(&row.key));
    }
    text
}

fn who(key: &str) -> &'static str {
    let within = |list: &[&str]| {
        list.iter().any(|one| key == *one || key.strip_prefix(one).is_some_and(|rest| rest.starts_with('.')))
    };
    let of_sink = key.strip_prefix("sinks.NAME.");
    let foreign = of_sink.is_some_and(|key| !FLEET_SINK_KEYS.contains(&key.split('.').next().unwrap_or(key)));
    if within(LOCAL_ONLY) || foreign {
        "host"
    } else if within(CEILINGS) {
        "fleet, up to the host's"
    } else {
        "fleet"
    }
}

fn reference(rows: &[Row], sections: &BTreeMap<String, Section>) -> String {
    let mut out = String::from(HEAD);
    let mut group = "";
    for row in rows {
        let own = row.key.split_once('.').map_or("", |(group, _)| group);
        let own = if own.is_empty()
            && matches!(row.kind.as_str(), "IgnoreRules" | "BTreeMap<String, NetworkSink>")
        {
            row.key.as_str()
        } else {
            own
        };
        if own != group || out.ends_with(HEAD) {
            group = own;
            let field = sections["Settings"].fields.iter().find(|field| field.name == group);
            let what = field.map_or("Single keys.", |field| {
                sections.get(&field.kind).map_or(field.what.as_str(), |section| section.what.as_str())
            });
            let title = if group.is_empty() { "The rest" } else { group };
            let _ = write!(
                out,
                "\n## {title}\n\n{what}\n\n| key | default | bounds | set by | applies | what |\n| --- | --- | --- | --- | --- | --- |\n"
            );
        }
        let applies = if is_live(&row.key) { "at once" } else { "at restart" };
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {applies} | {} |",
            row.key,
            shown(&row.key, &row.default),
            cell(&bounds(row)),
            who(&row.key),
            cell(&row.what)
        );
    }
    out
}

const HEAD: &str = "# Settings of the agent

Made from the code by `cargo test -p linnet-settings --test reference`; change the comments there, not this file.
[settings.schema.json](settings.schema.json) says the same to editors and programs, and
[settings.example.json](settings.example.json) has all defaults.

*Set by*: `fleet` may be set by the host's own file and by the fleet's document ([fleet.md](fleet.md)); `host` only by the
host's own file; `fleet, up to the host's` are limits, which the fleet may lower and not raise. *Applies*: at once, or at the
next start of the agent, of which `status` tells until then. `NAME` stands for a name of yours.
";

fn schema(sections: &BTreeMap<String, Section>, name: &str, prefix: &str, defaults: &Value) -> Value {
    let mut properties = Map::new();
    for Field { name, kind, what } in &sections[name].fields {
        let key = format!("{prefix}{name}");
        let default = default_of(&key, kind, defaults);
        let plain = kind.strip_prefix("Option<").and_then(|kind| kind.strip_suffix('>'));
        let mut one = match kind.as_str() {
            "IgnoreRules" => {
                let rule = serde_json::to_value(IgnoreRule::default()).unwrap();
                json!({"type": "object", "additionalProperties": schema(sections, "IgnoreRule", &format!("{key}.NAME."), &rule)})
            }
            "BTreeMap<String, NetworkSink>" => {
                let sink = serde_json::to_value(NetworkSink::default()).unwrap();
                json!({"type": "object", "additionalProperties": schema(sections, "NetworkSink", &format!("{key}.NAME."), &sink)})
            }
            "BTreeMap<String, Option<EnabledPlugin>>" => {
                let plugin = serde_json::to_value(EnabledPlugin::default()).unwrap();
                let plugin = schema(sections, "EnabledPlugin", &format!("{key}.NAME."), &plugin);
                json!({"type": "object", "additionalProperties": {"anyOf": [plugin, {"type": "null"}]}})
            }
            kind => {
                let below = plain.unwrap_or(kind);
                if sections.contains_key(below) {
                    schema(sections, below, &format!("{key}."), &default)
                } else {
                    typed(below)
                }
            }
        };
        let Value::Object(fields) = &mut one else { unreachable!() };
        if let Some(range) = range_of(&key) {
            fields.insert("minimum".to_owned(), json!(range.from));
            fields.insert("maximum".to_owned(), json!(range.to));
        }
        if plain.is_some() {
            one = json!({"anyOf": [one, {"type": "null"}]});
        }
        one["description"] = json!(what);
        if !default.is_object() {
            one["default"] = default;
        }
        properties.insert(name.clone(), one);
    }
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

fn typed(kind: &str) -> Value {
    match kind {
        "bool" => json!({"type": "boolean"}),
        "u32" | "u64" => json!({"type": "integer", "minimum": 0}),
        "LogLevel" => json!({"enum": ["error", "warn", "info", "debug", "trace"]}),
        "SinkKind" => json!({"enum": ["http", "elasticsearch", "splunk_hec", "otlp", "syslog"]}),
        "Compression" => json!({"enum": ["none", "gzip"]}),
        "Facility" => json!({"enum": Facility::NAMES}),
        "EventKind" => json!({"enum": EventKind::ALL.map(EventKind::as_str)}),
        "Auth" => auth(),
        "Version" => json!({"type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$"}),
        "MetricsAddress" => json!({"type": "string", "pattern": "^(unix:/|127\\.|\\[::1\\]:)"}),
        "PathBuf" | "PathPattern" => json!({"type": "string", "pattern": "^/"}),
        "String" | "WordPattern" | "Capability" => json!({"type": "string"}),
        kind if kind.starts_with("serde_json::Map") => json!({"type": "object"}),
        kind => {
            let of = kind.strip_prefix("Vec<").and_then(|kind| kind.strip_suffix('>'));
            let of = of.unwrap_or_else(|| panic!("no schema for the type {kind}"));
            json!({"type": "array", "items": typed(of)})
        }
    }
}

fn auth() -> Value {
    let file = json!({"type": "string", "pattern": "^(/|credential:)"});
    let one = |properties: Value| {
        let required: Vec<String> = properties.as_object().unwrap().keys().cloned().collect();
        json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
    };
    json!({"type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1, "properties": {
        "bearer": one(json!({"file": file})),
        "basic": one(json!({"user": {"type": "string"}, "file": file})),
        "api_key": one(json!({"header": {"type": "string"}, "prefix": {"type": "string"}, "file": file})),
    }})
}

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

fn is_current(name: &str, made: &str) {
    if std::env::var_os("LINNET_SETTINGS_REGENERATE").is_some() {
        fs::write(docs(name), made).unwrap();
    }
    let there = fs::read_to_string(docs(name)).unwrap_or_default();
    assert!(
        there == made,
        "docs/{name} is stale: LINNET_SETTINGS_REGENERATE=1 cargo test -p linnet-settings --test reference"
    );
}

#[test]
fn the_reference_is_what_the_code_says() {
    let sections = sections();
    is_current("settings.md", &reference(&rows(&sections), &sections));
}

#[test]
fn the_schema_is_what_the_code_says() {
    let mut schema = schema(&sections(), "Settings", "", &serde_json::to_value(Settings::default()).unwrap());
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Settings of linnet-agent");
    is_current("settings.schema.json", &(serde_json::to_string_pretty(&schema).unwrap() + "\n"));
}

#[test]
fn every_key_has_its_row_and_every_row_its_meaning() {
    let rows = rows(&sections());
    let mut keys = Vec::new();
    leaves("", &serde_json::to_value(Settings::default()).unwrap(), &mut keys);
    for key in &keys {
        assert!(rows.iter().any(|row| row.key == *key), "{key} has no row");
    }
    for row in &rows {
        assert!(row.what.len() > 5, "{} has no comment", row.key);
    }
    for range in RANGES.iter().chain(SINK_RANGES) {
        assert!(rows.iter().any(|row| row.key == range.key), "{} is bounded and is no key", range.key);
    }
    for key in LOCAL_ONLY.iter().chain(CEILINGS) {
        assert!(rows.iter().any(|row| row.key.starts_with(key)), "{key}");
    }
}

#[test]
fn the_example_has_every_default() {
    let example = fs::read_to_string(docs("settings.example.json")).unwrap();
    let example: Value = serde_json::from_str(&example).unwrap();
    assert_eq!(example, serde_json::to_value(Settings::default()).unwrap());
}

fn leaves(prefix: &str, value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                leaves(&key, value, keys);
            }
        }
        _ => keys.push(prefix.to_owned()),
    }
}
