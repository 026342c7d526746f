//! The program as a whole: its storms do what they say, and its verification stands between truth and anything else.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside the test functions"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_linnet-bench")).args(arguments).output().unwrap()
}

fn storm(kind: &str, dir: &Path, extra: &[&str]) -> Value {
    let fixed = [kind, "--token", "t1", "--execs", "7", "--workers", "2", "--dir", dir.to_str().unwrap()];
    let output = bench(&[&fixed, extra].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The events that a perfect sensor would write of a storm.
fn events(storm: &Value) -> Vec<String> {
    let pids = storm["outcome"]["worker_pids"].as_array().unwrap();
    let mut events = Vec::new();
    for (worker, (pid, execs)) in pids.iter().zip([4, 3]).enumerate() {
        let uid = format!("uid{worker}");
        events.push(json!({"class_uid": 1007, "activity_id": 1, "process": {"pid": pid, "uid": uid,
            "cmd_line": format!("/x/linnet-bench worker --storm t1 --worker {worker} --execs {execs}")}}));
        for index in 0..execs {
            let program = storm["outcome"]["program"].as_str().unwrap();
            events.push(json!({"class_uid": 1007, "activity_id": 1,
                "actor": {"process": {"pid": pid, "uid": uid}},
                "process": {"cmd_line": format!("{program} t1.{worker}.{index}."),
                    "file": {"hashes": [{"value": storm["sha256"]}]}}}));
        }
    }
    events.iter().map(Value::to_string).collect()
}

fn verify(dir: &Path, storm: &Value, events: &[String], extra: &[&str]) -> Output {
    let (storm_file, events_file) = (dir.join("storm.json"), dir.join("events.ndjson"));
    fs::write(&storm_file, storm.to_string()).unwrap();
    fs::write(&events_file, events.join("\n")).unwrap();
    let (storm_file, events_file) = (storm_file.to_str().unwrap(), events_file.to_str().unwrap());
    bench(&[&["verify", "--storm", storm_file, "--events", events_file], extra].concat())
}

#[test]
fn a_storm_of_either_birth_makes_all_its_execs() {
    let dir = tempfile::tempdir().unwrap();
    for birth in ["fork", "spawn"] {
        let storm = storm("storm", dir.path(), &["--birth", birth]);
        assert_eq!(storm["outcome"]["execs"], 7);
        assert_eq!(storm["outcome"]["birth"], birth);
        assert!(storm["outcome"]["elapsed_ns"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_flood_has_long_arguments_and_a_program_that_forks() {
    let dir = tempfile::tempdir().unwrap();
    let storm = storm("flood", dir.path(), &["--filler-bytes", "6000"]);
    assert_eq!(storm["outcome"]["filler_bytes"], 6000);
    assert!(storm["outcome"]["program"].as_str().unwrap().ends_with("fork"));
}

#[test]
fn a_perfect_record_passes_and_a_gap_passes_only_where_it_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let storm = storm("storm", dir.path(), &[]);
    let mut events = events(&storm);
    assert!(verify(dir.path(), &storm, &events, &[]).status.success());
    events.pop();
    assert!(!verify(dir.path(), &storm, &events, &[]).status.success());
    assert!(verify(dir.path(), &storm, &events, &["--allow-loss"]).status.success());
}

#[test]
fn a_gap_that_the_health_document_does_not_explain_never_passes() {
    let dir = tempfile::tempdir().unwrap();
    let storm = storm("storm", dir.path(), &[]);
    let mut events = events(&storm);
    events.pop();
    let health = dir.path().join("health.json");
    for (lost, passes) in [(0, false), (1, true)] {
        let exec = json!({"attempted": 9, "received": 9 - lost, "lost_ring": lost, "delivered": 9 - lost});
        let document = json!({"schema_version": 1, "losses": {"exec": exec}});
        fs::write(&health, document.to_string()).unwrap();
        let output =
            verify(dir.path(), &storm, &events, &["--allow-loss", "--health", health.to_str().unwrap()]);
        assert_eq!(output.status.success(), passes, "{}", String::from_utf8_lossy(&output.stdout));
    }
}
