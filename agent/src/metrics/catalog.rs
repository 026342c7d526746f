//! Every metric: its name, what it means, and which numbers of the health document it shows.
//!
//! Names follow Prometheus' conventions: base units (seconds, bytes, ratios), `_total` for counters. A metric belongs here only if something
//! can make it other than 0; a test holds each of them to that. Names are read by dashboards and alerts: add, don't rename.

use linnet_fleet::health::{Health, Losses, State};

use super::{
    exposition, network,
    sample::{
        Kind,
        Kind::{Account, Counter, Gauge},
        Number, Sample, Samples, ratio, seconds,
    },
};

/// A metric.
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it does over time.
    pub kind: Kind,
    /// What it means.
    pub help: &'static str,
    sample: fn(&Health, &mut Samples),
}

impl Metric {
    /// Its numbers in this document.
    pub fn samples(&self, health: &Health) -> Vec<Sample> {
        let mut samples = Samples::default();
        (self.sample)(health, &mut samples);
        samples.finish()
    }
}

pub(super) const fn metric(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    sample: fn(&Health, &mut Samples),
) -> Metric {
    Metric { name, kind, help, sample }
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().chain(network::METRICS)
}

/// All of them as text.
pub fn render(health: &Health) -> String {
    let mut out = String::with_capacity(16 << 10);
    for one in all() {
        exposition::write(one, &one.samples(health), &mut out);
    }
    out
}

