use proptest::prelude::*;
use serde_json::json;

use super::*;

fn canonical(text: &str) -> String {
    String::from_utf8(to_vec(&parse(text.as_bytes()).unwrap()).unwrap()).unwrap()
}

#[test]
fn members_are_sorted_by_code_point_and_white_space_goes() {
    assert_eq!(
        canonical("{ \"b\": [1, -2 ,3],\n\t\"a\" : null, \"A\":{}, \"\u{e9}\": true }"),
        "{\"A\":{},\"a\":null,\"b\":[1,-2,3],\"\u{e9}\":true}"
    );
    // By code point U+FF5E comes before U+1F600; by UTF-16 it would be the other way round.
    assert_eq!(canonical("{\"\u{1f600}\":1,\"\u{ff5e}\":2}"), "{\"\u{ff5e}\":2,\"\u{1f600}\":1}");
}

#[test]
fn in_strings_only_quote_and_backslash_are_escaped() {
    assert_eq!(canonical(r#""\"\\\/\n\u0000\u00e9""#), "\"\\\"\\\\/\n\u{0}\u{e9}\"");
}

#[test]
fn whole_numbers_keep_their_64_bits() {
    for text in ["0", "18446744073709551615", "-9223372036854775808"] {
        assert_eq!(canonical(text), text);
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for (text, says) in [
        ("1.0", "whole number"),
        ("1e2", "whole number"),
        ("-0", "whole number"),
        ("18446744073709551616", "whole number"),
        (r#"{"a":1,"b":2,"a":1}"#, "twice"),
        (r#"{"a":1,"\u0061":1}"#, "twice"),
        (r#"[{"x":{"a":1,"a":1}}]"#, "twice"),
        ("{} {}", "trailing"),
        ("[1,]", "trailing comma"),
        ("01", "number"),
        ("nan", "ident"),
        ("\"\\ud800\"", "escape"),
        ("\"\u{1}\"", "control character"),
        ("\u{feff}{}", "expected value"),
        ("", "EOF"),
    ] {
        let error = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(parse(b"\"\xff\"").is_err());
}

#[test]
fn nesting_is_bounded_for_readers_and_writers() {
    let nest = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nest(32).as_bytes()).is_ok());
    assert!(parse(nest(33).as_bytes()).unwrap_err().to_string().contains("deeper"));
    assert!(parse(nest(100_000).as_bytes()).unwrap_err().to_string().contains("deeper"));
    let deep = (0..33).fold(json!(1), |value, _| json!({ "a": value }));
    assert!(matches!(to_vec(&deep), Err(CanonicalError::TooDeep)));
}

#[test]
fn a_float_has_no_canonical_form() {
    assert!(matches!(to_vec(&json!({"a": [1.5]})), Err(CanonicalError::NotWhole(n)) if n == "1.5"));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn equal_forms_mean_equal_values(left in value(), right in value()) {
        prop_assert_eq!(to_vec(&left).unwrap() == to_vec(&right).unwrap(), left == right);
    }

    #[test]
    fn the_form_does_not_depend_on_how_the_value_was_spelt(value in value()) {
        let form = to_vec(&value).unwrap();
        for text in [serde_json::to_vec(&value).unwrap(), serde_json::to_vec_pretty(&value).unwrap()] {
            prop_assert_eq!(&to_vec(&parse(&text).unwrap()).unwrap(), &form);
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }
}
