//! Bad days: bad releases, full and read-only disks, damaged files, two updaters at once, wrong clocks.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::Tools;
use crate::host::{BAD, Host, Stage, copy, text};
use crate::score::Score;

/// Where the state is, below the host's root.
const STATE: &str = "var/lib/linnet/updater/state.json";
const YEAR_S: i64 = 31_536_000;

/// Runs the suite.
pub fn run(tools: &Tools, score: &mut Score) -> anyhow::Result<()> {
    let stage = Stage::new(tools)?;
    score.many("a bad release is left by itself and remembered", tools.jobs, &BAD, |(version, behaviour)| {
        bad_release(tools, &stage, version, behaviour).with_context(|| (*behaviour).to_owned())
    });
    let mut damages = Vec::new();
    for at in [
        "",
        "after-stage",
        "after-switch-previous",
        "after-switch-current",
        "after-switch",
        "agent-restarted",
    ] {
        for damage in DAMAGES {
            damages.push((at, damage));
        }
    }
    score.many("a damaged state is rebuilt from the disk", tools.jobs, &damages, |(at, damage)| {
        damaged_state(tools, &stage, at, damage).with_context(|| format!("{damage:?} at {at:?}"))
    });
    // From not one byte to more than the whole update takes.
    let free_kib: Vec<u64> = (0..24).map(|at| at * 4).chain((1..60).map(|at| at * 512)).collect();
    score.many("a disk with so many bytes free", tools.jobs, &free_kib, |free_kib| {
        full_disk(tools, &stage, *free_kib).with_context(|| format!("{free_kib} KiB free"))
    });
    score.one("a read-only disk changes nothing", read_only(tools, &stage));
    score.one("a second updater is refused, and status answers", second_updater(tools, &stage));
    score.one("a clock a year ahead stops changes, not the sensor", wrong_clock(tools, &stage, YEAR_S, 24));
    score.one("a clock a year behind does not lock out", wrong_clock(tools, &stage, -YEAR_S, 0));
    score.one("a damaged hold holds", damaged_hold(tools, &stage));
    score.one("a damaged release is left for a whole one, and fetched again", damaged_release(tools, &stage));
    Ok(())
}

fn bad_release(tools: &Tools, stage: &Stage, version: &str, behaviour: &str) -> anyhow::Result<()> {
    let host = stage.host(tools, version)?;
    let expected = if behaviour.contains("self-test") { 25 } else { 30 };
    // Long enough that one who falls silent at once has not proved itself before.
    let settings = host.root.join("etc/linnet/updater.json");
    let longer = fs::read_to_string(&settings)?.replace("\"stable_s\": 1", "\"stable_s\": 3");
    fs::write(&settings, longer)?;
    host.run(&["update"], &[])?.ended(expected, "")?;
    host.check("0.1.0")?;
    host.run(&["update"], &[])?.ended(11, "")?;
    host.run(&["run"], &[])?.ended(0, "")?;
    host.run(&["retry", version], &[])?.ended(0, "")?;
    host.run(&["update"], &[])?.ended(expected, "")?;
    host.check("0.1.0")
}

/// What is done to a state file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Empty,
    Zeros,
    Garbage,
    Newer,
    Cut(usize),
    Gone,
}

const DAMAGES: [Damage; 9] = [
    Damage::Empty,
    Damage::Zeros,
    Damage::Garbage,
    Damage::Newer,
    Damage::Cut(1),
    Damage::Cut(40),
    Damage::Cut(200),
    Damage::Cut(400),
    Damage::Gone,
];

fn damaged_state(tools: &Tools, stage: &Stage, at: &str, damage: &Damage) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.2.0")?;
    if !at.is_empty() {
        let done = host.run(&["update"], &[("LINNET_KILL_AT", at)])?;
        ensure!(done.code.is_none(), "not killed: {}", done.said);
    }
    let path = host.root.join(STATE);
    let whole = fs::read(&path)?;
    match damage {
        Damage::Empty => fs::write(&path, "")?,
        Damage::Zeros => fs::write(&path, vec![0; whole.len()])?,
        Damage::Garbage => fs::write(&path, "<html>\u{7}</html>")?,
        Damage::Newer => fs::write(&path, r#"{"schema_version": 99, "phase": {"name": "teleporting"}}"#)?,
        Damage::Cut(bytes) => fs::write(&path, whole.get(..*bytes).unwrap_or(b"{"))?,
        Damage::Gone => fs::remove_file(&path)?,
    }
    host.settle()?;
    host.linked().context("after recover")?;
    if !matches!(damage, Damage::Gone) {
        ensure!(path.with_extension("json.damaged").exists(), "the damaged file was not kept");
    }
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.2.0")
}

