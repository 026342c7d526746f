//! OTLP/HTTP logs in JSON, by the specification of OpenTelemetry's protocol (opentelemetry-proto, `docs/specification.md`).
//!
//! The body of a record is the event's line as a string. It could be a `kvlistValue`, but a collector has a JSON parser for
//! bodies and backends show strings as they are; a key-value list is three times as long, has to be put together anew from
//! every event, and loses the order. Attributes repeat only what routes and tells doubles.
//!
//! 64-bit numbers are strings here, as protobuf's JSON mapping has it. There is no `observedTimeUnixNano`: the sensor reads an
//! event milliseconds after it happened, and has no second time to tell.

use std::io::Write;

use linnet_settings::sinks::EventKind;
use serde::Deserialize;

use crate::{
    backend::{Event, Item, Verdict, excerpt},
    line::{self, Device, Head},
};

/// Where logs and metrics go, on a server that is only named.
pub(crate) const LOGS: &str = "/v1/logs";
pub(crate) const METRICS: &str = "/v1/metrics";
pub(crate) const CONTENT_TYPE: &str = "application/json";
const END_OF_RESOURCE: &[u8] = b"]}]}";

/// The url is taken as it is, but where only the server is named.
pub(crate) fn url(given: &str, endpoint: &str) -> String {
    let bare = given.split_once("://").is_none_or(|(_, rest)| {
        rest.split_once('/').is_none_or(|(_, path)| path.is_empty()) && !rest.contains('?')
    });
    if bare { format!("{}{endpoint}", given.trim_end_matches('/')) } else { given.to_owned() }
}

/// Writes one request. Events of one host in a row share a resource.
pub(crate) fn encode<'l>(events: impl Iterator<Item = Event<'l>>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"resourceLogs":["#);
    let mut resource: Option<Option<Device<'l>>> = None;
    for event in events {
        let device = Device::of(event.line);
        if resource == Some(device) {
            out.push(b',');
        } else {
            if resource.is_some() {
                out.extend_from_slice(END_OF_RESOURCE);
                out.push(b',');
            }
            begin_resource(device, out);
            resource = Some(device);
        }
        record(&event, out);
    }
    if resource.is_some() {
        out.extend_from_slice(END_OF_RESOURCE);
    }
    out.extend_from_slice(b"]}\n");
}

fn begin_resource(device: Option<Device<'_>>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"resource":{"attributes":["#);
    attribute("service.name", "linnet-agent", out);
    out.push(b',');
    attribute("service.version", env!("CARGO_PKG_VERSION"), out);
    let id = device.map(|it| it.id);
    // There is one agent on a host.
    for (key, value) in
        [("service.instance.id", id), ("host.id", id), ("host.name", device.and_then(|it| it.name))]
    {
        if let Some(value) = value {
            out.push(b',');
            attribute(key, value, out);
        }
    }
    out.extend_from_slice(
        concat!(
            r#"]},"scopeLogs":[{"scope":{"name":"linnet-agent","version":""#,
            env!("CARGO_PKG_VERSION"),
            r#""},"logRecords":["#
        )
        .as_bytes(),
    );
}

