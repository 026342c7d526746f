//! Syslog messages by RFC 5424, each behind its length (octet counting, RFC 5425 section 4.3 and RFC 6587).
//!
//! The message is the event's line, in UTF-8 and without a byte order mark: the RFC wants one before UTF-8, and every JSON
//! parser behind a syslog server stumbles over it. So the message is what the RFC calls MSG-ANY.
//!
//! Structured data has the uid, by which doubles are told. Its name needs a private enterprise number; Linnet has none of
//! its own, and 32473 is the one that is set aside for examples (RFC 5612).

use std::io::Write;

use jiff::Timestamp;
use linnet_settings::{sinks::EventKind, syslog::Facility};

use crate::{
    backend::Event,
    line::{self, Device, Head},
};

/// RFC 5424, section 6: what is not known.
const NIL: &str = "-";

/// Appends one message with its length in front.
pub(crate) fn encode(facility: Facility, event: Event<'_>, out: &mut Vec<u8>) {
    let head = Head::of(event.line);
    let start = out.len();
    let priority = (facility as u8) * 8 + severity(head.severity_id);
    let time = head.time_ms.and_then(|time| Timestamp::from_millisecond(i64::try_from(time).ok()?).ok());
    let host = Device::of(event.line).and_then(|device| device.name).filter(|name| is_printable(name));
    let kind = EventKind::ALL.get(usize::from(event.kind)).map_or(NIL, |kind| kind.as_str());
    // Writing to a Vec can't fail.
    let _ = match time {
        Some(time) => write!(out, "<{priority}>1 {time:.3} "),
        None => write!(out, "<{priority}>1 {NIL} "),
    };
    let _ = write!(out, "{} linnet {NIL} {kind} ", host.unwrap_or(NIL));
    match line::uid(event.line) {
        Some(uid) => {
            let _ = write!(out, r#"[linnet@32473 uid="{uid}"] "#);
        }
        None => {
            let _ = write!(out, "{NIL} ");
        }
    }
    let line = event.line.strip_suffix(b"\n").unwrap_or(event.line);
    let len = out.len() - start + line.len();
    out.splice(start..start, format!("{len} ").into_bytes());
    out.extend_from_slice(line);
}

/// The messages of a body, for sockets that keep them apart by other means.
pub(crate) fn messages(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let at = rest.iter().position(|byte| *byte == b' ')?;
        let len: usize = std::str::from_utf8(rest.get(..at)?).ok()?.parse().ok()?;
        let (message, after) = rest.get(at + 1..)?.split_at_checked(len)?;
        rest = after;
        Some(message)
    })
}

/// OCSF `severity_id` as syslog's. Emergency is not used: it is written to every terminal.
fn severity(severity_id: Option<u64>) -> u8 {
    match severity_id {
        Some(2) => 5,
        Some(3) => 4,
        Some(4) => 3,
        Some(5) => 2,
        Some(6) => 1,
        _ => 6,
    }
}

/// RFC 5424's PRINTUSASCII. A name with an escape in its JSON is none either.
fn is_printable(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(host: &str) -> String {
        format!(
            r#"{{"time":1764000000007,"class_uid":1007,"category_uid":1,"activity_id":1,"type_uid":100701,"severity_id":3,"message":"é \n","metadata":{{"version":"1.8.0","uid":"4f-8e"}},"device":{{"uid":"0b","hostname":"{host}"}}}}"#
        )
    }

    #[test]
    fn a_message_is_what_rfc_5424_says_behind_its_length() {
        let line = line("host-1");
        let mut out = Vec::new();
        encode(Facility::Local0, Event { line: format!("{line}\n").as_bytes(), kind: 1 }, &mut out);
        let text = String::from_utf8(out).unwrap();
        let message = format!(
            r#"<132>1 2025-11-24T16:00:00.007Z host-1 linnet - exec [linnet@32473 uid="4f-8e"] {line}"#
        );
        assert_eq!(text, format!("{} {message}", message.len()));
    }

    #[test]
    fn what_is_not_known_or_does_not_fit_is_a_dash() {
        for host in ["", "two words", "a\\\"b", "é"] {
            let mut out = Vec::new();
            encode(Facility::User, Event { line: line(host).as_bytes(), kind: 1 }, &mut out);
            assert!(String::from_utf8(out).unwrap().contains("07Z - linnet - exec ["), "{host}");
        }
        let mut out = Vec::new();
        encode(Facility::User, Event { line: b"{}\n", kind: 99 }, &mut out);
        assert_eq!(out, b"25 <14>1 - - linnet - - - {}");
    }

    #[test]
    fn a_body_is_taken_apart_as_it_was_put_together() {
        let mut out = Vec::new();
        for text in ["{\"a\": \"1 2 3\"}\n", "{}", "{\"é\":1}\n"] {
            encode(Facility::Daemon, Event { line: text.as_bytes(), kind: 0 }, &mut out);
        }
        let ends: Vec<_> = messages(&out).map(|message| message.ends_with(b"}")).collect();
        assert_eq!(ends, [true; 3]);
        for end in 0..out.len() {
            assert!(messages(&out[..end]).count() < 3);
        }
    }
}
