//! The events as they are on the wire, in `tests/golden/NAME.json`, one line each.
//!
//! `LINNET_OCSF_REGENERATE=1 cargo test -p linnet-ocsf --test golden` writes the files anew; read the diff.
//! `LINNET_OCSF_CHECK=PROGRAM` names a checker of OCSF events: it gets all lines on standard input and says with
//! its exit status whether they are valid.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share is test code too")]

mod sample;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use linnet_ocsf::class::LifecycleActivity;
use linnet_ocsf::line::write_line;
use serde::Serialize;
use serde_json::Value;

/// Every sample with the name of its golden file.
fn lines() -> Vec<(&'static str, Vec<u8>)> {
    let prelude = sample::prelude();
    vec![
        ("exec-on-host", sample::exec(&prelude, 4, false, |event| line(event))),
        ("exec-in-pod", sample::exec(&prelude, 8, true, |event| line(event))),
        ("exec-with-everything", sample::exec_with_everything(&prelude, |event| line(event))),
        ("fork", sample::fork(&prelude, |event| line(event))),
        ("exit-by-code", sample::exit(&prelude, None, |event| line(event))),
        ("exit-by-signal", sample::exit(&prelude, Some(11), |event| line(event))),
        ("script", sample::script(&prelude, "#!/bin/sh\necho '雀'\n".as_bytes(), 22, |event| line(event))),
        (
            "script-cut",
            sample::script(&prelude, b"#!/usr/bin/env perl\nprint \"\xe9\x9b", 70_000, |event| line(event)),
        ),
        (
            "script-of-bytes",
            sample::script(&prelude, b"#!/bin/sh\nexec tail -c+30 $0\n\x7fELF\xff", 34, |event| line(event)),
        ),
        ("start", sample::lifecycle(&prelude, LifecycleActivity::Start, |event| line(event))),
        ("stop", sample::lifecycle(&prelude, LifecycleActivity::Stop, |event| line(event))),
        ("told-again", sample::lifecycle(&prelude, LifecycleActivity::Enable, |event| line(event))),
        ("left-out", sample::lifecycle(&prelude, LifecycleActivity::Disable, |event| line(event))),
        ("health-report", sample::lifecycle(&prelude, LifecycleActivity::HealthReport, |event| line(event))),
        ("loss-report", sample::loss(&prelude, |event| line(event))),
    ]
}

fn line(event: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    write_line(&mut out, event).unwrap();
    out
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[test]
fn events_are_written_as_the_golden_files_say() {
    let regenerate = std::env::var_os("LINNET_OCSF_REGENERATE").is_some();
    for (name, written) in lines() {
        let path = golden_folder().join(name).with_extension("json");
        if regenerate {
            std::fs::write(&path, &written).unwrap();
        }
        let golden = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; see the head of this test", path.display()));
        assert_eq!(String::from_utf8(written).unwrap(), golden, "{name}");
    }
}

#[test]
fn every_golden_file_has_its_event() {
    let names: Vec<_> = lines().into_iter().map(|(name, _)| format!("{name}.json")).collect();
    for entry in std::fs::read_dir(golden_folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "{name}: no sample makes it");
    }
}

#[test]
fn the_checker_finds_no_fault() {
    let Some(checker) = std::env::var_os("LINNET_OCSF_CHECK") else {
        // Past the capture of the test harness, which would hide it.
        let _ = writeln!(
            std::io::stderr(),
            "NOT RUN: the_checker_finds_no_fault: set LINNET_OCSF_CHECK to a program that checks OCSF events"
        );
        return;
    };
    let mut child =
        Command::new(&checker).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap_or_else(|error| {
            panic!("{}: {error}", checker.display());
        });
    let mut stdin = child.stdin.take().unwrap();
    for (_, line) in lines() {
        stdin.write_all(&line).unwrap();
    }
    drop(stdin);
    let answer = child.wait_with_output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stdout));
}

#[test]
fn what_the_schema_requires_is_there() {
    for (name, line) in lines() {
        let event: Value = serde_json::from_slice(&line).unwrap();
        let class = event["class_uid"].as_u64().unwrap();
        let required: &[&str] = match class {
            1007 => &["actor", "device", "process"],
            1009 => &["actor", "device", "script"],
            6002 => &["app"],
            6008 => &[],
            other => panic!("{name}: class {other} is not known here"),
        };
        let always = ["activity_id", "category_uid", "metadata", "severity_id", "time", "type_uid"];
        for key in always.iter().chain(required) {
            assert!(event.get(key).is_some(), "{name}: {key} is required");
        }
        assert_eq!(event["type_uid"], class * 100 + event["activity_id"].as_u64().unwrap(), "{name}");
        assert_eq!(event["category_uid"], class / 1000, "{name}");
        check(name, "", &event);
    }
}

/// What OCSF 1.8 asks of an object, by the attribute that holds it: all of the first, one of the second.
fn demands(attribute: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match attribute {
        "metadata" => (&["version", "product"], &[]),
        "device" => (&["type_id"], &["name", "uid"]),
        "product" | "app" | "user" | "owner" | "group" | "container" | "ancestry" => (&[], &["name", "uid"]),
        "image" => (&["uid"], &[]),
        "actor" => (&[], &["process", "user"]),
        "process" | "parent_process" => (&[], &["pid", "uid"]),
        "os" | "file" => (&["name", "type_id"], &[]),
        "hashes" => (&["algorithm_id", "value"], &[]),
        "script" => (&["type_id", "script_content"], &[]),
        "script_content" => (&["value"], &[]),
        "enrichments" => (&["name", "value", "data"], &[]),
        "tags" => (&["name", "value"], &[]),
        _ => (&[], &[]),
    }
}

fn check(name: &str, attribute: &str, value: &Value) {
    match value {
        Value::Null => panic!("{name}: {attribute} is null, not left out"),
        Value::Array(list) => {
            assert!(!list.is_empty(), "{name}: {attribute} is empty, not left out");
            list.iter().for_each(|one| check(name, attribute, one));
        }
        Value::Object(object) => {
            let (all, one_of) = demands(attribute);
            for key in all {
                assert!(object.contains_key(*key), "{name}: {attribute}.{key} is required");
            }
            let given = one_of.iter().any(|key| object.contains_key(*key));
            assert!(given || one_of.is_empty(), "{name}: {attribute} needs one of {one_of:?}");
            for (key, value) in object {
                if !matches!(key.as_str(), "xattributes" | "unmapped") {
                    check(name, key, value);
                }
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_common_exec_stays_small() {
    for (in_pod, limit) in [(false, 1530), (true, 1830)] {
        let len = sample::exec(&sample::prelude(), 4, in_pod, |event| line(event)).len();
        assert!(len <= limit, "{len} bytes, in a pod: {in_pod}");
    }
}
