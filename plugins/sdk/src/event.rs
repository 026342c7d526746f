//! An OCSF event. The agent adds `metadata` and `device`, and refuses events that bring their own.

use serde_json::{Map, Value};

/// OCSF `severity_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Severity {
    /// Nothing to do.
    Informational = 1,
    /// The reader decides.
    Low = 2,
    /// Something is to be done.
    Medium = 3,
    /// Something is to be done at once.
    High = 4,
    /// It is late already.
    Critical = 5,
}

/// An event to be.
#[derive(Clone, Debug)]
pub struct Event(Map<String, Value>);

impl Event {
    /// An event of this class and activity.
    #[must_use]
    pub fn new(class_uid: u32, activity_id: u8, severity: Severity) -> Self {
        let mut fields = Map::new();
        fields.insert("class_uid".to_owned(), class_uid.into());
        fields.insert("activity_id".to_owned(), activity_id.into());
        fields.insert("severity_id".to_owned(), (severity as u8).into());
        Self(fields)
    }

    /// With an attribute; one that is `Null` is left out, for OCSF writes nothing where nothing is known.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    /// The object.
    #[must_use]
    pub fn into_fields(self) -> Map<String, Value> {
        self.0
    }
}

/// Bytes of a name or path as text: U+FFFD stands for what is no UTF-8.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_written() {
        let event = Event::new(2004, 1, Severity::High).with("message", "m").with("comment", Value::Null);
        let fields = Value::Object(event.into_fields());
        assert_eq!(
            fields,
            serde_json::json!({"class_uid": 2004, "activity_id": 1, "severity_id": 4, "message": "m"})
        );
    }
}
