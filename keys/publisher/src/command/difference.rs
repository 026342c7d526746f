//! What a new document changes, key by key, in words.

use std::collections::BTreeMap;

use serde_json::Value;

/// Longest value that is shown.
const SHOWN: usize = 80;

/// A line for each key that is new, gone or different; none for the version, which always is. Overrides are compared by
/// their names, so that one that is put in front of the others is one change.
pub fn difference(former: &Value, document: &Value) -> Vec<String> {
    let (former, document) = (leaves(former), leaves(document));
    let mut lines = Vec::new();
    for (key, value) in &document {
        match former.get(key) {
            None => lines.push(format!("{key}: {} (new)", shown(value))),
            Some(before) if before != value => {
                lines.push(format!("{key}: {} -> {}", shown(before), shown(value)));
            }
            Some(_) => {}
        }
    }
    for (key, before) in &former {
        if !document.contains_key(key) {
            lines.push(format!("{key}: {} (gone)", shown(before)));
        }
    }
    lines.sort();
    lines
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn leaves(document: &Value) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    flatten(document, "", &mut leaves);
    leaves.remove("version");
    leaves
}

fn flatten(value: &Value, prefix: &str, leaves: &mut BTreeMap<String, Value>) {
    let below = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    match value {
        Value::Null if prefix.is_empty() => {}
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                flatten(value, &below(key), leaves);
            }
        }
        Value::Array(overrides) if prefix == "overrides" => {
            for (number, one) in overrides.iter().enumerate() {
                let name =
                    one.get("name").and_then(Value::as_str).map_or_else(|| number.to_string(), str::to_owned);
                let mut rest = one.clone();
                if let Value::Object(fields) = &mut rest {
                    fields.remove("name");
                }
                flatten(&rest, &format!("overrides[{name}]"), leaves);
            }
        }
        leaf => {
            leaves.insert(prefix.to_owned(), leaf.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_change_is_one_line() {
        let former = json!({"version": 1, "agent": {"events": {"exec": true}, "hash": {"wait_ms": 1}},
            "overrides": [{"name": "web", "match": {"tags": ["web"]}, "patch": {"agent": {}}}]});
        let document = json!({"version": 2, "agent": {"events": {"exec": false, "fork": true}},
            "overrides": [{"name": "first", "match": {}, "patch": {}},
                          {"name": "web", "match": {"tags": ["web", "www"]}, "patch": {"agent": {}}}]});
        assert_eq!(
            difference(&former, &document),
            [
                "agent.events.exec: true -> false",
                "agent.events.fork: true (new)",
                "agent.hash.wait_ms: 1 (gone)",
                "overrides[first].match: {} (new)",
                "overrides[first].patch: {} (new)",
                "overrides[web].match.tags: [\"web\"] -> [\"web\",\"www\"]",
            ]
        );
        assert!(difference(&document, &document).is_empty());
        assert_eq!(difference(&Value::Null, &json!({"version": 1, "agent": {"x": 1}})), ["agent.x: 1 (new)"]);
    }
}
