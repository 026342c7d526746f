//! Live tests of the limits on whatever hierarchies this machine has; as root.
//!
//! Without the usual test harness: each case runs in a process of its own, which this program starts of itself, so
//! that neither the runner nor another case is moved or limited. `live <case>` runs one by hand. Every cgroup is
//! named after the process that made it and is removed again. Under systemd, start it outside of a delegated unit: the
//! runner would be in the way of its cases there.

#![expect(clippy::expect_used, clippy::panic, reason = "a test, though without the usual harness")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use linnet_limits::{Applied, LimitMode, Wanted, apply};

const MIB: u64 = 1 << 20;

/// A claim and the case that proves it.
const CASES: &[(&str, fn())] = &[
    ("limits_are_set_read_back_and_removed", set_read_back_and_removed),
    ("all_threads_are_moved", all_threads_are_moved),
    ("what_a_killed_run_left_is_used_again", leftover_is_used_again),
    ("an_agent_that_runs_inside_already_stays_there", inside_already),
    ("the_memory_limit_kills_at_the_limit", memory_limit_kills),
    ("the_cpu_limit_throttles", cpu_limit_throttles),
    ("the_pids_limit_refuses_threads", pids_limit_refuses),
    ("a_limit_above_is_not_evaded_and_is_reported", limit_above),
    ("limits_that_are_taken_away_are_noticed_and_put_back", taken_away),
];

/// What cases start as further processes.
const ROLES: &[(&str, fn())] = &[("linger", linger), ("devour", devour), ("below", below)];

