use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use linnet_fleet::health::{
    Canary, ChannelHealth, LimitValues, Limits, MemoryEvents, NetworkSink, Plugin, PluginLosses, Pressure,
    ProcessTable, RateLimits, Remote, Ring, Shedding, Sink, SinkAccount, Spool, Usage,
};

use super::*;

fn map(names: &[&str]) -> BTreeMap<String, u64> {
    names.iter().zip(1..).map(|(name, count)| ((*name).to_owned(), count)).collect()
}

/// A document in which everything has happened.
fn eventful() -> Health {
    let losses = Losses {
        attempted: 100,
        received: 90,
        lost_ring: 6,
        rate_limited: 4,
        missed_by_kernel: 1,
        decode_errors: 2,
        filtered: map(&["disabled", "canary"]),
        shed: map(&["memory", "cpu", "output"]),
        dropped: map(&["disk_full"]),
        delivered: 77,
        waiting: 3,
    };
    let at = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    Health {
        version: "1.2.3".into(),
        started_at: at,
        updated_at: at,
        last_event_at: Some(at),
        state: State::Degraded,
        degraded: vec!["why".into()],
        kernel_release: "6.1".into(),
        limits: Limits {
            enforced: true,
            effective: LimitValues {
                cpu_quota_us: Some(50_000),
                cpu_period_us: Some(100_000),
                memory_max_bytes: Some(7),
                ..LimitValues::default()
            },
            ..Limits::default()
        },
        usage: Usage {
            memory_bytes: Some(1),
            memory_peak_bytes: Some(2),
            memory_held_bytes: Some(3),
            memory_stall_us: Some(4),
            memory_events: MemoryEvents { high: Some(1), max: Some(2), oom_kill: Some(3) },
            cpu_usage_us: Some(5),
            nr_periods: Some(6),
            nr_throttled: Some(7),
            throttled_us: Some(8),
            pids: Some(9),
            ..Usage::default()
        },
        losses: BTreeMap::from([("exec".into(), losses)]),
        shedding: Shedding {
            now: vec!["hash".into()],
            times: 1,
            counts: map(&["hash"]),
            pressure: Pressure { ring_permille: 5, ..Pressure::default() },
            ..Shedding::default()
        },
        rate_limits: RateLimits { groups: 1, ..RateLimits::default() },
        ring: Ring { bytes: 8, used_bytes: 1, peak_bytes: 2 },
        families: map(&["exec"]),
        files: map(&[
            "hashed_files",
            "hashed_bytes",
            "cache_hits",
            "cache_misses",
            "cache_entries",
            "waiting",
            "stuck_threads",
            "road_cache",
            "missing_gone",
        ]),
        process_table: ProcessTable { entries: 1, bytes: 2, evicted: 3, swept: 4 },
        sinks: vec![Sink {
            name: "/var/log/x".into(),
            written_events: 1,
            written_bytes: 2,
            dropped: 3,
            ..Sink::default()
        }],
        spool: Some(Spool { bytes: 1, max_bytes: 2, oldest_age_s: Some(3), ..Spool::default() }),
        network_sinks: vec![NetworkSink {
            name: "siem".into(),
            down: true,
            requests: 5,
            failures: 1,
            sent_bytes: 9,
            last_success_at: Some(at),
            events: BTreeMap::from([(
                "exec".into(),
                SinkAccount {
                    appended: 9,
                    delivered: 3,
                    dropped: map(&["spool_full"]),
                    waiting: 5,
                    ..SinkAccount::default()
                },
            )]),
            ..NetworkSink::default()
        }],
        canary: Canary { sent: 2, seen: 1, ..Canary::default() },
        remote: Some(Remote {
            channel: ChannelHealth { polls: 4, failures: 1, ..ChannelHealth::default() },
            ..Remote::default()
        }),
        plugins: vec![Plugin {
            name: "inventory".into(),
            state: "running".into(),
            failures: 1,
            losses: PluginLosses { received: 5, delivered: 5, ..PluginLosses::default() },
            ..Plugin::default()
        }],
        ..Health::default()
    }
}

#[test]
fn each_metric_shows_what_happened() {
    let text = render(&eventful());
    for metric in all() {
        let sample =
            |line: &str| line.strip_prefix(metric.name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let values: Vec<f64> = text
            .lines()
            .filter(|line| sample(line))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect();
        assert!(values.iter().any(|value| *value > 0.0), "{} shows nothing: {values:?}", metric.name);
    }
}

#[test]
fn names_follow_the_conventions_and_are_unique() {
    let names: BTreeSet<_> = all().map(|metric| metric.name).collect();
    assert_eq!(names.len(), all().count());
    for metric in all() {
        assert!(metric.name.starts_with("linnet_"), "{}", metric.name);
        assert!(metric.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", metric.name);
        assert_eq!(metric.kind != Gauge, metric.name.ends_with("_total"), "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}

#[test]
fn the_dashboard_and_the_docs_name_only_metrics_that_exist() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let names: BTreeSet<_> = all().map(|metric| metric.name).collect();
    for (file, all) in [("grafana-dashboard.json", false), ("metrics.md", true)] {
        let text = std::fs::read_to_string(docs.join(file)).unwrap();
        let named: BTreeSet<&str> = text
            .split(|ch: char| !ch.is_ascii_alphanumeric() && ch != '_')
            .filter(|word| word.starts_with("linnet_"))
            .collect();
        assert!(named.len() > 5, "{file} names {named:?}");
        assert!(named.is_subset(&names), "{file}: {:?}", named.difference(&names));
        assert!(!all || named == names, "{file} lacks {:?}", names.difference(&named));
    }
}
