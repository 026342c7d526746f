//! What a plugin says, a line at a time. Everything is hostile until it was checked here.
//!
//! A line is one JSON object with one key: `ready`, `pong`, `state`, `log` or `event`. Lines are cut at
//! [`MAX_LINE_BYTES`]; what is longer is thrown away up to its end and counted.

use serde_json::{Map, Value};

use crate::event::{self, Checked};

/// Longest line in either direction.
pub const MAX_LINE_BYTES: usize = 256 * 1024;
/// Longest message of a plugin's log.
const MAX_LOG_CHARS: usize = 500;
/// Levels of objects in lists in objects.
const MAX_DEPTH: usize = 16;

/// Why a line was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Above [`MAX_LINE_BYTES`].
    TooLong,
    /// Not one JSON value.
    NotJson,
    /// JSON, and nothing that the protocol knows.
    Unknown,
    /// Nested beyond reason.
    TooDeep,
    /// A class that the manifest does not name, or none.
    Class,
    /// An attribute that the agent sets, or one of the wrong type.
    Field,
    /// A time far from now.
    Time,
}

impl Invalid {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::TooLong, Self::NotJson, Self::Unknown, Self::TooDeep, Self::Class, Self::Field, Self::Time];

    /// Its name in counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NotJson => "not_json",
            Self::Unknown => "unknown",
            Self::TooDeep => "too_deep",
            Self::Class => "class",
            Self::Field => "field",
            Self::Time => "time",
        }
    }
}

/// A line that was understood.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// It has read its settings and works.
    Ready,
    /// The answer to a ping.
    Pong(u64),
    /// What it wants to be given at its next start.
    State(Value),
    /// For the agent's log.
    Log(log::Level, String),
    /// An event.
    Event(Checked),
}

/// Understands a line, without its line feed. `classes` are those of the manifest.
///
/// # Errors
/// [`Invalid`], to be counted.
pub fn read(line: &[u8], classes: &[u32], now_ms: i64) -> Result<Said, Invalid> {
    let value: Value = serde_json::from_slice(line).map_err(|_| Invalid::NotJson)?;
    if depth(&value, MAX_DEPTH).is_none() {
        return Err(Invalid::TooDeep);
    }
    let Value::Object(object) = value else { return Err(Invalid::Unknown) };
    let mut entries = object.into_iter();
    let (Some((kind, value)), None) = (entries.next(), entries.next()) else { return Err(Invalid::Unknown) };
    match (kind.as_str(), value) {
        ("ready", Value::Object(_)) => Ok(Said::Ready),
        ("pong", value) => value.as_u64().map(Said::Pong).ok_or(Invalid::Unknown),
        ("state", value) => Ok(Said::State(value)),
        ("log", Value::Object(log)) => read_log(&log).ok_or(Invalid::Unknown),
        ("event", Value::Object(fields)) => event::check(fields, classes, now_ms).map(Said::Event),
        _ => Err(Invalid::Unknown),
    }
}

fn read_log(log: &Map<String, Value>) -> Option<Said> {
    let level = match log.get("level")?.as_str()? {
        "error" => log::Level::Error,
        "warn" => log::Level::Warn,
        "info" => log::Level::Info,
        "debug" => log::Level::Debug,
        _ => return None,
    };
    Some(Said::Log(level, log.get("message")?.as_str()?.chars().take(MAX_LOG_CHARS).collect()))
}

/// The levels left, or none where there are more than `left`.
fn depth(value: &Value, left: usize) -> Option<()> {
    let left = left.checked_sub(1)?;
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| depth(item, left)),
        Value::Object(items) => items.values().try_for_each(|item| depth(item, left)),
        _ => Some(()),
    }
}

/// Bytes from a pipe become lines; never holds more than a line.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
    /// The rest of a line that was too long is being thrown away.
    skipping: bool,
}