/// `value` is JSON text already.
fn attribute(key: &str, value: &str, out: &mut Vec<u8>) {
    // Writing to a Vec can't fail.
    let _ = write!(out, r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#);
}

fn record(event: &Event<'_>, out: &mut Vec<u8>) {
    let head = Head::of(event.line);
    out.push(b'{');
    if let Some(time_ms) = head.time_ms {
        let _ = write!(out, r#""timeUnixNano":"{}","#, time_ms.saturating_mul(1_000_000));
    }
    let (number, text) = severity(head.severity_id);
    let _ = write!(out, r#""severityNumber":{number},"severityText":"{text}","#);
    if let Some(kind) = EventKind::ALL.get(usize::from(event.kind)) {
        let _ = write!(out, r#""eventName":"linnet.{}","#, kind.as_str());
    }
    out.extend_from_slice(br#""attributes":["#);
    let mut is_first = true;
    let mut separate = |out: &mut Vec<u8>| {
        if !std::mem::replace(&mut is_first, false) {
            out.push(b',');
        }
    };
    if let Some(uid) = line::uid(event.line) {
        separate(out);
        attribute("log.record.uid", uid, out);
    }
    for (key, value) in [("ocsf.class_uid", head.class_uid), ("ocsf.activity_id", head.activity_id)] {
        if let Some(value) = value {
            separate(out);
            let _ = write!(out, r#"{{"key":"{key}","value":{{"intValue":"{value}"}}}}"#);
        }
    }
    out.extend_from_slice(br#"],"body":{"stringValue":""#);
    escape(event.line.strip_suffix(b"\n").unwrap_or(event.line), out);
    out.extend_from_slice(br#""}}"#);
}

/// OCSF `severity_id` as OpenTelemetry's number, and by OCSF's own name. What is to be done about is an error from "at once" on.
fn severity(severity_id: Option<u64>) -> (u8, &'static str) {
    match severity_id {
        Some(1) => (9, "Informational"),
        Some(2) => (13, "Low"),
        Some(3) => (14, "Medium"),
        Some(4) => (17, "High"),
        Some(5) => (18, "Critical"),
        Some(6) => (21, "Fatal"),
        Some(99) => (0, "Other"),
        _ => (0, "Unknown"),
    }
}

/// A text as the inside of a JSON string: quotes, backslashes and what is below the space.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut plain = text;
    while let Some(at) = plain.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        let (before, rest) = plain.split_at(at);
        out.extend_from_slice(before);
        match rest.first() {
            Some(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', *byte]),
            Some(byte) => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            None => {}
        }
        plain = rest.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(plain);
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Response {
    #[serde(alias = "partial_success")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartialSuccess {
    #[serde(
        alias = "rejectedLogRecords",
        alias = "rejected_log_records",
        alias = "rejectedDataPoints",
        alias = "rejected_data_points"
    )]
    rejected: Option<Int64>,
    #[serde(alias = "error_message")]
    error_message: Option<String>,
}

/// Either is allowed to a server.
#[derive(Deserialize)]
#[serde(untagged)]
enum Int64 {
    Text(String),
    Number(i64),
}

impl Int64 {
    fn get(&self) -> Option<i64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Number(number) => Some(*number),
        }
    }
}

/// What the body of a 200 says: how many records or data points were rejected, and why. None for what is no such answer.
pub(crate) fn rejected(body: &[u8]) -> Option<(usize, String)> {
    // An empty message is an empty body where the server mistook the encoding.
    let response = if body.is_empty() { Response::default() } else { serde_json::from_slice(body).ok()? };
    let partial = response.partial_success.unwrap_or_default();
    let rejected = partial.rejected.map_or(Some(0), |count| count.get())?;
    let message = partial.error_message.unwrap_or_default();
    Some((usize::try_from(rejected).unwrap_or(0), excerpt(message.as_bytes())))
}

/// What a 200 means: some of the records may have been rejected, and which is not said.
pub(crate) fn judge(body: &[u8], events: usize) -> Verdict {
    let Some((rejected, message)) = rejected(body) else {
        let why =
            format!("answered 200 with something else than an ExportLogsServiceResponse{}", excerpt(body));
        return Verdict::Later { why, after: None };
    };
    let why = || format!("rejected {rejected} of {events} records{message}");
    match rejected {
        0 => Verdict::Accepted,
        rejected if rejected < events => Verdict::Partly { refused: rejected, why: why() },
        _ => Verdict::Each(vec![Item::Refused(why()); events]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(lines: &[&str]) -> serde_json::Value {
        let mut out = Vec::new();
        encode(lines.iter().map(|line| Event { line: line.as_bytes(), kind: 1 }), &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    fn line(text: &str, host: &str) -> String {
        format!(
            r#"{{"time":17,"class_uid":1007,"category_uid":1,"activity_id":1,"type_uid":100701,"severity_id":3,"message":{text},"metadata":{{"version":"1.8.0","uid":"4f-8e"}},"device":{{"uid":"{host}","hostname":"h\"{host}"}}}}"#
        )
    }

    #[test]
    fn the_line_comes_out_of_the_body_as_it_went_in() {
        let event = line(r#""\u001b[2J \"quoted\" \\ \u0000 雀 \n""#, "a");
        let request = encoded(&[&format!("{event}\n"), "\u{1}\t not json"]);
        let records = &request["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
        assert_eq!(records[0]["body"]["stringValue"], event);
        assert_eq!(records[0]["timeUnixNano"], "17000000");
        assert_eq!(
            (&records[0]["severityNumber"], &records[0]["severityText"]),
            (&14.into(), &"Medium".into())
        );
        assert_eq!(records[0]["eventName"], "linnet.exec");
        let attributes = records[0]["attributes"].to_string();
        assert!(
            attributes.contains(r#"{"key":"log.record.uid","value":{"stringValue":"4f-8e"}}"#),
            "{attributes}"
        );
        assert!(
            attributes.contains(r#"{"key":"ocsf.class_uid","value":{"intValue":"1007"}}"#),
            "{attributes}"
        );
        let other = &request["resourceLogs"][1]["scopeLogs"][0]["logRecords"][0];
        assert_eq!(
            (&other["body"]["stringValue"], &other["attributes"]),
            (&"\u{1}\t not json".into(), &serde_json::json!([]))
        );
    }

    #[test]
    fn each_host_in_a_row_has_a_resource_with_its_name() {
        let (a, b) = (line("1", "a"), line("2", "b"));
        let request = encoded(&[&a, &a, &b]);
        let resources = request["resourceLogs"].as_array().unwrap();
        let lens = resources.iter().map(|one| one["scopeLogs"][0]["logRecords"].as_array().unwrap().len());
        assert_eq!(lens.collect::<Vec<_>>(), [2, 1]);
        let attributes = &resources[1]["resource"]["attributes"];
        assert_eq!(attributes[0]["value"]["stringValue"], "linnet-agent");
        let told: Vec<&str> =
            attributes.as_array().unwrap().iter().filter_map(|one| one["key"].as_str()).collect();
        assert_eq!(told, ["service.name", "service.version", "service.instance.id", "host.id", "host.name"]);
        assert_eq!(attributes[3]["value"]["stringValue"], "b");
        assert_eq!(attributes[4]["value"]["stringValue"], "h\"b");
        assert_eq!(encoded(&[]), serde_json::json!({"resourceLogs": []}));
    }

    #[test]
    fn what_is_rejected_is_believed_in_either_form_of_the_number() {
        for body in [
            &b""[..],
            b"{}",
            br#"{"partialSuccess":{}}"#,
            br#"{"partialSuccess":null}"#,
            br#"{"partialSuccess":{"errorMessage":"a warning"}}"#,
            br#"{"partialSuccess":{"rejectedLogRecords":"0"}}"#,
        ] {
            assert_eq!(judge(body, 3), Verdict::Accepted);
        }
        for body in [
            r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}"#,
            r#"{"partialSuccess":{"rejectedLogRecords":2,"errorMessage":"too old"}}"#,
        ] {
            let why = "rejected 2 of 3 records: too old".to_owned();
            assert_eq!(judge(body.as_bytes(), 3), Verdict::Partly { refused: 2, why });
            assert!(matches!(judge(body.as_bytes(), 2), Verdict::Each(items) if items.len() == 2));
            assert!(matches!(judge(body.as_bytes(), 1), Verdict::Each(items) if items.len() == 1));
        }
        for body in
            [&b"<html>"[..], b"\x0a\x02\x08\x03", br#"{"partialSuccess":{"rejectedLogRecords":"some"}}"#]
        {
            assert!(matches!(judge(body, 3), Verdict::Later { .. }));
        }
    }

    #[test]
    fn the_endpoint_is_added_where_only_the_server_is_named() {
        assert_eq!(url("https://c:4318", LOGS), "https://c:4318/v1/logs");
        assert_eq!(url("https://c:4318/", LOGS), "https://c:4318/v1/logs");
        for whole in ["https://c/v1/logs", "https://c/otlp/v1/logs?tenant=1"] {
            assert_eq!(url(whole, LOGS), whole);
        }
    }
}
