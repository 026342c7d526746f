//! What a kind of backend wants to get, and what its answers mean. Pure.

use std::time::Duration;

use linnet_settings::{
    sinks::{NetworkSink, SinkKind},
    syslog::Facility,
};

use crate::{elasticsearch, otlp, splunk, syslog};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All of it was taken.
    Accepted,
    /// Each event has an answer of its own.
    Each(Vec<Item>),
    /// All of it but so many, fewer than there are. Which is not said, and it must not be sent again.
    Partly {
        /// How many.
        refused: usize,
        /// Why.
        why: String,
    },
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
    /// The other side fails: an outage, or something in this that it can't bear.
    Failed(String),
    /// Not as this sink is set up: somebody has to look.
    Misconfigured(String),
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Accepted,
    Refused(String),
    Later(String),
    /// The other side fails on it, or at all.
    Failed(String),
}

/// An event that is to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'l> {
    /// With its line feed.
    pub line: &'l [u8],
    /// The number of its kind.
    pub kind: u8,
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
    facility: Facility,
}

impl Backend {
    pub fn new(sink: &NetworkSink) -> Self {
        Self { kind: sink.kind, index: sink.index.clone(), facility: sink.facility }
    }

    /// The url to post to.
    pub fn url(&self, given: &str) -> String {
        match self.kind {
            SinkKind::Http | SinkKind::Syslog => given.to_owned(),
            SinkKind::Elasticsearch => elasticsearch::url(given),
            SinkKind::SplunkHec => splunk::url(given),
            SinkKind::Otlp => otlp::url(given, otlp::LOGS),
        }
    }

    pub fn content_type(&self) -> &'static str {
        match self.kind {
            SinkKind::Http | SinkKind::Elasticsearch => "application/x-ndjson",
            SinkKind::SplunkHec => "application/json",
            SinkKind::Otlp => otlp::CONTENT_TYPE,
            // Never posted.
            SinkKind::Syslog => "text/plain",
        }
    }

    /// Writes the body of a request.
    pub fn encode<'l>(&self, events: impl Iterator<Item = Event<'l>>, out: &mut Vec<u8>) {
        match self.kind {
            SinkKind::Http => events.for_each(|event| out.extend_from_slice(event.line)),
            SinkKind::Elasticsearch => {
                events.for_each(|event| elasticsearch::encode(&self.index, event.line, out));
            }
            SinkKind::SplunkHec => events.for_each(|event| splunk::encode(event.line, out)),
            SinkKind::Otlp => otlp::encode(events, out),
            SinkKind::Syslog => events.for_each(|event| syslog::encode(self.facility, event, out)),
        }
    }

    /// What an answer to a request of so many events means.
    pub fn judge(&self, answer: &Answer, events: usize) -> Verdict {
        match (self.kind, answer.status) {
            (SinkKind::Elasticsearch, 200) => elasticsearch::judge(&answer.body, events),
            // A success of somebody who stands before it.
            (SinkKind::Elasticsearch, 201..=299) => Verdict::Later {
                why: format!(
                    "answered {} in place of a bulk response{}",
                    answer.status,
                    excerpt(&answer.body)
                ),
                after: answer.retry_after,
            },
            (SinkKind::Otlp, 200) => otlp::judge(&answer.body, events),
            (SinkKind::SplunkHec, _) => splunk::judge(answer),
            _ => by_status(answer),
        }
    }
}

/// What a status means where the body says nothing more (RFC 9110, section 15; 429 by RFC 6585).
pub(crate) fn by_status(answer: &Answer) -> Verdict {
    let why = || format!("answered {}{}", answer.status, excerpt(&answer.body));
    match answer.status {
        200..=299 => Verdict::Accepted,
        413 => Verdict::TooLarge,
        400 if is_about_the_connection(&answer.body) => Verdict::Misconfigured(why()),
        // The type and the encoding are the same for all events, so 415 is no fault of one.
        400 | 422 => Verdict::Refused(why()),
        408 | 425 | 429 | 503 => Verdict::Later { why: why(), after: answer.retry_after },
        // Who says when to come again knows what is wrong.
        500..=599 if answer.retry_after.is_some() => Verdict::Later { why: why(), after: answer.retry_after },
        500..=599 => Verdict::Failed(why()),
        _ => Verdict::Misconfigured(why()),
    }
}

