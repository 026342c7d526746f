//! An agent that does nothing but what an updater looks at: it answers `self-test`, and writes a health document.
//!
//! What it is good or bad at stands in `etc/agent` of its release: the version, and how it behaves.
//!
//! - `linnet-test-agent self-test`
//! - `linnet-test-agent run ROOT`: the agent, in the foreground
//! - `linnet-test-agent restart ROOT`, `stop ROOT`: in place of a service manager
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use jiff::Timestamp;
use linnet_fleet::health::{Canary, Health, LimitValues, Limits, State};
use linnet_fleet::host::BootId;

const TICK: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["self-test"] => self_test(),
        ["run", root] => run(Path::new(root)),
        ["run"] => run(Path::new("/")),
        ["restart", root] => stop(Path::new(root)).and_then(|()| start(Path::new(root))),
        ["stop", root] => stop(Path::new(root)),
        _ => {
            Err(anyhow::anyhow!("usage: linnet-test-agent self-test | run [ROOT] | restart ROOT | stop ROOT"))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("linnet-test-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Version and behaviour, from the release that this executable is in.
fn nature() -> anyhow::Result<(String, String)> {
    let executable = std::env::current_exe()?;
    let release = executable.parent().and_then(Path::parent).context("no release directory")?;
    let text = fs::read_to_string(release.join("etc/agent"))?;
    let (version, behaviour) = text.trim().split_once(' ').context("etc/agent")?;
    Ok((version.to_owned(), behaviour.to_owned()))
}

fn self_test() -> anyhow::Result<()> {
    match nature()?.1.as_str() {
        "bad-self-test" => bail!("this kernel's BTF lacks something"),
        "hanging-self-test" => {
            std::thread::sleep(Duration::from_secs(3600));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn run(root: &Path) -> anyhow::Result<()> {
    let (version, behaviour) = nature()?;
    match behaviour.as_str() {
        "refuses-settings" => bail!("/etc/linnet/linnet.json: limits.cpu_permile: unknown field"),
        "never-ready" => loop {
            std::thread::sleep(TICK);
        },
        _ => {}
    }
    let began = Instant::now();
    let mut health = Health {
        schema_version: linnet_fleet::health::SCHEMA_VERSION,
        version,
        pid: std::process::id(),
        boot_id: BootId::read().map(|id| id.to_string()).unwrap_or_default(),
        started_at: Timestamp::now(),
        state: State::Running,
        canary: Canary { sent: 1, seen: 1, last_seen_at: Some(Timestamp::now()) },
        limits: Limits {
            enforced: true,
            in_force: LimitValues { memory_max_bytes: Some(64 << 20), ..LimitValues::default() },
            ..Limits::default()
        },
        ..Health::default()
    };
    let path = root.join("run/linnet/health.json");
    fs::create_dir_all(path.parent().context("no directory")?)?;
    let mut leak: Vec<Vec<u8>> = Vec::new();
    let mut told = false;
    loop {
        health.updated_at = Timestamp::now();
        // Its host was taken down: nobody is left to stop it.
        if !root.join("opt/linnet").exists() {
            return Ok(());
        }
        // A full disk does not end an agent.
        let _ = health.write(&path);
        tell(if told { b"WATCHDOG=1" } else { b"READY=1" });
        told = true;
        let age = began.elapsed();
        match behaviour.as_str() {
            "crashes" if age > Duration::from_millis(400) => std::process::abort(),
            "hangs" if age > Duration::from_millis(400) => loop {
                std::thread::sleep(TICK);
            },
            "unseeing" => health.canary.sent = 5,
            "leaks" => leak.push(vec![1; 8 << 20]),
            _ => {}
        }
        // A short first tick, so that the document changes soon.
        std::thread::sleep(TICK);
    }
}

/// A word for systemd, in its own protocol: a datagram.
fn tell(word: &[u8]) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Ok(ours) = UnixDatagram::unbound()
    {
        let _ = ours.send_to(word, socket);
    }
}

fn pid_path(root: &Path) -> PathBuf {
    root.join("run/linnet/test-agent.pid")
}

fn start(root: &Path) -> anyhow::Result<()> {
    let program = root.join("opt/linnet/current/bin/linnet-agent");
    let path = root.join("run/linnet/health.json");
    let _ = fs::remove_file(&path);
    let child = Command::new(&program)
        .arg("run")
        .arg(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(|| format!("start {program:?}"))?;
    fs::create_dir_all(root.join("run/linnet"))?;
    fs::write(pid_path(root), child.id().to_string())?;
    // Those that ever write a document have written it soon; so whoever asks next finds it.
    let until = Instant::now() + Duration::from_millis(300);
    while !path.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn stop(root: &Path) -> anyhow::Result<()> {
    let Ok(text) = fs::read_to_string(pid_path(root)) else { return Ok(()) };
    let pid = text.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
    // Only one of ours: the number may be somebody else's by now.
    let of_root = |pid: rustix::process::Pid| {
        fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&*root.to_string_lossy()))
    };
    if let Some(pid) = pid.filter(|pid| of_root(*pid)) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    let _ = fs::remove_file(pid_path(root));
    Ok(())
}