/// Those of the sensor.
const METRICS: &[Metric] = &[
    metric(
        "linnet_agent_info",
        Gauge,
        "Version of the agent and the kernel it runs on; always 1.",
        |h, s| {
            s.add(&[("version", &h.version), ("kernel_release", &h.kernel_release)], 1);
        },
    ),
    metric("linnet_agent_state", Gauge, "1 for the state that the agent is in, else 0.", |h, s| {
        for state in [State::Starting, State::Running, State::Degraded, State::Stopping] {
            s.add(&[("state", state.as_str())], h.state == state);
        }
    }),
    metric("linnet_degraded_reasons", Gauge, "Reasons for which the agent is degraded.", |h, s| {
        s.add(&[], h.degraded.len() as u64);
    }),
    metric("linnet_start_timestamp_seconds", Gauge, "When the agent started.", |h, s| {
        s.add(&[], seconds(micros(h.started_at)));
    }),
    metric("linnet_updated_timestamp_seconds", Gauge, "When these numbers were taken.", |h, s| {
        s.add(&[], seconds(micros(h.updated_at)));
    }),
    metric(
        "linnet_records_attempted_total",
        Counter,
        "Records that the kernel side set out to write.",
        |h, s| {
            by_kind(h, s, |losses| losses.attempted);
        },
    ),
    metric("linnet_records_received_total", Counter, "Records taken out of the ring.", |h, s| {
        by_kind(h, s, |losses| losses.received);
    }),
    metric(
        "linnet_records_lost_in_ring_total",
        Counter,
        "Records for which the ring had no room.",
        |h, s| {
            by_kind(h, s, |losses| losses.lost_ring);
        },
    ),
    metric(
        "linnet_records_rate_limited_total",
        Counter,
        "Records that were left out because their cgroup had made too many.",
        |h, s| by_kind(h, s, |losses| losses.rate_limited),
    ),
    metric(
        "linnet_cgroups_rate_limited",
        Gauge,
        "Cgroups of which records are left out now, because they are too many.",
        |h, s| s.add(&[], h.rate_limits.groups),
    ),
    metric(
        "linnet_records_missed_by_kernel_total",
        Counter,
        "Runs of a program that the kernel skipped; outside of the loss equation.",
        |h, s| by_kind(h, s, |losses| losses.missed_by_kernel),
    ),
    metric("linnet_records_not_understood_total", Counter, "Records that could not be decoded.", |h, s| {
        by_kind(h, s, |losses| losses.decode_errors);
    }),
    metric("linnet_records_filtered_total", Counter, "Records left out on purpose.", |h, s| {
        by_reason(h, s, |losses| &losses.filtered);
    }),
    metric(
        "linnet_records_shed_total",
        Counter,
        "Records left out under pressure, by what was short.",
        |h, s| {
            by_reason(h, s, |losses| &losses.shed);
        },
    ),
    metric("linnet_records_dropped_total", Counter, "Records lost at the outputs.", |h, s| {
        by_reason(h, s, |losses| &losses.dropped);
    }),
    metric("linnet_records_delivered_total", Counter, "Records that one output at least took.", |h, s| {
        by_kind(h, s, |losses| losses.delivered);
    }),
    metric("linnet_records_waiting", Gauge, "Records in the agent's queues.", |h, s| {
        by_kind(h, s, |losses| losses.waiting);
    }),
    metric("linnet_shedding", Gauge, "1 for each thing that is left out under pressure now.", |h, s| {
        for thing in ["script_content", "hash", "fork", "script"] {
            s.add(&[("thing", thing)], h.shedding.now.iter().any(|now| now == thing));
        }
    }),
    metric("linnet_shedding_starts_total", Counter, "How often something began to be left out.", |h, s| {
        s.add(&[], h.shedding.times);
    }),
    metric("linnet_shed_total", Counter, "What was left out under pressure.", |h, s| {
        for (thing, count) in &h.shedding.counts {
            s.add(&[("thing", thing)], *count);
        }
    }),
    metric(
        "linnet_pressure_ratio",
        Gauge,
        "How pressed the agent is: memory held of its limit, time stalled for memory, periods throttled, ring at its fullest, time with full output queue.",
        |h, s| {
            let pressure = &h.shedding.pressure;
            for (resource, permille) in [
                ("memory", pressure.memory_permille),
                ("memory_stall", pressure.memory_stall_permille),
                ("throttled", pressure.throttled_permille),
                ("ring", pressure.ring_permille),
                ("output", pressure.output_permille),
            ] {
                s.add(&[("resource", resource)], ratio(permille));
            }
        },
    ),
    metric("linnet_ring_size_bytes", Gauge, "Size of the ring between kernel and agent.", |h, s| {
        s.add(&[], h.ring.bytes);
    }),
    metric("linnet_ring_peak_bytes", Gauge, "The ring at its fullest since the numbers before.", |h, s| {
        s.add(&[], h.ring.peak_bytes);
    }),
    metric("linnet_events_total", Counter, "Events written, by family.", |h, s| {
        for (family, count) in &h.families {
            s.add(&[("family", family)], *count);
        }
    }),
    metric("linnet_last_delivery_timestamp_seconds", Gauge, "When an output last took events.", |h, s| {
        if let Some(at) = h.last_event_at {
            s.add(&[], seconds(micros(at)));
        }
    }),
    metric("linnet_sink_events_total", Counter, "Events that an output took.", |h, s| {
        for sink in &h.sinks {
            s.add(&[("sink", &sink.name)], sink.written_events);
        }
    }),
    metric("linnet_sink_bytes_total", Counter, "Bytes that an output took.", |h, s| {
        for sink in &h.sinks {
            s.add(&[("sink", &sink.name)], sink.written_bytes);
        }
    }),
    metric("linnet_sink_dropped_events_total", Counter, "Events that an output refused.", |h, s| {
        for sink in &h.sinks {
            s.add(&[("sink", &sink.name)], sink.dropped);
        }
    }),
    metric(
        "linnet_limits_enforced",
        Gauge,
        "1 if cpu, memory and pids limits are in force as asked.",
        |h, s| {
            s.add(&[], h.limits.enforced);
        },
    ),
    metric("linnet_cpu_seconds_total", Account, "Processor time of the agent's cgroup.", |h, s| {
        some(s, h.usage.cpu_usage_us.map(seconds));
    }),
    metric(
        "linnet_cpu_throttled_seconds_total",
        Account,
        "Time for which the cpu limit stopped it.",
        |h, s| {
            some(s, h.usage.throttled_us.map(seconds));
        },
    ),
    metric("linnet_cpu_periods_total", Account, "Periods of the cpu limit in which it ran.", |h, s| {
        some(s, h.usage.nr_periods);
    }),
    metric(
        "linnet_cpu_throttled_periods_total",
        Account,
        "Of these, those in which it was stopped.",
        |h, s| {
            some(s, h.usage.nr_throttled);
        },
    ),
    metric("linnet_cpu_limit_ratio", Gauge, "The cpu limit, in cores.", |h, s| {
        let values = &h.limits.effective;
        let limit = values.cpu_quota_us.zip(values.cpu_period_us).filter(|(_, period)| *period > 0);
        some(s, limit.map(|(quota, period)| ratio(u32::try_from(quota * 1000 / period).unwrap_or(u32::MAX))));
    }),
    metric(
        "linnet_memory_bytes",
        Gauge,
        "Memory charged to the agent's cgroup, page cache included.",
        |h, s| {
            some(s, h.usage.memory_bytes);
        },
    ),
    metric("linnet_memory_held_bytes", Gauge, "Of it, what the kernel can't take back.", |h, s| {
        some(s, h.usage.memory_held_bytes);
    }),
    metric(
        "linnet_memory_peak_bytes",
        Gauge,
        "The most that was charged since the cgroup was made.",
        |h, s| {
            some(s, h.usage.memory_peak_bytes);
        },
    ),
    metric("linnet_memory_limit_bytes", Gauge, "Memory at which the kernel kills.", |h, s| {
        some(s, h.limits.effective.memory_max_bytes);
    }),
    metric(
        "linnet_memory_stalled_seconds_total",
        Account,
        "Time for which it stood still for memory (PSI).",
        |h, s| {
            some(s, h.usage.memory_stall_us.map(seconds));
        },
    ),
    metric("linnet_memory_limit_hits_total", Account, "How often a memory limit was felt.", |h, s| {
        let events = &h.usage.memory_events;
        for (event, count) in [("high", events.high), ("max", events.max), ("oom_kill", events.oom_kill)] {
            if let Some(count) = count {
                s.add(&[("event", event)], count);
            }
        }
    }),
    metric("linnet_tasks", Gauge, "Processes and threads of the agent's cgroup.", |h, s| {
        some(s, h.usage.pids);
    }),
    metric("linnet_files_hashed_total", Counter, "Files hashed.", |h, s| file(h, s, "hashed_files")),
    metric("linnet_file_bytes_hashed_total", Counter, "Bytes hashed.", |h, s| file(h, s, "hashed_bytes")),
    metric("linnet_hash_cache_hits_total", Counter, "Hashes answered from memory.", |h, s| {
        file(h, s, "cache_hits");
    }),
    metric("linnet_hash_cache_misses_total", Counter, "Hashes that had to be made.", |h, s| {
        file(h, s, "cache_misses");
    }),
    metric("linnet_hash_cache_entries", Gauge, "Hashes in memory.", |h, s| file(h, s, "cache_entries")),
    metric("linnet_hash_queue_files", Gauge, "Files waiting to be opened.", |h, s| file(h, s, "waiting")),
    metric("linnet_hash_stuck_threads_total", Counter, "Threads held fast by a dead file system.", |h, s| {
        file(h, s, "stuck_threads");
    }),
    metric("linnet_hashes_found_total", Counter, "Hashes told, by the road to the file.", |h, s| {
        files(h, s, "road_", "road");
    }),
    metric("linnet_hashes_missing_total", Counter, "Hashes that are missing, by reason.", |h, s| {
        files(h, s, "missing_", "reason");
    }),
    metric("linnet_process_table_entries", Gauge, "Processes in the table.", |h, s| {
        s.add(&[], h.process_table.entries);
    }),
    metric("linnet_process_table_bytes", Gauge, "Memory of the table.", |h, s| {
        s.add(&[], h.process_table.bytes);
    }),
    metric("linnet_process_table_evicted_total", Counter, "Living processes given up for room.", |h, s| {
        s.add(&[], h.process_table.evicted);
    }),
    metric("linnet_process_table_swept_total", Counter, "Processes whose end had been lost.", |h, s| {
        s.add(&[], h.process_table.swept);
    }),
    metric("linnet_canaries_sent_total", Counter, "Test processes that the agent started.", |h, s| {
        s.add(&[], h.canary.sent);
    }),
    metric("linnet_canaries_seen_total", Counter, "Test processes that it saw.", |h, s| {
        s.add(&[], h.canary.seen);
    }),
    metric("linnet_plugin_running", Gauge, "1 if the plugin runs.", |h, s| {
        for plugin in &h.plugins {
            s.add(&[("plugin", &plugin.name)], plugin.state == "running");
        }
    }),
    metric("linnet_plugin_events_total", Counter, "Events of a plugin, by what became of them.", |h, s| {
        for plugin in &h.plugins {
            let losses = &plugin.losses;
            let sum = |map: &std::collections::BTreeMap<String, u64>| map.values().sum::<u64>();
            for (outcome, count) in [
                ("received", losses.received),
                ("delivered", losses.delivered),
                ("invalid", sum(&losses.invalid)),
                ("over_rate", losses.over_rate),
                ("over_day", losses.over_day),
                ("dropped", sum(&losses.dropped)),
            ] {
                s.add(&[("plugin", &plugin.name), ("outcome", outcome)], count);
            }
        }
    }),
    metric("linnet_plugin_failures_total", Counter, "Ends of a plugin that nobody asked for.", |h, s| {
        for plugin in &h.plugins {
            s.add(&[("plugin", &plugin.name)], plugin.failures);
        }
    }),
    metric("linnet_channel_polls_total", Counter, "How often the fleet's channel was asked.", |h, s| {
        some(s, h.remote.as_ref().map(|remote| remote.channel.polls));
    }),
    metric("linnet_channel_failures", Gauge, "Failures in a row to ask it.", |h, s| {
        some(s, h.remote.as_ref().map(|remote| u64::from(remote.channel.failures)));
    }),
];

pub(super) fn micros(at: jiff::Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap_or(0)
}

pub(super) fn some(samples: &mut Samples, value: Option<impl Into<Number>>) {
    if let Some(value) = value {
        samples.add(&[], value);
    }
}

fn by_kind(health: &Health, samples: &mut Samples, count: fn(&Losses) -> u64) {
    for (kind, losses) in &health.losses {
        samples.add(&[("kind", kind)], count(losses));
    }
}

fn by_reason(
    health: &Health,
    samples: &mut Samples,
    map: fn(&Losses) -> &std::collections::BTreeMap<String, u64>,
) {
    for (kind, losses) in &health.losses {
        for (reason, count) in map(losses) {
            samples.add(&[("kind", kind), ("reason", reason)], *count);
        }
    }
}

fn file(health: &Health, samples: &mut Samples, name: &str) {
    some(samples, health.files.get(name).copied());
}

fn files(health: &Health, samples: &mut Samples, prefix: &str, label: &'static str) {
    for (name, count) in &health.files {
        if let Some(name) = name.strip_prefix(prefix) {
            samples.add(&[(label, name)], *count);
        }
    }
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