/// Whether a 400 is nginx's page for a client certificate that is missing or refused, or for HTTP where it wants HTTPS. From its
/// first byte on, so that nothing that an event brought into an answer is taken for it.
fn is_about_the_connection(body: &[u8]) -> bool {
    const TITLES: [&str; 3] = [
        "400 No required SSL certificate was sent",
        "400 The SSL certificate error",
        "400 The plain HTTP request was sent to HTTPS port",
    ];
    let head = String::from_utf8_lossy(body.get(..body.len().min(128)).unwrap_or_default());
    let title =
        head.strip_prefix("<html>").map(str::trim_start).and_then(|rest| rest.strip_prefix("<head><title>"));
    title.is_some_and(|title| TITLES.iter().any(|one| title.starts_with(one)))
}

/// The beginning of what the other side says, for a log and a terminal. Nothing of an answer comes into a message but
/// through this.
pub(crate) fn beginning(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said.get(..said.len().min(200)).unwrap_or_default());
    let text: String = text.chars().map(|ch| if ch.is_control() { ' ' } else { ch }).collect();
    text.trim().to_owned()
}

/// The same as the end of a message.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = beginning(body);
    if text.is_empty() { text } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16) -> Verdict {
        let answer =
            Answer { status, retry_after: Some(Duration::from_secs(7)), body: b"a\x1b[2Jb".to_vec() };
        Backend::new(&NetworkSink::default()).judge(&answer, 3)
    }

    #[test]
    fn no_status_but_success_takes_events_away() {
        for status in 100..=999 {
            let verdict = judged(status);
            assert_eq!(verdict == Verdict::Accepted, (200..300).contains(&status), "{status}");
        }
        let why = "answered 503: a [2Jb".to_owned();
        assert_eq!(judged(503), Verdict::Later { why, after: Some(Duration::from_secs(7)) });
        assert!(matches!(judged(502), Verdict::Later { .. }));
        let plain = Answer { status: 500, retry_after: None, body: Vec::new() };
        assert_eq!(by_status(&plain), Verdict::Failed("answered 500".to_owned()));
        assert_eq!(judged(413), Verdict::TooLarge);
        assert!(matches!(judged(400), Verdict::Refused(_)));
        assert!(matches!(judged(401), Verdict::Misconfigured(_)));
        assert!(matches!(judged(302), Verdict::Misconfigured(_)));
        assert!(matches!(judged(415), Verdict::Misconfigured(_)));
    }

    #[test]
    fn a_bulk_request_is_answered_by_a_bulk_response_or_not_at_all() {
        let backend = Backend::new(&NetworkSink { kind: SinkKind::Elasticsearch, ..NetworkSink::default() });
        for status in [200, 201, 202, 204] {
            let verdict = backend.judge(&Answer { status, retry_after: None, body: Vec::new() }, 3);
            assert!(matches!(verdict, Verdict::Later { .. }), "{status}: {verdict:?}");
        }
    }

    #[test]
    fn a_page_about_the_certificate_is_about_no_event_unless_an_event_brought_it() {
        let page = "<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>\r\n<body>";
        let judged = |body: &str| {
            by_status(&Answer { status: 400, retry_after: None, body: body.as_bytes().to_vec() })
        };
        assert!(matches!(judged(page), Verdict::Misconfigured(_)));
        assert!(matches!(judged(&format!("cannot parse: {page}")), Verdict::Refused(_)));
        assert!(matches!(
            judged("<html>\r\n<head><title>400 Bad Request</title></head>"),
            Verdict::Refused(_)
        ));
    }
}