fn main() -> ExitCode {
    let asked = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    if let Some((_, run)) = CASES.iter().chain(ROLES).find(|(name, _)| Some(*name) == asked.as_deref()) {
        run();
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        println!(
            "SKIPPED: all {} live tests of the limits, because cgroups want root; run as root",
            CASES.len()
        );
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for (name, _) in CASES {
        let child = this_program(name)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start this program");
        let prefix = format!("linnet-live-{}", child.id());
        let output = child.wait_with_output().expect("wait");
        let left = directories(|found| found.starts_with(&prefix));
        left.iter().rev().for_each(|directory| drop(fs::remove_dir(directory)));

        let ok = output.status.success() && left.is_empty();
        println!("{} {name}", if ok { "ok    " } else { "FAILED" });
        if !ok {
            failed += 1;
            println!("    {}; left {left:?}", output.status);
            for stream in [output.stdout, output.stderr] {
                String::from_utf8_lossy(&stream).lines().for_each(|line| println!("    {line}"));
            }
        }
    }
    println!("{} passed, {failed} failed", CASES.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn this_program(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("path of this program"));
    command.arg(role).stdin(Stdio::null());
    command
}

/// A name that no other test and no agent has.
fn name() -> String {
    format!("linnet-live-{}", std::process::id())
}

fn wanted() -> Wanted {
    Wanted {
        cpu_quota_permille_of_a_core: 250,
        memory_max_bytes: 32 * MIB,
        pids_max: 20,
        ..Wanted::default()
    }
}

fn enter(wanted: &Wanted, name: &str) -> Applied {
    let applied = apply(wanted, name).expect("apply");
    println!("{:#?}", applied.limits());
    assert!(applied.limits().enforced, "not enforced: {:?}", applied.limits().problems);
    applied
}

/// The directory of the applied cgroup that has `file`.
fn directory_with(name: &str, file: &str) -> PathBuf {
    called(name).into_iter().find(|d| d.join(file).exists()).unwrap_or_else(|| panic!("no {file} for {name}"))
}

/// Every cgroup called `name`, found by walking the file system, not by asking what is under test.
fn called(name: &str) -> Vec<PathBuf> {
    directories(|found| found == name)
}

/// Every cgroup whose name `fits`, parents before children.
fn directories(fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    fn walk(directory: &Path, fits: &dyn Fn(&str) -> bool, depth: u32, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
            if entry.file_name().to_str().is_some_and(fits) {
                found.push(entry.path());
            }
            if depth > 0 {
                walk(&entry.path(), fits, depth - 1, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), &fits, 8, &mut found);
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}")).trim().to_owned()
}

fn own_cgroups() -> String {
    fs::read_to_string("/proc/self/cgroup").expect("own cgroups")
}

fn set_read_back_and_removed() {
    let before = own_cgroups();
    let name = name();
    let applied = enter(&wanted(), &name);
    let max = if applied.limits().mode == LimitMode::V2 {
        assert_eq!(read(&directory_with(&name, "memory.high").join("memory.high")), (28 * MIB).to_string());
        assert_eq!(read(&directory_with(&name, "cpu.max").join("cpu.max")), "25000 100000");
        "memory.max"
    } else {
        assert_eq!(read(&directory_with(&name, "cpu.cfs_quota_us").join("cpu.cfs_quota_us")), "25000");
        "memory.limit_in_bytes"
    };
    assert_eq!(read(&directory_with(&name, max).join(max)), (32 * MIB).to_string());
    assert_eq!(read(&directory_with(&name, "pids.max").join("pids.max")), "20");
    let burst = applied.limits().in_force.cpu_burst_us;
    assert!(burst.is_none_or(|burst| burst == 25_000), "{burst:?}");
    if burst.is_none() {
        assert!(applied.limits().notes.iter().any(|note| note.contains("burst")));
    }

    let usage = applied.usage();
    println!("{usage:#?}");
    assert_eq!(usage.pids, Some(1));
    assert!(usage.memory_bytes.is_some() && usage.memory_anon_bytes.is_some());
    assert!(usage.memory_kernel_bytes.is_some() && usage.cpu_usage_us.is_some());
    assert_eq!(usage.memory_events.oom_kill, Some(0));
    assert!(usage.nr_throttled.is_some() && usage.throttled_us.is_some());

    applied.release().expect("release");
    assert_eq!(own_cgroups(), before);
    assert_eq!(called(&name), Vec::<PathBuf>::new());
}

fn all_threads_are_moved() {
    let (stop, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());
    let name = name();
    let applied = enter(&wanted(), &name);
    let mut threads = 0;
    for task in fs::read_dir("/proc/self/task").expect("threads") {
        let cgroups = read(&task.expect("thread").path().join("cgroup"));
        assert!(cgroups.contains(&name), "{cgroups}");
        threads += 1;
    }
    assert_eq!(threads, 2);
    drop(stop);
    let _ = thread.join().expect("thread");
    applied.release().expect("release");
}

/// Enters and stays until killed.
fn linger() {
    let name = std::env::args().nth(2).expect("name");
    enter(&wanted(), &name);
    println!("READY");
    std::thread::sleep(Duration::from_secs(60));
}

fn started(mut child: Child) -> Child {
    let output = child.stdout.take().expect("output");
    let ready = BufReader::new(output).lines().map_while(Result::ok).any(|line| line == "READY");
    assert!(ready, "the other process did not get ready: {:?}", child.wait());
    child
}

fn leftover_is_used_again() {
    let name = name();
    let mut child = started(this_program("linger").arg(&name).stdout(Stdio::piped()).spawn().expect("start"));
    // Something of the killed run lives on: the cgroup cannot be made anew.
    let survivor = enter_by_hand(&name);
    child.kill().expect("kill");
    child.wait().expect("wait");
    assert!(!called(&name).is_empty());
    let more =
        Wanted { cpu_quota_permille_of_a_core: 100, memory_max_bytes: 64 * MIB, pids_max: 30, ..wanted() };
    let less = wanted();
    for wanted in [more, less] {
        let applied = enter(&wanted, &name);
        assert_eq!(applied.limits().in_force.memory_max_bytes, Some(wanted.memory_max_bytes));
        assert!(applied.release().is_err(), "the survivor is still in it");
    }
    end(survivor);
    enter(&less, &name).release().expect("release");
    assert_eq!(called(&name), Vec::<PathBuf>::new());
}

/// A process that is moved into the cgroups called `name`.
fn enter_by_hand(name: &str) -> Child {
    let child = Command::new("sleep").arg("60").spawn().expect("start sleep");
    for directory in called(name) {
        fs::write(directory.join("cgroup.procs"), child.id().to_string()).expect("move");
    }
    child
}

fn end(mut child: Child) {
    child.kill().expect("kill");
    child.wait().expect("wait");
}

fn inside_already() {
    let name = name();
    let first = enter(&wanted(), &name);
    let second = enter(&wanted(), &name);
    assert_eq!(first.limits().cgroups, second.limits().cgroups);
    assert_eq!(called(&name).len(), first.limits().cgroups.len());
    second.release().expect("release");
    assert!(first.release().is_ok(), "what is gone is not missed");
}

/// Takes 128 MiB under a limit of 32.
fn devour() {
    let name = std::env::args().nth(2).expect("name");
    // Swap would let it live.
    let applied = enter(&wanted(), &name);
    if applied.limits().mode == LimitMode::V2 {
        let _ = fs::write(directory_with(&name, "memory.swap.max").join("memory.swap.max"), "0");
        let _ = fs::write(directory_with(&name, "memory.high").join("memory.high"), "max");
    }
    let memory = vec![1_u8; 128 << 20];
    println!("survived with {} bytes", memory.iter().map(|b| u64::from(*b)).sum::<u64>());
}

fn memory_limit_kills() {
    let name = name();
    let status = this_program("devour").arg(&name).status().expect("start");
    for directory in called(&name) {
        fs::remove_dir(&directory).expect("remove");
    }
    assert_eq!(status.signal(), Some(9), "{status}");
}

fn cpu_limit_throttles() {
    let name = name();
    let applied = enter(&Wanted { cpu_quota_permille_of_a_core: 100, ..wanted() }, &name);
    let used = applied.usage().cpu_usage_us.expect("usage");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        std::hint::spin_loop();
    }
    let elapsed = u64::try_from(start.elapsed().as_micros()).expect("time");
    let usage = applied.usage();
    println!("{elapsed} µs: {usage:?}");
    let used = usage.cpu_usage_us.expect("usage") - used;
    // One burst, and what the scheduler rounds.
    assert!(used < elapsed / 10 + 60_000, "used {used} µs in {elapsed} µs");
    assert!(usage.nr_throttled > Some(0) && usage.throttled_us > Some(0), "{usage:?}");
    applied.release().expect("release");
}

fn pids_limit_refuses() {
    let name = name();
    let applied = enter(&Wanted { pids_max: 8, ..wanted() }, &name);
    let (stop, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let mut threads = Vec::new();
    let refused = (0..20).find_map(|_| {
        let wait = wait.clone();
        let thread = std::thread::Builder::new().spawn(move || {
            let _ = wait.lock().map(|wait| wait.recv());
        });
        thread.map(|thread| threads.push(thread)).err()
    });
    assert_eq!(refused.map(|error| error.kind()), Some(std::io::ErrorKind::WouldBlock));
    assert_eq!((threads.len(), applied.usage().pids), (7, Some(8)));
    drop(stop);
    threads.into_iter().for_each(|thread| thread.join().expect("thread"));
    applied.release().expect("release");
}

/// Applies limits in a cgroup that has tighter ones, and says what came of it.
fn below() {
    let (outer, name) = (std::env::args().nth(2).expect("outer"), std::env::args().nth(3).expect("name"));
    for directory in called(&outer) {
        fs::write(directory.join("cgroup.procs"), std::process::id().to_string()).expect("move");
    }
    let applied = apply(&wanted(), &name).expect("apply");
    let limits = applied.limits().clone();
    println!("{limits:#?}");
    // v1's cpuacct limits nothing, so it is no reason to stay.
    let mut limiting = limits.cgroups.iter().filter(|(hierarchy, _)| *hierarchy != "cpuacct");
    assert!(limiting.all(|(_, path)| path.contains(&outer)), "left {outer}: {:?}", limits.cgroups);
    assert!(limits.notes.iter().any(|note| note.contains(&outer)), "{:?}", limits.notes);
    assert_eq!(limits.effective.memory_max_bytes, Some(16 * MIB));
    assert_eq!(limits.in_force.memory_max_bytes, Some(32 * MIB));
    if limits.mode == LimitMode::V2 {
        assert!(limits.enforced, "{:?}", limits.problems);
        assert_eq!(limits.effective.cpu_quota_us, Some(10_000));
    } else {
        // v1 refuses a share above the parent's.
        assert!(!limits.enforced);
        assert!(
            limits.problems.iter().any(|problem| problem.contains("no more than 100/1000")),
            "{:?}",
            limits.problems
        );
    }
    applied.release().expect("release");
}

fn limit_above() {
    let outer = format!("{}-outer", name());
    // Made as a sysadmin would by hand; in each hierarchy that has one of the three controllers.
    let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let hierarchies: &[&str] = if v2 { &[""] } else { &["memory", "pids", "cpu"] };
    for hierarchy in hierarchies {
        fs::create_dir(Path::new("/sys/fs/cgroup").join(hierarchy).join(&outer)).expect("make");
    }
    let set = |file: &str, value: &str| {
        fs::write(directory_with(&outer, file).join(file), value).unwrap_or_else(|e| panic!("{file}: {e}"));
    };
    if v2 {
        set("memory.max", "16777216");
        set("cpu.max", "10000 100000");
    } else {
        set("memory.limit_in_bytes", "16777216");
        set("cpu.cfs_quota_us", "10000");
    }
    set("pids.max", "50");
    let status: ExitStatus = this_program("below").arg(&outer).arg(name()).status().expect("start");
    for directory in called(&outer) {
        fs::remove_dir(&directory).expect("remove");
    }
    assert!(status.success(), "{status}");
}

fn taken_away() {
    let name = name();
    let mut applied = enter(&wanted(), &name);
    fs::write(directory_with(&name, "pids.max").join("pids.max"), "max").expect("write");
    assert!(!applied.reread());
    let problems = applied.limits().problems.join("\n");
    assert_eq!(problems, "pids limit: asked for 20, in force none");
    assert!(applied.reapply(), "{:?}", applied.limits().problems);
    assert_eq!(read(&directory_with(&name, "pids.max").join("pids.max")), "20");

    let directory = directory_with(&name, "pids.max");
    let up = directory.parent().expect("parent").join("cgroup.procs");
    fs::write(&up, std::process::id().to_string()).expect("move");
    assert!(!applied.reread());
    let problems = applied.limits().problems.join("\n");
    assert!(problems.contains("somebody moved it"), "{problems}");
    assert!(applied.reapply(), "{:?}", applied.limits().problems);
    applied.release().expect("release");
}