/// A small file system for the host, with its `run` on another, as everywhere.
struct Small {
    root: std::path::PathBuf,
}

impl Small {
    fn mount(host: &Host, megabytes: u64) -> anyhow::Result<Self> {
        host.stop()?;
        // The whole tree is put aside and copied back onto the small file system.
        let aside = host.root.with_file_name("aside");
        fs::rename(&host.root, &aside)?;
        fs::create_dir(&host.root)?;
        mount(&host.root, &format!("size={megabytes}m"))?;
        let small = Self { root: host.root.clone() };
        copy(&aside, &host.root)?;
        let _ = fs::remove_dir_all(host.root.join("run"));
        fs::create_dir(host.root.join("run"))?;
        mount(&host.root.join("run"), "size=16m")?;
        host.start()?;
        Ok(small)
    }

    fn free_bytes(&self) -> anyhow::Result<u64> {
        let found = rustix::fs::statvfs(&self.root)?;
        Ok(found.f_bavail * found.f_frsize)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        for path in [self.root.join("run"), self.root.clone()] {
            let _ = Command::new("umount").arg("-l").arg(path).status();
        }
    }
}

fn mount(at: &Path, options: &str) -> anyhow::Result<()> {
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).status()?;
    ensure!(status.success(), "mount a tmpfs at {at:?} (run as root)");
    Ok(())
}

fn full_disk(tools: &Tools, stage: &Stage, free_kib: u64) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.2.0")?;
    let small = Small::mount(&host, 128)?;
    let filler = host.root.join("filler");
    fs::write(&filler, vec![1; usize::try_from(small.free_bytes()?.saturating_sub(free_kib << 10))?])?;
    let done = host.run(&["update"], &[])?;
    match done.code {
        Some(0) => host.check("0.2.0")?,
        // No room, told as such; or so little that not even the state could be written.
        Some(23 | 1 | 30) => {
            let linked = host.linked()?;
            ensure!(linked == "0.1.0", "{linked} is linked after {:?}: {}", done.code, done.said);
        }
        other => anyhow::bail!("ended with {other:?}: {}", done.said),
    }
    fs::remove_file(&filler)?;
    host.settle()?;
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.2.0")
}

fn read_only(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.2.0")?;
    let _small = Small::mount(&host, 128)?;
    let remount = |how: &str| Command::new("mount").args(["-o", how]).arg(&host.root).status();
    ensure!(remount("remount,ro")?.success(), "remount read-only");
    let done = host.run(&["update"], &[])?;
    ensure!(matches!(done.code, Some(1 | 23)), "ended with {:?}: {}", done.code, done.said);
    ensure!(done.said.contains("ead-only"), "it does not say why: {}", done.said);
    host.check("0.1.0")?;
    ensure!(remount("remount,rw")?.success(), "remount");
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.2.0")
}

fn second_updater(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.2.0")?;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| host.run(&["update"], &[]));
        std::thread::sleep(Duration::from_millis(400));
        host.run(&["update"], &[])?.ended(12, "")?;
        host.run(&["rollback"], &[])?.ended(12, "")?;
        ensure!(host.status()?.pointer("/updater_pid").is_some_and(serde_json::Value::is_number), "no pid");
        let first = first.join().map_err(|_| anyhow::anyhow!("panic"))??;
        first.ended(0, "")
    })?;
    host.check("0.2.0")
}

fn wrong_clock(tools: &Tools, stage: &Stage, off_s: i64, expected: i32) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.2.0")?;
    let off = off_s.to_string();
    host.run(&["update"], &[("LINNET_CLOCK_OFF_S", &off)])?.ended(expected, "")?;
    host.check(if expected == 0 { "0.2.0" } else { "0.1.0" })?;
    // When the clock is right again, all goes on.
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.2.0")
}

fn damaged_hold(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.2.0")?;
    host.run(&["disable", "--why", "test"], &[])?.ended(0, "")?;
    let path = host.root.join("var/lib/linnet/updater/hold.json");
    for content in ["", "{", r#"{"schema_version":2}"#] {
        fs::write(&path, content)?;
        host.run(&["update"], &[])?.ended(11, "")?;
        host.check("0.1.0")?;
    }
    host.run(&["enable"], &[])?.ended(0, "")?;
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.2.0")
}

fn damaged_release(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.2.0")?;
    host.run(&["update"], &[])?.ended(0, "")?;
    let agent = host.root.join("opt/linnet/current/bin/linnet-updater");
    fs::OpenOptions::new().write(true).open(&agent)?.set_len(1000)?;
    host.run(&["recover"], &[])?.ended(30, "")?;
    host.check("0.1.0")?;
    ensure!(text(&host.status()?, "/state") == "IDLE", "not idle");
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.2.0")
}