impl Lines {
    /// Takes bytes, and hands over each line that they end.
    pub fn feed(&mut self, mut bytes: &[u8], mut take: impl FnMut(Result<&[u8], Invalid>)) {
        while let Some(at) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(at);
            bytes = rest.get(1..).unwrap_or_default();
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if self.held.len() + line.len() > MAX_LINE_BYTES {
                take(Err(Invalid::TooLong));
            } else if self.held.is_empty() {
                take(Ok(line));
            } else {
                self.held.extend_from_slice(line);
                take(Ok(&self.held));
            }
            self.let_go();
        }
        if self.skipping {
            return;
        }
        if self.held.len() + bytes.len() > MAX_LINE_BYTES {
            self.let_go();
            self.skipping = true;
            take(Err(Invalid::TooLong));
        } else {
            self.held.extend_from_slice(bytes);
        }
    }

    /// Forgets the line, and a buffer that one long line has made large.
    fn let_go(&mut self) {
        self.held.clear();
        self.held.shrink_to(8 * 1024);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_764_000_000_000;

    fn said(line: &str) -> Result<Said, Invalid> {
        read(line.as_bytes(), &[2004], NOW)
    }

    #[test]
    fn what_the_protocol_knows_is_understood() {
        assert_eq!(said(r#"{"ready":{}}"#), Ok(Said::Ready));
        assert_eq!(said(r#"{"pong":7}"#), Ok(Said::Pong(7)));
        assert_eq!(said(r#"{"state":[1]}"#), Ok(Said::State(serde_json::json!([1]))));
        assert_eq!(
            said(r#"{"log":{"level":"warn","message":"m"}}"#),
            Ok(Said::Log(log::Level::Warn, "m".to_owned()))
        );
        assert!(matches!(
            said(r#"{"event":{"class_uid":2004,"activity_id":1,"severity_id":1}}"#),
            Ok(Said::Event(_))
        ));
    }

    #[test]
    fn everything_else_has_a_reason() {
        for (line, reason) in [
            ("", Invalid::NotJson),
            ("{", Invalid::NotJson),
            (r#"{"ready":{}} {"ready":{}}"#, Invalid::NotJson),
            ("\u{0}", Invalid::NotJson),
            ("[]", Invalid::Unknown),
            ("{}", Invalid::Unknown),
            (r#"{"ready":{},"pong":1}"#, Invalid::Unknown),
            (r#"{"ready":true}"#, Invalid::Unknown),
            (r#"{"pong":-1}"#, Invalid::Unknown),
            (r#"{"log":{"level":"loud","message":"m"}}"#, Invalid::Unknown),
            (r#"{"launched":{"sandbox":[]}}"#, Invalid::Unknown),
            (r#"{"event":{"class_uid":6002}}"#, Invalid::Class),
        ] {
            assert_eq!(said(line), Err(reason), "{line}");
        }
        let deep = format!("{{\"state\":{}{}}}", "[".repeat(40), "]".repeat(40));
        assert_eq!(said(&deep), Err(Invalid::TooDeep));
        let deeper = format!("{{\"state\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(said(&deeper), Err(Invalid::NotJson));
    }

    #[test]
    fn a_line_that_is_too_long_is_one_fault_and_the_next_is_read() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let mut feed = |bytes: &[u8]| lines.feed(bytes, |line| seen.push(line.map(<[u8]>::to_vec)));
        for _ in 0..50 {
            feed(&[b'x'; 65536]);
        }
        feed(b"yyy\nnext\n");
        assert_eq!(seen, [Err(Invalid::TooLong), Ok(b"next".to_vec())]);
        assert!(lines.held.capacity() <= 8 * 1024);
    }

    /// JSON as a hostile plugin may write it: the names that matter, in every place, with every kind of value.
    fn hostile() -> impl Strategy<Value = Value> {
        const NAMES: [&str; 16] = [
            "event",
            "ready",
            "pong",
            "state",
            "log",
            "level",
            "message",
            "class_uid",
            "activity_id",
            "severity_id",
            "type_uid",
            "category_uid",
            "time",
            "metadata",
            "device",
            "",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            prop_oneof![Just(0_i64), Just(1), Just(2004), Just(200_401), Just(NOW), Just(-1)]
                .prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 8, |inner| {
            let named = (proptest::sample::select(&NAMES[..]), inner.clone());
            let object = proptest::collection::vec(named, 0..8).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            });
            prop_oneof![object, proptest::collection::vec(inner, 0..6).prop_map(Value::from)]
        })
    }

    /// What the agent vouches for holds of every event that is taken.
    fn is_answered_for(said: &Result<Said, Invalid>) -> bool {
        let Ok(Said::Event(event)) = said else { return true };
        let own = [
            "metadata",
            "device",
            "class_uid",
            "activity_id",
            "severity_id",
            "type_uid",
            "category_uid",
            "time",
        ];
        event.class_uid == 2004
            && event.activity_id <= 99
            && (event.severity_id <= 6 || event.severity_id == 99)
            && event.time_ms.abs_diff(NOW) <= 7 * 86_400_000
            && own.iter().all(|name| !event.fields.contains_key(*name))
    }

    proptest! {
        #[test]
        fn whatever_is_said_no_event_is_taken_that_the_agent_could_not_answer_for(
            mut value in hostile(),
            as_event in any::<bool>(),
            is_nearly_right in any::<bool>(),
        ) {
            if let (true, Value::Object(members)) = (is_nearly_right, &mut value) {
                for (name, number) in [("class_uid", 2004), ("activity_id", 1), ("severity_id", 3)] {
                    members.entry(name).or_insert(number.into());
                }
            }
            let line = if as_event { serde_json::json!({ "event": value }) } else { value };
            prop_assert!(is_answered_for(&said(&line.to_string())));
        }

        /// A line that was right, with some bytes changed, lost or put in: one outcome for each line, and a later one is read.
        #[test]
        fn a_stream_that_was_tampered_with_is_as_many_outcomes_as_it_has_lines(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 0..12),
            cut in 1_usize..70,
        ) {
            let event = r#"{"event":{"class_uid":2004,"activity_id":1,"severity_id":3,"message":"m"}}"#;
            let mut bytes = format!("{event}\n{{\"pong\":1}}\n{{\"state\":{{\"a\":[1]}}}}\n").repeat(3).into_bytes();
            for (at, byte, kind) in changes {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, byte),
                }
            }
            bytes.extend_from_slice(b"\n{\"ready\":{}}\n");
            let wanted = bytes.iter().filter(|byte| **byte == b'\n').count();
            let (mut lines, mut outcomes) = (Lines::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                lines.feed(piece, |line| outcomes.push(line.and_then(|line| read(line, &[2004], NOW))));
            }
            prop_assert_eq!(outcomes.len(), wanted);
            prop_assert!(outcomes.iter().all(is_answered_for));
            prop_assert_eq!(outcomes.last(), Some(&Ok(Said::Ready)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, &[2004], NOW);
        }

        #[test]
        fn lines_are_the_same_however_they_are_cut(text in "[a-c\n]{0,80}", cut in 1_usize..9) {
            let mut lines = Lines::default();
            let mut seen: Vec<Vec<u8>> = Vec::new();
            for piece in text.as_bytes().chunks(cut) {
                lines.feed(piece, |line| seen.push(line.unwrap().to_vec()));
            }
            let whole: Vec<Vec<u8>> = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
                .map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(seen, whole);
        }
    }
}
