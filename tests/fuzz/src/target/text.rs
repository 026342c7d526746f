//! What is said over a pipe or a connection, piece by piece.

use linnet_settings::sinks::{NetworkSink, SinkKind};

use crate::{
    backend::{Answer, Backend, Event, Item, Verdict},
    protocol, request,
    seed::taken,
    syslog, terminal,
};

/// What a plugin says. However it is cut, the same lines come out; and an event that is taken is one that the agent can
/// answer for.
pub fn plugin(bytes: &[u8]) {
    const NOW_MS: i64 = 1_800_000_000_000;
    const CLASSES: [u32; 2] = [1007, 5020];
    let whole = said(&[bytes]);
    let (left, right) = bytes.split_at(bytes.len() / 2);
    assert_eq!(whole, said(&[left, right]));
    for line in bytes.split(|byte| *byte == b'\n') {
        let read = protocol::read(line, &CLASSES, NOW_MS);
        if read.is_ok() {
            taken();
        }
        if let Ok(protocol::Said::Event(event)) = read {
            assert!(CLASSES.contains(&event.class_uid) && event.activity_id <= 99);
            assert!(event.severity_id <= 6 || event.severity_id == 99);
            let when = NOW_MS - 7 * 86_400_000..=NOW_MS + 300_000;
            assert!(when.contains(&event.time_ms), "an event of another time: {}", event.time_ms);
            assert!(!event.fields.contains_key("metadata") && !event.fields.contains_key("device"));
        }
    }
}

fn said(pieces: &[&[u8]]) -> Vec<Result<Vec<u8>, &'static str>> {
    let mut lines = protocol::Lines::default();
    let mut out = Vec::new();
    for piece in pieces {
        lines.feed(piece, |line| out.push(line.map(<[u8]>::to_vec).map_err(protocol::Invalid::as_str)));
    }
    out
}

/// A scraper's request. A head that is refused or answered stays so, whatever follows it.
pub fn request(bytes: &[u8]) {
    let whole = request::answer(bytes);
    if matches!(whole, request::Answer::Metrics { .. }) {
        taken();
    }
    if whole == request::Answer::ReadOn {
        assert!(bytes.len() < request::MAX_HEAD_BYTES, "a head that is too long is waited for");
    }
}

/// Text of other programs for a terminal: nothing is left that steers it.
pub fn terminal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let safe = terminal::sanitised(&text);
    if safe != text {
        taken();
    }
    assert!(!safe.contains(steers), "{safe:?} steers a terminal");
    assert_eq!(terminal::sanitised(&safe), safe, "what is safe stays as it is");
}

/// Control characters, and those of Unicode's property `Bidi_Control`, which make a text look like another.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a backend answers: its kind, the number of events that were sent, a status, then the body. No event vanishes: all have an
/// answer of their own, or none has. And what it says can't steer the terminal that a log is read on. The rest is a line to
/// encode, which stays one line a document.
pub fn backend(bytes: &[u8]) {
    let [kind, events, low, high, body @ ..] = bytes else { return };
    const KINDS: [SinkKind; 5] =
        [SinkKind::Elasticsearch, SinkKind::SplunkHec, SinkKind::Http, SinkKind::Otlp, SinkKind::Syslog];
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let events = usize::from(events % 8);
    // Mostly 200, which is where the body counts.
    let status = if *high == 0 { 200 } else { u16::from_le_bytes([*low, *high]) % 1000 };
    let backend = Backend::new(&NetworkSink { kind, ..NetworkSink::default() });
    let calm = |why: &str| assert!(!why.contains(char::is_control), "a message steers a terminal: {why:?}");
    match backend.judge(&Answer { status, retry_after: None, body: body.to_vec() }, events) {
        Verdict::Accepted => {
            assert!((200..300).contains(&status));
            taken();
        }
        Verdict::Each(items) => {
            taken();
            assert_eq!(items.len(), events);
            for item in items {
                match item {
                    Item::Accepted => {}
                    Item::Refused(why) | Item::Failed(why) | Item::Later(why) => calm(&why),
                }
            }
        }
        Verdict::Partly { refused, why } => {
            taken();
            assert!(0 < refused && refused < events);
            calm(&why);
        }
        Verdict::Refused(why)
        | Verdict::Later { why, .. }
        | Verdict::Failed(why)
        | Verdict::Misconfigured(why) => calm(&why),
        Verdict::TooLarge => assert_eq!(status, 413),
    }
    if !body.iter().any(u8::is_ascii_control) {
        let mut line = body.to_vec();
        line.push(b'\n');
        let mut out = Vec::new();
        backend.encode(std::iter::once(Event { line: &line, kind: 1 }), &mut out);
        let lines = out.iter().filter(|byte| **byte == b'\n').count();
        // A syslog message stands behind its length, and has no line feed.
        let wanted = match kind {
            SinkKind::Elasticsearch => 2,
            SinkKind::Syslog => 0,
            _ => 1,
        };
        assert_eq!(lines, wanted);
        assert!(kind != SinkKind::Syslog || syslog::messages(&out).count() == 1);
        // Quotes are escaped where the line is a string, and the host's name is told once more.
        assert!(out.len() <= 3 * line.len() + 1024);
    }
}
