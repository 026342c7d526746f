//! Splunk's HTTP Event Collector, as its documentation describes the endpoint `services/collector/event`.
//!
//! Success means that the event was taken into a queue. Indexer acknowledgement is not asked for.

use std::io::Write;

use serde::Deserialize;

use crate::{
    backend::{Answer, Verdict, by_status, excerpt},
    line::time_ms,
};

const ENDPOINT: &str = "/services/collector/event";

pub(crate) fn url(given: &str) -> String {
    let base = given.trim_end_matches('/');
    if base.contains("/services/collector") { base.to_owned() } else { format!("{base}{ENDPOINT}") }
}

pub(crate) fn encode(line: &[u8], out: &mut Vec<u8>) {
    out.push(b'{');
    if let Some(time) = time_ms(line) {
        // Writing to a Vec can't fail.
        let _ = write!(out, r#""time":{}.{:03},"#, time / 1000, time % 1000);
    }
    out.extend_from_slice(br#""source":"linnet","sourcetype":"linnet:ocsf","event":"#);
    out.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
    out.extend_from_slice(b"}\n");
}

/// What every answer of the collector has.
#[derive(Deserialize)]
struct Said {
    code: u32,
}

/// "Incorrect index", "Data channel is missing": said of an event, and true of all of them.
const OF_THE_SINK: [u32; 2] = [7, 10];

/// A success is one by its code: what stands before a collector answers 200 with a page of its own.
pub(crate) fn judge(answer: &Answer) -> Verdict {
    let code = serde_json::from_slice::<Said>(&answer.body).ok().map(|said| said.code);
    match (answer.status, code) {
        (200, Some(0)) => Verdict::Accepted,
        (200..=299, _) => Verdict::Later {
            why: format!(
                "answered {} with something else than success{}",
                answer.status,
                excerpt(&answer.body)
            ),
            after: answer.retry_after,
        },
        (400, Some(code)) if OF_THE_SINK.contains(&code) => {
            Verdict::Misconfigured(format!("answered 400{}", excerpt(&answer.body)))
        }
        _ => by_status(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_success_takes_events_away_and_an_index_is_no_fault_of_an_event() {
        let judged =
            |status, body: &str| judge(&Answer { status, retry_after: None, body: body.as_bytes().to_vec() });
        assert_eq!(judged(200, r#"{"text":"Success","code":0}"#), Verdict::Accepted);
        assert!(matches!(judged(204, ""), Verdict::Later { .. }));
        for body in ["", "<html>log in", "{}", r#"{"text":"Server is busy","code":9}"#] {
            assert!(matches!(judged(200, body), Verdict::Later { .. }), "{body}");
        }
        for body in [r#"{"text":"Incorrect index","code":7,"invalid-event-number":0}"#, r#"{"code":10}"#] {
            assert!(matches!(judged(400, body), Verdict::Misconfigured(_)), "{body}");
        }
        assert!(matches!(judged(400, r#"{"text":"Invalid data format","code":6}"#), Verdict::Refused(_)));
        assert!(matches!(judged(403, r#"{"text":"Invalid token","code":4}"#), Verdict::Misconfigured(_)));
        assert!(matches!(judged(503, r#"{"text":"Server is busy","code":9}"#), Verdict::Later { .. }));
    }

    #[test]
    fn an_event_is_wrapped_with_its_time_in_seconds() {
        let mut out = Vec::new();
        encode(b"{\"time\":1795306576003,\"a\":1}\n", &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["event"]["a"], 1);
        assert!(String::from_utf8(out).unwrap().contains("\"time\":1795306576.003,"));
    }

    #[test]
    fn the_endpoint_is_added_where_only_the_server_is_named() {
        assert_eq!(url("https://s:8088/"), "https://s:8088/services/collector/event");
        assert_eq!(url("https://s/services/collector"), "https://s/services/collector");
    }
}
