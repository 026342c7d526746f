//! A plugin's event, as far as the agent answers for it: its class is one of the manifest's, its numbers agree, and it
//! does not speak of what only the agent knows. What it says of the world is the plugin's word, and the event names the
//! plugin.

use serde_json::{Map, Value};

use crate::protocol::Invalid;

/// How far in the past an event may be.
const OLDEST_MS: i64 = 7 * 86_400_000;
/// How far in the future.
const NEWEST_MS: i64 = 300_000;
/// Attributes that only the agent sets.
const FOREIGN: [&str; 2] = ["metadata", "device"];

/// An event that was checked.
#[derive(Debug, PartialEq)]
pub struct Checked {
    /// When, in milliseconds since the epoch.
    pub time_ms: i64,
    /// OCSF class.
    pub class_uid: u32,
    /// What happened, in that class.
    pub activity_id: u8,
    /// How bad it is.
    pub severity_id: u8,
    /// All other attributes.
    pub fields: Map<String, Value>,
}

/// Checks an event.
pub(crate) fn check(
    mut fields: Map<String, Value>,
    classes: &[u32],
    now_ms: i64,
) -> Result<Checked, Invalid> {
    if FOREIGN.iter().any(|name| fields.contains_key(*name)) {
        return Err(Invalid::Field);
    }
    let mut number = |name: &str| match fields.remove(name) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or(Invalid::Field),
    };
    let class_uid = number("class_uid")?.and_then(|class| u32::try_from(class).ok());
    let class_uid = class_uid.filter(|class| classes.contains(class)).ok_or(Invalid::Class)?;
    let small = |value: Option<i64>| value.and_then(|value| u8::try_from(value).ok()).ok_or(Invalid::Field);
    let activity_id = small(number("activity_id")?).ok().filter(|id| *id <= 99).ok_or(Invalid::Field)?;
    let severity_id =
        small(number("severity_id")?).ok().filter(|id| *id <= 6 || *id == 99).ok_or(Invalid::Field)?;
    // Derived ones may be given, if they are right.
    for (name, wanted) in [
        ("category_uid", i64::from(class_uid / 1000)),
        ("type_uid", i64::from(class_uid) * 100 + i64::from(activity_id)),
    ] {
        if number(name)?.is_some_and(|given| given != wanted) {
            return Err(Invalid::Field);
        }
    }
    let time_ms = number("time")?.unwrap_or(now_ms);
    if !(now_ms - OLDEST_MS..=now_ms + NEWEST_MS).contains(&time_ms) {
        return Err(Invalid::Time);
    }
    Ok(Checked { time_ms, class_uid, activity_id, severity_id, fields })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_764_000_000_000;

    fn checked(event: Value) -> Result<Checked, Invalid> {
        let Value::Object(fields) = event else { unreachable!("an object is given") };
        check(fields, &[2004, 5020], NOW)
    }

    #[test]
    fn numbers_are_taken_out_and_the_rest_stays() {
        let event =
            checked(json!({"class_uid": 5020, "activity_id": 2, "severity_id": 1, "type_uid": 502_002,
            "package": {"name": "a"}}));
        let event = event.unwrap();
        assert_eq!((event.class_uid, event.activity_id, event.time_ms), (5020, 2, NOW));
        assert_eq!(Value::Object(event.fields), json!({"package": {"name": "a"}}));
    }

    #[test]
    fn what_disagrees_or_is_not_the_plugins_to_say_is_refused() {
        let with = |name: &str, value: Value| {
            let mut event = json!({"class_uid": 2004, "activity_id": 1, "severity_id": 3});
            event[name] = value;
            checked(event).map(|_| ())
        };
        for (name, value, reason) in [
            ("class_uid", json!(6002), Invalid::Class),
            ("class_uid", json!(-1), Invalid::Class),
            ("class_uid", json!("2004"), Invalid::Field),
            ("activity_id", json!(100), Invalid::Field),
            ("activity_id", json!(null), Invalid::Field),
            ("severity_id", json!(7), Invalid::Field),
            ("type_uid", json!(1), Invalid::Field),
            ("category_uid", json!(6), Invalid::Field),
            ("metadata", json!({}), Invalid::Field),
            ("device", json!({}), Invalid::Field),
            ("time", json!(0), Invalid::Time),
            ("time", json!(i64::MAX), Invalid::Time),
            ("time", json!(NOW + 600_000), Invalid::Time),
        ] {
            assert_eq!(with(name, value.clone()), Err(reason), "{name} {value}");
        }
        assert_eq!(with("time", json!(NOW - 1000)), Ok(()));
        assert_eq!(checked(json!({})).map(|_| ()), Err(Invalid::Class));
    }
}
