//! Splunk's HTTP Event Collector, as its documentation describes the endpoint `services/collector/event`.
//!
//! Success means that the event was taken into a queue. Indexer acknowledgement is not asked for.

use std::io::Write;

use crate::line::time_ms;

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

#[cfg(test)]
mod tests {
    use super::*;

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
