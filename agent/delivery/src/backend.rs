//! What a kind of backend wants to get, and what its answers mean. Pure.

use std::time::Duration;

use linnet_settings::sinks::SinkKind;

use crate::{elasticsearch, splunk};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All of it was taken.
    Accepted,
    /// Each event has an answer of its own.
    Each(Vec<Item>),
    /// It is wrong as a whole; which event is to blame is not said.
    Refused(String),
    /// It is too long.
    TooLarge,
    /// Not now.
    Later {
        /// Why.
        why: String,
        /// What the other side asked for.
        after: Option<Duration>,
    },
    /// Not as this sink is set up: somebody has to look.
    Misconfigured(String),
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Accepted,
    Refused(String),
    Later(String),
}

/// An answer, as far as it matters.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

/// How a kind of backend is spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    kind: SinkKind,
    /// What each event is preceded by, where that is the same for all.
    index: String,
}

impl Backend {
    pub fn new(kind: SinkKind, index: &str) -> Self {
        Self { kind, index: index.to_owned() }
    }

    /// The url to post to.
    pub fn url(&self, given: &str) -> String {
        match self.kind {
            SinkKind::Http => given.to_owned(),
            SinkKind::Elasticsearch => elasticsearch::url(given),
            SinkKind::SplunkHec => splunk::url(given),
        }
    }

    pub fn content_type(&self) -> &'static str {
        match self.kind {
            SinkKind::Http | SinkKind::Elasticsearch => "application/x-ndjson",
            SinkKind::SplunkHec => "application/json",
        }
    }

    /// Appends one event, a line with its line feed.
    pub fn encode(&self, line: &[u8], out: &mut Vec<u8>) {
        match self.kind {
            SinkKind::Http => out.extend_from_slice(line),
            SinkKind::Elasticsearch => elasticsearch::encode(&self.index, line, out),
            SinkKind::SplunkHec => splunk::encode(line, out),
        }
    }

    /// What an answer to a request of so many events means.
    pub fn judge(&self, answer: &Answer, events: usize) -> Verdict {
        match (self.kind, answer.status) {
            (SinkKind::Elasticsearch, 200) => elasticsearch::judge(&answer.body, events),
            _ => by_status(answer),
        }
    }
}

/// What a status means where the body says nothing more (RFC 9110, section 15; 429 by RFC 6585).
fn by_status(answer: &Answer) -> Verdict {
    let why = || format!("answered {}{}", answer.status, excerpt(&answer.body));
    match answer.status {
        200..=299 => Verdict::Accepted,
        413 => Verdict::TooLarge,
        400 | 415 | 422 => Verdict::Refused(why()),
        408 | 425 | 429 | 500..=599 => Verdict::Later { why: why(), after: answer.retry_after },
        _ => Verdict::Misconfigured(why()),
    }
}

/// The beginning of what the other side says, for a log and a terminal.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..body.len().min(200)).unwrap_or_default());
    let text: String = text.chars().map(|ch| if ch.is_control() { ' ' } else { ch }).collect();
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// The milliseconds that a line begins with: every event's first attribute is its time.
pub(crate) fn time_ms(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(b"{\"time\":")?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16) -> Verdict {
        let answer =
            Answer { status, retry_after: Some(Duration::from_secs(7)), body: b"a\x1b[2Jb".to_vec() };
        Backend::new(SinkKind::Http, "").judge(&answer, 3)
    }

    #[test]
    fn no_status_but_success_takes_events_away() {
        for status in 100..=999 {
            let verdict = judged(status);
            assert_eq!(verdict == Verdict::Accepted, (200..300).contains(&status), "{status}");
        }
        let why = "answered 503: a [2Jb".to_owned();
        assert_eq!(judged(503), Verdict::Later { why, after: Some(Duration::from_secs(7)) });
        assert_eq!(judged(413), Verdict::TooLarge);
        assert!(matches!(judged(400), Verdict::Refused(_)));
        assert!(matches!(judged(401), Verdict::Misconfigured(_)));
        assert!(matches!(judged(302), Verdict::Misconfigured(_)));
    }

    #[test]
    fn the_time_is_the_first_number_of_a_line() {
        assert_eq!(time_ms(b"{\"time\":1795306576803,\"class_uid\":1007}\n"), Some(1_795_306_576_803));
        for line in [&b""[..], b"{}", b"{\"time\":}", b"{\"time\":-1}", b"{\"time\":12"] {
            assert_eq!(time_ms(line), None);
        }
    }
}
