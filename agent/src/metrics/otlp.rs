//! OTLP metrics in JSON: <https://opentelemetry.io/docs/specs/otel/metrics/data-model/>.
//!
//! Names are those of Prometheus, so that a dashboard is one for both: a collector that tells Prometheus adds no suffix that is there
//! already. Hence the units, too: `1` only where the name says `_ratio`, since that is what it would add.
//!
//! 64-bit numbers are strings here, as protobuf's JSON mapping has it.

use linnet_fleet::{health::Health, host::Host};
use serde_json::{Value, json};

use super::{
    catalog::{self, Metric},
    sample::{Kind, Number, Sample},
};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u8 = 2;

/// Who speaks: the same as in the events that go to a collector.
pub struct Resource {
    host_id: String,
    host_name: String,
}

impl Resource {
    /// This host's.
    pub fn of(host: &Host) -> Self {
        Self { host_id: host.uid(), host_name: host.hostname.clone() }
    }

    fn attributes(&self, version: &str) -> Vec<Value> {
        vec![
            attribute("service.name", "linnet-agent"),
            attribute("service.version", version),
            // There is one agent on a host.
            attribute("service.instance.id", &self.host_id),
            attribute("host.id", &self.host_id),
            attribute("host.name", &self.host_name),
        ]
    }
}

/// An `ExportMetricsServiceRequest` of everything in this document.
pub fn request(health: &Health, resource: &Resource) -> Vec<u8> {
    // A clock that was ahead at the start would have a beginning after its end.
    let start = health.started_at.min(health.updated_at);
    let times = Times { start: nanos(start), now: nanos(health.updated_at) };
    let metrics: Vec<Value> =
        catalog::all().filter_map(|metric| of(metric, &metric.samples(health), &times)).collect();
    let request = json!({ "resourceMetrics": [{
        "resource": { "attributes": resource.attributes(&health.version) },
        "scopeMetrics": [{
            "scope": { "name": "linnet-agent", "version": health.version },
            "metrics": metrics,
        }],
    }] });
    request.to_string().into_bytes()
}

struct Times {
    start: String,
    now: String,
}

/// A metric without samples is left out.
fn of(metric: &Metric, samples: &[Sample], times: &Times) -> Option<Value> {
    if samples.is_empty() {
        return None;
    }
    let points: Vec<Value> = samples.iter().map(|sample| point(metric.kind, sample, times)).collect();
    let mut told = json!({
        "name": metric.name,
        "description": metric.help,
        "unit": unit(metric.name),
    });
    let (kind, data) = match metric.kind {
        Kind::Gauge => ("gauge", json!({ "dataPoints": points })),
        Kind::Counter | Kind::Account => (
            "sum",
            json!({ "aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points }),
        ),
    };
    if let Value::Object(fields) = &mut told {
        fields.insert(kind.to_owned(), data);
    }
    Some(told)
}

fn point(kind: Kind, sample: &Sample, times: &Times) -> Value {
    let attributes: Vec<Value> = sample.labels.iter().map(|(name, value)| attribute(name, value)).collect();
    let mut point = json!({ "attributes": attributes, "timeUnixNano": times.now });
    if let Value::Object(fields) = &mut point {
        // Of an account it is not known when it began: with a wrong start each of them would be a reset.
        if kind == Kind::Counter {
            fields.insert("startTimeUnixNano".to_owned(), json!(times.start));
        }
        let (name, value) = match sample.value {
            // The protocol has signed ones only.
            Number::Whole(value) => ("asInt", json!(value.min(i64::MAX as u64).to_string())),
            Number::Real(value) => ("asDouble", json!(value)),
        };
        fields.insert(name.to_owned(), value);
    }
    point
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// The unit in the name, by UCUM.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("ratio") => "1",
        _ => "",
    }
}

fn nanos(at: jiff::Timestamp) -> String {
    at.as_nanosecond().max(0).to_string()
}

#[cfg(test)]
mod tests {
    use linnet_fleet::health::{Losses, Usage};

    use super::*;

    fn told() -> Value {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let health = Health {
            version: "1.2.3".into(),
            started_at: at(1_800_000_000),
            updated_at: at(1_800_000_060),
            losses: [("exec".to_owned(), Losses { attempted: 7, ..Losses::default() })].into(),
            usage: Usage { cpu_usage_us: Some(1_500_000), ..Usage::default() },
            ..Health::default()
        };
        let resource = Resource { host_id: "4f".into(), host_name: "h\"1".into() };
        serde_json::from_slice(&request(&health, &resource)).unwrap()
    }

    fn metric(name: &str) -> Value {
        let told = told();
        let metrics = told["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap().clone();
        metrics.into_iter().find(|metric| metric["name"] == name).unwrap()
    }

    #[test]
    fn a_counter_has_its_start_and_an_account_none() {
        let counter = metric("linnet_records_attempted_total");
        assert_eq!(counter["unit"], "");
        assert_eq!(
            counter["sum"],
            json!({ "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{
                "attributes": [{ "key": "kind", "value": { "stringValue": "exec" } }],
                "startTimeUnixNano": "1800000000000000000",
                "timeUnixNano": "1800000060000000000",
                "asInt": "7",
            }] })
        );
        let account = metric("linnet_cpu_seconds_total");
        assert_eq!(account["unit"], "s");
        let point = &account["sum"]["dataPoints"][0];
        assert_eq!((&point["asDouble"], &point["startTimeUnixNano"]), (&json!(1.5), &Value::Null));
    }

    #[test]
    fn what_goes_up_and_down_is_a_gauge_and_what_is_not_known_is_not_there() {
        let gauge = metric("linnet_start_timestamp_seconds");
        assert_eq!(gauge["gauge"]["dataPoints"][0]["asDouble"], 1.8e9);
        assert!(!told().to_string().contains("linnet_memory_bytes"));
    }

    #[test]
    fn the_resource_is_that_of_the_events() {
        let attributes = told()["resourceMetrics"][0]["resource"]["attributes"].clone();
        for (key, value) in [("service.name", "linnet-agent"), ("host.name", "h\"1"), ("host.id", "4f")] {
            let expected = json!({ "key": key, "value": { "stringValue": value } });
            assert!(attributes.as_array().unwrap().contains(&expected), "{attributes}");
        }
    }

    #[test]
    fn units_are_those_that_a_collector_would_add_to_the_names() {
        for metric in catalog::all() {
            assert_eq!(unit(metric.name) == "1", metric.name.ends_with("_ratio"), "{}", metric.name);
        }
        assert_eq!((unit("linnet_sink_bytes_total"), unit("linnet_tasks")), ("By", ""));
    }
}
