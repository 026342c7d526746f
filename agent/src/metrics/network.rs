//! Metrics of the sinks over the network and their spool: see [`super::catalog`].

use linnet_fleet::health::{Health, NetworkSink};

use super::{
    catalog::{Metric, metric, micros, some},
    sample::{
        Kind::{Account, Counter, Gauge},
        Samples, seconds,
    },
};

/// All of them.
pub const METRICS: &[Metric] = &[
    metric("linnet_spool_bytes", Gauge, "What waits on disk for sinks over the network.", |h, s| {
        some(s, h.spool.as_ref().map(|spool| spool.bytes));
    }),
    metric("linnet_spool_limit_bytes", Gauge, "What may wait there.", |h, s| {
        some(s, h.spool.as_ref().map(|spool| spool.max_bytes));
    }),
    metric("linnet_spool_oldest_age_seconds", Gauge, "Age of the oldest file of the spool.", |h, s| {
        some(s, h.spool.as_ref().and_then(|spool| spool.oldest_age_s));
    }),
    metric("linnet_network_sink_down", Gauge, "1 if the backend counts as down.", |h, s| {
        each(h, s, |sink| u64::from(sink.down));
    }),
    metric("linnet_network_sink_requests_total", Counter, "Requests to it.", |h, s| {
        each(h, s, |sink| sink.requests);
    }),
    metric(
        "linnet_network_sink_failures_total",
        Counter,
        "Of these, those that have to be repeated.",
        |h, s| {
            each(h, s, |sink| sink.failures);
        },
    ),
    metric(
        "linnet_network_sink_sent_bytes_total",
        Counter,
        "Bytes of bodies sent, as compressed.",
        |h, s| {
            each(h, s, |sink| sink.sent_bytes);
        },
    ),
    metric(
        "linnet_network_sink_last_success_timestamp_seconds",
        Gauge,
        "When it last took something.",
        |h, s| {
            for sink in &h.network_sinks {
                if let Some(at) = sink.last_success_at {
                    s.add(&[("sink", &sink.name)], seconds(micros(at)));
                }
            }
        },
    ),
    metric(
        "linnet_network_sink_events_total",
        Account,
        "Events for a sink, by kind and by what became of them; over restarts.",
        |h, s| {
            for sink in &h.network_sinks {
                for (kind, account) in &sink.events {
                    for (outcome, count) in [
                        ("appended", account.appended),
                        ("delivered", account.delivered),
                        ("filtered", account.filtered),
                        ("refused", account.refused),
                    ] {
                        s.add(&[("sink", &sink.name), ("kind", kind), ("outcome", outcome)], count);
                    }
                }
            }
        },
    ),
    metric(
        "linnet_network_sink_dropped_events_total",
        Account,
        "Events that were lost before they reached a sink, by reason; over restarts.",
        |h, s| {
            for sink in &h.network_sinks {
                for (kind, account) in &sink.events {
                    for (reason, count) in &account.dropped {
                        s.add(&[("sink", &sink.name), ("kind", kind), ("reason", reason)], *count);
                    }
                }
            }
        },
    ),
    metric("linnet_network_sink_waiting_events", Gauge, "Events in the spool, or on their way.", |h, s| {
        for sink in &h.network_sinks {
            for (kind, account) in &sink.events {
                s.add(&[("sink", &sink.name), ("kind", kind)], account.waiting);
            }
        }
    }),
];

fn each(health: &Health, samples: &mut Samples, value: fn(&NetworkSink) -> u64) {
    for sink in &health.network_sinks {
        samples.add(&[("sink", &sink.name)], value(sink));
    }
}
