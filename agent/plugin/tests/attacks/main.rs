//! Hostile plugins, for real: this program is host, launcher and attacker in one. As root, since confining needs it.
//!
//! Each attack runs under the whole sandbox; those against the layer beneath the system call filter run without it too.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test: a panic is its verdict"
)]

mod attacker;
mod stage;

use std::process::ExitCode;
use std::time::Duration;

use linnet_plugin_host::manifest::Capability;
use serde_json::json;
use stage::Stage;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("plugin-launch") => {
            let Err(error) = linnet_plugin_host::launch(arguments.get(2).map_or("", String::as_str));
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
        Some("host") => stage::be_host(&arguments[2], &arguments[3]),
        // The sandbox gives a plugin its own name as its only argument.
        None if arguments.first().is_some_and(|name| name == "attacker") => return attacker::run(),
        _ => {}
    }
    if !rustix::process::geteuid().is_root() {
        println!("NOT RUN all attacks: they need root, to be taken away from a plugin");
        return ExitCode::SUCCESS;
    }
    let only = arguments.get(1).filter(|word| !word.starts_with('-')).cloned().unwrap_or_default();
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in TESTS {
        if !name.contains(&only) {
            continue;
        }
        match std::panic::catch_unwind(test) {
            Ok(()) => {
                passed += 1;
                println!("ok {name}");
            }
            Err(_) => {
                failed += 1;
                println!("FAILED {name}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => { const TESTS: &[(&str, fn())] = &[$((stringify!($name), $name)),*]; };
}

tests![
    a_good_plugin_reports_and_ends_when_asked,
    its_state_comes_back_and_new_settings_reach_it,
    one_that_crashes_is_started_again_and_then_disabled_with_the_reason,
    one_that_hangs_is_killed,
    one_that_never_gets_ready_is_killed,
    one_that_ignores_termination_is_killed,
    one_that_forks_gets_no_process,
    // Before the bomb, whose dead children count as the user's until somebody reaps them.
    one_that_starts_threads_without_end_is_held,
    one_that_forks_without_the_filter_is_held_by_its_cgroup_and_all_are_killed,
    one_that_eats_memory_is_killed_alone,
    a_gigabyte_of_events_is_held_to_its_rate,
    a_gigabyte_without_a_line_end_is_thrown_away,
    garbage_gets_it_disabled_and_every_line_is_counted,
    nothing_is_read_that_was_not_granted,
    nothing_is_read_that_was_not_granted_without_the_filter_either,
    nothing_is_written,
    the_network_is_not_there_without_leave,
    the_network_is_there_with_leave,
    others_are_not_signalled_nor_traced,
    it_is_nobody_and_has_nothing_that_was_not_granted,
    a_directory_of_its_own_can_be_written_and_nothing_else,
    all_files_can_be_read_with_leave,
    events_of_another_class_are_refused,
    a_manifest_that_others_could_have_written_is_refused,
    a_plugin_dies_with_its_host,
    policy_takes_a_capability_away,
];

fn a_good_plugin_reports_and_ends_when_asked() {
    let stage = Stage::new("good", &json!({ "act": "good", "events": 3 }), &[]);
    let host = stage.start();
    host.await_events(3);
    let plugin = host.await_state("running");
    for layer in ["own cgroup", "no_new_privs", "landlock", "system call filter", "capabilities: none"] {
        assert!(plugin.sandbox.iter().any(|one| one == layer), "{layer} in {:?}", plugin.sandbox);
    }
    assert!(plugin.problems.is_empty(), "{:?}", plugin.problems);
    let end = host.stop();
    assert_eq!((end.state.as_str(), end.failures), ("stopped", 0));
    assert_eq!(end.losses.received, 3);
}

fn its_state_comes_back_and_new_settings_reach_it() {
    let stage = Stage::new("state", &json!({ "act": "count" }), &[]);
    for round in 0..3 {
        let host = stage.start();
        let event = host.await_events(1).remove(0);
        assert_eq!(event.event.fields["unmapped"]["count"], round);
        host.stop();
    }
    let host = stage.start();
    host.await_events(1);
    host.configure(&stage, &json!({ "act": "count", "word": "later" }));
    let event = host.await_events(1).remove(0);
    assert_eq!(event.event.fields["unmapped"]["word"], "later");
    assert_eq!(host.stop().starts, 1);
}

fn one_that_crashes_is_started_again_and_then_disabled_with_the_reason() {
    let stage = Stage::new("crash", &json!({ "act": "crash" }), &[]);
    let host = stage.start();
    let plugin = host.await_state("disabled");
    let reason = plugin.reason.unwrap_or_default();
    assert!(reason.contains("3 failures") && reason.contains("killed by signal 6"), "{reason}");
    assert!(reason.contains("the sky is falling"), "its last words are told: {reason}");
    assert_eq!((plugin.starts, plugin.failures), (3, 3));
}

fn one_that_hangs_is_killed() {
    let stage = Stage::new("hang", &json!({ "act": "hang" }), &[]);
    let host = stage.start();
    let plugin = host.await_state("disabled");
    assert!(plugin.reason.unwrap_or_default().contains("hangs: no answer"));
}

fn one_that_never_gets_ready_is_killed() {
    let stage = Stage::new("unready", &json!({ "act": "unready" }), &[]);
    let plugin = stage.start().await_state("disabled");
    assert!(plugin.reason.unwrap_or_default().contains("not ready"));
}

fn one_that_ignores_termination_is_killed() {
    let stage = Stage::new("stubborn", &json!({ "act": "stubborn" }), &[]);
    let host = stage.start();
    host.await_events(1);
    let pid = host.await_state("running").pid.expect("it runs");
    let begun = std::time::Instant::now();
    assert_eq!(host.stop().state, "stopped");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(!stage::lives(pid));
}

fn one_that_forks_gets_no_process() {
    let stage = Stage::new("fork", &json!({ "act": "fork" }), &[]);
    let host = stage.start();
    let event = host.await_events(1).remove(0);
    assert_eq!(event.event.fields["unmapped"]["made"], 0, "{:?}", event.event.fields);
    host.stop();
}

fn one_that_forks_without_the_filter_is_held_by_its_cgroup_and_all_are_killed() {
    let mut stage = Stage::new("bomb", &json!({ "act": "fork" }), &[]);
    stage.options.filter = false;
    let host = stage.start();
    let event = host.await_events(1).remove(0);
    let made = event.event.fields["unmapped"]["made"].as_u64().unwrap_or(u64::MAX);
    assert!((1..16).contains(&made), "{made} children");
    assert!(stage.processes() > 1);
    host.stop();
    stage::within(Duration::from_secs(3), || stage.processes() == 0);
}

fn one_that_starts_threads_without_end_is_held() {
    let stage = Stage::new("threads", &json!({ "act": "threads" }), &[]);
    let host = stage.start();
    let event = host.await_events(1).remove(0);
    let made = event.event.fields["unmapped"]["made"].as_u64().unwrap_or(u64::MAX);
    assert!((1..16).contains(&made), "{made} threads");
    host.stop();
}

fn one_that_eats_memory_is_killed_alone() {
    let stage = Stage::new("memory", &json!({ "act": "memory" }), &[]);
    let host = stage.start();
    let plugin = host.await_state("disabled");
    let reason = plugin.reason.unwrap_or_default();
    assert!(reason.contains("memory") || reason.contains("signal"), "{reason}");
    let most = plugin.usage.memory_peak_bytes.unwrap_or(0);
    assert!(most <= 24 << 20, "{most} bytes");
}

fn a_gigabyte_of_events_is_held_to_its_rate() {
    let stage = Stage::new("flood", &json!({ "act": "flood" }), &[]);
    let before = stage::own_cpu();
    let host = stage.start();
    let wall = Duration::from_secs(4);
    std::thread::sleep(wall);
    let cpu = stage::own_cpu() - before;
    let plugin = host.await_state("running");
    let losses = plugin.losses;
    let written = host.events().len() as u64;
    println!(
        "  in {wall:?}: {} lines read, {written} taken, {} over the rate, host used {cpu:?}",
        losses.received, losses.over_rate
    );
    assert!(losses.over_rate > 100, "{losses:?}");
    assert!(written <= 2000 + 20 * 8, "{written}");
    // A quarter of a core would be too much, in a debug build too.
    assert!(cpu < wall / 4, "the host used {cpu:?} in {wall:?}");
    let end = host.stop();
    let handed = end.losses.received - end.losses.over_rate - end.losses.over_day;
    assert_eq!(handed, end.losses.waiting + end.losses.invalid.values().sum::<u64>());
}

fn a_gigabyte_without_a_line_end_is_thrown_away() {
    let stage = Stage::new("endless", &json!({ "act": "endless" }), &[]);
    let memory = stage::own_memory();
    let host = stage.start();
    std::thread::sleep(Duration::from_secs(3));
    let grown = stage::own_memory().saturating_sub(memory);
    assert!(grown < 4 << 20, "grew by {grown} bytes");
    let end = host.stop();
    assert_eq!(end.losses.invalid.get("too_long"), Some(&1), "{:?}", end.losses);
}

fn garbage_gets_it_disabled_and_every_line_is_counted() {
    let stage = Stage::new("garbage", &json!({ "act": "garbage" }), &[]);
    let host = stage.start();
    let plugin = host.await_state("disabled");
    assert!(plugin.reason.unwrap_or_default().contains("lines that are no event"));
    let sum: u64 = plugin.losses.invalid.values().sum();
    assert_eq!(sum, plugin.losses.received);
    assert!(sum >= 300, "{:?}", plugin.losses);
    assert!(host.events().is_empty());
}

fn reads(capabilities: &[Capability], filter: bool) -> serde_json::Value {
    let mut stage = Stage::new("reader", &json!({ "act": "read" }), capabilities);
    stage.options.filter = filter;
    let host = stage.start();
    let event = host.await_events(1).remove(0);
    host.stop();
    event.event.fields["unmapped"].clone()
}

const SECRETS: [&str; 5] = ["/etc/shadow", "/etc/passwd", "/root", "/proc/1/environ", "/proc/1/cmdline"];

fn nothing_is_read_that_was_not_granted() {
    let seen = reads(&[], true);
    for path in SECRETS {
        assert_ne!(seen[path], "read", "{path}: {seen}");
    }
}

fn nothing_is_read_that_was_not_granted_without_the_filter_either() {
    let seen = reads(&[], false);
    for path in SECRETS {
        assert_ne!(seen[path], "read", "{path}: {seen}");
    }
}

fn all_files_can_be_read_with_leave() {
    let seen = reads(&[Capability::ReadAllFiles], true);
    for path in ["/etc/shadow", "/etc/passwd", "/root"] {
        assert_eq!(seen[path], "read", "{path}: {seen}");
    }
    assert_ne!(seen["/proc/1/environ"], "read", "reading files is not looking into processes");
}

fn writes(capabilities: &[Capability], filter: bool) -> serde_json::Value {
    let mut stage = Stage::new("writer", &json!({ "act": "write" }), capabilities);
    stage.options.filter = filter;
    let host = stage.start();
    let event = host.await_events(1).remove(0);
    host.stop();
    event.event.fields["unmapped"].clone()
}

fn nothing_is_written() {
    for (capabilities, filter) in
        [(&[][..], true), (&[][..], false), (&[Capability::ReadAllFiles, Capability::PtraceRead][..], true)]
    {
        let seen = writes(capabilities, filter);
        for (what, outcome) in seen.as_object().expect("an object") {
            assert_ne!(outcome, "done", "{what} with {capabilities:?}, filter {filter}: {seen}");
        }
    }
}

fn a_directory_of_its_own_can_be_written_and_nothing_else() {
    let seen = writes(&[Capability::StateDir], true);
    for (what, outcome) in seen.as_object().expect("an object") {
        assert_eq!(outcome == "done", what == "own directory", "{what}: {seen}");
    }
}

fn network(capabilities: &[Capability], filter: bool) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let mut stage = Stage::new("network", &json!({ "act": "network", "address": address }), capabilities);
    stage.options.filter = filter;
    stage.policy.allow.push(Capability::Network);
    let host = stage.start();
    let event = host.await_events(1).remove(0);
    host.stop();
    event.event.fields["unmapped"]["connect"].as_str().unwrap_or_default().to_owned()
}

fn the_network_is_not_there_without_leave() {
    assert_ne!(network(&[], true), "done");
    assert_ne!(network(&[], false), "done", "Landlock stands beneath the filter");
    assert_ne!(network(&[Capability::PtraceRead], true), "done", "and the filter without Landlock");
}

fn the_network_is_there_with_leave() {
    assert_eq!(network(&[Capability::Network], true), "done");
}

fn others_are_not_signalled_nor_traced() {
    for capabilities in [&[][..], &[Capability::ReadAllFiles, Capability::PtraceRead][..]] {
        let stage = Stage::new("tracer", &json!({ "act": "trace", "pid": std::process::id() }), capabilities);
        let host = stage.start();
        let event = host.await_events(1).remove(0);
        host.stop();
        let seen = &event.event.fields["unmapped"];
        for what in
            ["kill", "ptrace", "write memory", "process_vm_writev", "setuid", "mount", "unshare", "bpf"]
        {
            assert_ne!(seen[what], "done", "{what} with {capabilities:?}: {seen}");
        }
        let looks = capabilities.contains(&Capability::PtraceRead);
        assert_eq!(seen["readlink exe"] == "done", looks, "{seen}");
    }
}

fn it_is_nobody_and_has_nothing_that_was_not_granted() {
    let stage = Stage::new("who", &json!({ "act": "who" }), &[Capability::ReadAllFiles]);
    let host = stage.start();
    let event = host.await_events(1).remove(0);
    let pid = host.await_state("running").pid.expect("it runs");
    let seen = &event.event.fields["unmapped"];
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    assert!(line("Uid:").split('\t').all(|uid| uid.starts_with("18")), "{}", line("Uid:"));
    assert_eq!(line("Groups:"), "");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(line(set), "0000000000000004", "{set} is CAP_DAC_READ_SEARCH alone");
    }
    assert_eq!((line("NoNewPrivs:").as_str(), line("Seccomp:").as_str()), ("1", "2"));
    assert_eq!(seen["descriptors"], json!([0, 1, 2]), "nothing of the host's is open");
    assert_eq!(seen["environment"], 0);
    assert_eq!(
        std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap_or_default().trim(),
        "1000"
    );
    host.stop();
}

fn events_of_another_class_are_refused() {
    let stage = Stage::new("class", &json!({ "act": "class" }), &[]);
    let host = stage.start();
    host.await_events(1);
    let end = host.stop();
    assert_eq!(end.losses.invalid.get("class"), Some(&2), "{:?}", end.losses);
    assert_eq!(end.losses.invalid.get("field"), Some(&1), "{:?}", end.losses);
}

fn a_manifest_that_others_could_have_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new("open", &json!({ "act": "good" }), &[]);
    std::fs::set_permissions(stage.manifest(), std::fs::Permissions::from_mode(0o666)).expect("chmod");
    let plugin = stage.start().await_state("refused");
    let reason = plugin.reason.unwrap_or_default();
    assert!(reason.contains("writable by others than root"), "{reason}");
    assert_eq!(plugin.starts, 0);
}

fn a_plugin_dies_with_its_host() {
    let stage = Stage::new("orphan", &json!({ "act": "stubborn" }), &[]);
    let pid = stage.pid_of_killed_host();
    stage::within(Duration::from_secs(3), || !stage::lives(pid));
}

fn policy_takes_a_capability_away() {
    let mut stage = Stage::new("policy", &json!({ "act": "read" }), &[Capability::ReadAllFiles]);
    stage.policy.allow.clear();
    let host = stage.start();
    let event = host.await_events(1).remove(0);
    assert_ne!(event.event.fields["unmapped"]["/etc/shadow"], "read");
    assert_eq!(host.stop().denied, ["read_all_files"]);
}
