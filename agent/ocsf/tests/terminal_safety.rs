//! No value that anybody can choose reaches a terminal as anything but text.
#![expect(clippy::unwrap_used, reason = "what the tests share is test code too")]

#[expect(dead_code, reason = "the golden tests use the other samples")]
mod sample;

use linnet_ocsf::line::write_line;
use linnet_ocsf::object::ProcessEntity;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

/// Strings that are mostly trouble: controls of both sets, bidi controls, separators, and their neighbours.
fn trouble() -> impl Strategy<Value = String> {
    let ch = prop_oneof![
        3 => prop::char::range('\0', '\u{a1}'),
        2 => prop::char::range('\u{2000}', '\u{2070}'),
        1 => prop::sample::select(vec!['\u{61c}', '"', '\\', '/', '\u{d7ff}', '\u{ffff}', '\u{10ffff}']),
        1 => any::<char>(),
    ];
    prop::collection::vec(ch, 0..24).prop_map(String::from_iter)
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        trouble().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(trouble(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A line that ends with its only control byte and holds none of the characters of Unicode's `Cc` and
/// `Bidi_Control`, nor a line or paragraph separator.
fn assert_safe(line: &[u8]) {
    let text = std::str::from_utf8(line).unwrap();
    let body = text.strip_suffix('\n').unwrap();
    for ch in body.chars() {
        let bidi = matches!(ch, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!ch.is_control() && !bidi && ch != '\u{2028}' && ch != '\u{2029}', "{ch:?} in {body:?}");
    }
}

proptest! {
    #[test]
    fn a_line_is_safe_and_parses_back(value in json()) {
        let mut line = Vec::new();
        write_line(&mut line, &value).unwrap();
        assert_safe(&line);
        prop_assert_eq!(serde_json::from_slice::<Value>(&line).unwrap(), value);
    }

    #[test]
    fn ready_json_is_as_safe(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let raw = RawValue::from_string(text.unwrap()).unwrap();
        let mut line = Vec::new();
        write_line(&mut line, &raw).unwrap();
        assert_safe(&line);
        prop_assert_eq!(serde_json::from_slice::<Value>(&line).unwrap(), value);
    }

    #[test]
    fn an_event_of_hostile_names_is_safe(name in trouble(), path in trouble(), cmd_line in trouble()) {
        let ancestry = [ProcessEntity { name: Some(&name), path: Some(&path), ..ProcessEntity::default() }];
        sample::fork(&sample::prelude(), |event| {
            let mut event = *event;
            event.process.name = Some(&name);
            event.process.cmd_line = Some(&cmd_line);
            event.process.ancestry = &ancestry;
            let mut line = Vec::new();
            write_line(&mut line, &event).unwrap();
            assert_safe(&line);
            let back: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(back["process"]["name"], name.as_str());
            assert_eq!(back["process"]["cmd_line"], cmd_line.as_str());
            assert_eq!(back["process"]["ancestry"][0]["path"], path.as_str());
        });
    }
}
