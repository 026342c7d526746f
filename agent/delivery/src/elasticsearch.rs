//! The `_bulk` API of Elasticsearch and OpenSearch.
//!
//! Each event is created under its own uid, so what is sent twice is there once: the second answer is 409, a conflict,
//! which is success here. `@timestamp` is put in front, as data streams demand it.

use std::io::Write;

use serde::Deserialize;

use crate::{
    backend::{Item, Verdict, beginning, excerpt},
    line::{time_ms, uid},
};

pub(crate) fn url(given: &str) -> String {
    // The answer is as long as the request without it.
    format!(
        "{}/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason",
        given.trim_end_matches('/')
    )
}

pub(crate) fn encode(index: &str, line: &[u8], out: &mut Vec<u8>) {
    // Writing to a Vec can't fail.
    let _ = match uid(line) {
        Some(uid) => writeln!(out, r#"{{"create":{{"_index":"{index}","_id":"{uid}"}}}}"#),
        None => writeln!(out, r#"{{"create":{{"_index":"{index}"}}}}"#),
    };
    match (time_ms(line), line.strip_prefix(b"{")) {
        (Some(time), Some(rest)) => {
            let _ = write!(out, r#"{{"@timestamp":{time},"#);
            out.extend_from_slice(rest);
        }
        _ => out.extend_from_slice(line),
    }
}

#[derive(Deserialize)]
struct Bulk {
    errors: bool,
    #[serde(default)]
    items: Vec<Action>,
}

#[derive(Deserialize)]
struct Action {
    create: Created,
}

#[derive(Deserialize)]
struct Created {
    status: u16,
    #[serde(default)]
    error: Option<Error>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Error {
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
}

/// What a 200 means: there may be errors in it.
pub(crate) fn judge(body: &[u8], events: usize) -> Verdict {
    let later = |why: String| Verdict::Later { why, after: None };
    let bulk: Bulk = match serde_json::from_slice(body) {
        Ok(bulk) => bulk,
        Err(_) => {
            return later(format!("answered 200 with something else than a bulk response{}", excerpt(body)));
        }
    };
    if !bulk.errors {
        return Verdict::Accepted;
    }
    if bulk.items.len() != events {
        return later(format!("answered for {} of {events} events", bulk.items.len()));
    }
    let item = |action: Action| {
        let error = action.create.error.unwrap_or_default();
        let why = || {
            let (kind, reason) = (error.kind.unwrap_or_default(), error.reason.unwrap_or_default());
            format!("{} {}{}", action.create.status, beginning(kind.as_bytes()), excerpt(reason.as_bytes()))
        };
        match action.create.status {
            200..=299 | 409 => Item::Accepted,
            // No right to the index, an index that is not there or not to be written: the event is not to blame.
            401 | 403 | 404 | 429 | 503 => Item::Later(why()),
            500..=599 => Item::Failed(why()),
            _ => Item::Refused(why()),
        }
    };
    Verdict::Each(bulk.items.into_iter().map(item).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_created_under_its_own_uid_with_its_time_in_front() {
        let line = b"{\"time\":17,\"x\":{\"metadata\":{\"version\":\"1.8.0\",\"uid\":\"forged\"}},\"metadata\":{\"version\":\"1.8.0\",\"uid\":\"4f-8e\",\"sequence\":1}}\n";
        let mut out = Vec::new();
        encode("linnet", line, &mut out);
        let text = String::from_utf8(out).unwrap();
        let (action, document) = text.split_once('\n').unwrap();
        assert_eq!(action, r#"{"create":{"_index":"linnet","_id":"4f-8e"}}"#);
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        assert_eq!((&document["@timestamp"], &document["time"]), (&17.into(), &17.into()));
    }

    #[test]
    fn no_part_of_an_answer_steers_a_terminal() {
        let body = br#"{"errors":true,"items":[{"create":{"status":400,"error":{"type":"a\u007f\u001b[2J","reason":"b\u009b"}}}]}"#;
        assert_eq!(judge(body, 1), Verdict::Each(vec![Item::Refused("400 a  [2J: b".to_owned())]));
    }

    #[test]
    fn each_event_has_its_own_verdict_and_a_conflict_is_success() {
        let body = br#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":409,"error":{"type":"version_conflict_engine_exception"}}},
            {"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"no"}}},{"create":{"status":429,"error":{"type":"es_rejected_execution_exception"}}}]}"#;
        let Verdict::Each(items) = judge(body, 4) else { unreachable!("each has an answer") };
        assert_eq!(items.first(), Some(&Item::Accepted));
        assert_eq!(items.get(1), Some(&Item::Accepted));
        assert_eq!(items.get(2), Some(&Item::Refused("400 mapper_parsing_exception: no".to_owned())));
        assert!(matches!(items.get(3), Some(Item::Later(_))));
    }

    #[test]
    fn an_event_is_not_to_blame_for_the_index_and_a_reason_may_be_none() {
        for status in [401, 403, 404, 429, 503] {
            let body = format!(
                r#"{{"errors":true,"items":[{{"create":{{"status":{status},"error":{{"type":null,"reason":null}}}}}}]}}"#
            );
            assert_eq!(judge(body.as_bytes(), 1), Verdict::Each(vec![Item::Later(format!("{status} "))]));
        }
    }

    #[test]
    fn an_answer_that_does_not_fit_the_request_takes_nothing_away() {
        for body in [
            &b""[..],
            b"<html>",
            b"{}",
            br#"{"errors":true,"items":[]}"#,
            br#"{"errors":true,"items":[{"index":{"status":201}}]}"#,
        ] {
            assert!(matches!(judge(body, 1), Verdict::Later { .. }), "{body:?}");
        }
        assert_eq!(judge(br#"{"errors":false}"#, 5), Verdict::Accepted);
    }
}
