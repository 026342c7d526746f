//! What the health document promises to readers of other ages.

use std::fs;
use std::path::PathBuf;

use super::*;

fn full() -> Health {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    Health {
        schema_version: SCHEMA_VERSION,
        version: "0.1.0".into(),
        build_id: Some("b1".into()),
        commit: Some("c1".into()),
        pid: 42,
        boot_id: "d0c5ad5e-95e8-4a22-8ea7-53d27fa5a0e4".into(),
        started_at: at("2026-11-21T10:00:00.25Z"),
        updated_at: at("2026-11-21T10:00:05Z"),
        state: State::Degraded,
        degraded: vec!["no BTF: give one with --btf".into()],
        kernel_release: "6.18.5".into(),
        hooks: vec![Hook {
            event: "exec".into(),
            chosen: "raw_tracepoint/sched_process_exec".into(),
            why: "best granted".into(),
            refused: vec![RefusedHook { hook: "lsm".into(), error: "operation not permitted".into() }],
        }],
        limits: Limits {
            mode: LimitMode::Hybrid,
            cgroups: BTreeMap::from([("cpu".into(), "/linnet".into())]),
            requested: LimitValues { cpu_quota_us: Some(50_000), ..LimitValues::default() },
            enforced: true,
            ..Limits::default()
        },
        usage: Usage {
            memory_bytes: Some(9_000_000),
            memory_events: MemoryEvents { oom_kill: Some(0), ..MemoryEvents::default() },
            ..Usage::default()
        },
        losses: BTreeMap::from([(
            "exec".into(),
            Losses {
                attempted: 100,
                received: 98,
                lost_ring: 2,
                delivered: 90,
                filtered: BTreeMap::from([("own".into(), 5)]),
                shed: BTreeMap::from([("memory".into(), 1)]),
                dropped: BTreeMap::from([("sink full".into(), 1)]),
                waiting: 1,
                ..Losses::default()
            },
        )]),
        files: BTreeMap::from([("cache_hit".into(), 7)]),
        sinks: vec![Sink {
            name: "stdout".into(),
            last_error: Some("broken pipe".into()),
            ..Sink::default()
        }],
        last_event_at: Some(at("2026-11-21T10:00:04Z")),
        canary: Canary { sent: 1, seen: 1, last_seen_at: Some(at("2026-11-21T10:00:03Z")) },
        ..Health::default()
    }
}

fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("health.json");
    fs::write(&path, content).unwrap();
    (directory, path)
}

#[test]
fn what_was_written_is_read_back() {
    let (_directory, path) = file(b"");
    full().write(&path).unwrap();
    assert_eq!(Health::read(&path).unwrap(), full());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""started_at":"2026-11-21T10:00:00.25Z""#), "{text}");
    assert!(text.contains(r#""state":"degraded""#) && text.contains(r#""mode":"hybrid""#), "{text}");
}

#[test]
fn a_newer_agent_s_additions_are_tolerated() {
    let (_directory, path) = file(
        br#"{"schema_version":1,"pid":7,"state":"hibernating","moon":{"phase":3},
            "limits":{"mode":"v3","io_max":1},"losses":{"exec":{"attempted":3,"teleported":1}}}"#,
    );
    let health = Health::read(&path).unwrap();
    assert_eq!((health.pid, health.state, health.limits.mode), (7, State::Unknown, LimitMode::Unknown));
    assert_eq!(health.losses["exec"].attempted, 3);
}

#[test]
fn a_missing_document_means_that_the_agent_is_not_running() {
    let error = Health::read(Path::new("/nonexistent/health.json")).unwrap_err();
    assert!(matches!(error, HealthError::Missing { .. }));
    assert!(error.to_string().contains("not running"));
}

#[test]
fn another_version_is_refused_whatever_its_shape() {
    let (_directory, path) = file(br#"{"schema_version":2,"pid":"seven"}"#);
    assert!(matches!(Health::read(&path), Err(HealthError::Version { found: 2, .. })));
}

#[test]
fn what_is_no_document_is_refused() {
    for content in
        [&b""[..], b"{}", b"[]", b"\xff\xfe", br#"{"schema_version":1,"pid":-1}"#, br#"{"schema_version":1"#]
    {
        let (_directory, path) = file(content);
        assert!(matches!(Health::read(&path), Err(HealthError::Malformed { .. })), "{content:?}");
    }
}

#[test]
fn a_document_longer_than_the_bound_is_not_parsed() {
    let padded = |len: usize| {
        let mut json = br#"{"schema_version":1}"#.to_vec();
        json.resize(len, b' ');
        json
    };
    let (_directory, path) = file(&padded(MAX_BYTES));
    Health::read(&path).unwrap();
    let (_directory, path) = file(&padded(MAX_BYTES + 1));
    assert!(matches!(Health::read(&path), Err(HealthError::TooLong { .. })));
}

#[test]
fn a_state_of_a_newer_agent_is_never_written() {
    let (_directory, path) = file(b"old");
    let health = Health { state: State::Unknown, ..full() };
    assert!(matches!(health.write(&path), Err(HealthError::Encode { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn age_follows_the_clock_both_ways() {
    let health = full();
    assert_eq!(health.age("2026-11-21T10:00:15Z".parse().unwrap()), SignedDuration::from_secs(10));
    assert_eq!(health.age("2026-11-21T09:59:55Z".parse().unwrap()), SignedDuration::from_secs(-10));
}

#[test]
fn the_loss_equation_notices_a_vanished_event() {
    let mut losses = full().losses["exec"].clone();
    assert_eq!((losses.ring_imbalance(), losses.agent_imbalance()), (0, 0));
    losses.attempted += 1;
    losses.delivered += 2;
    assert_eq!((losses.ring_imbalance(), losses.agent_imbalance()), (1, -2));
    losses.filtered.insert("huge".into(), u64::MAX);
    losses.shed.insert("huge".into(), u64::MAX);
    assert!(losses.agent_imbalance() < -i128::from(u64::MAX));
}
