//! Power loss: what the disk may hold when the power goes after any step, and what the next start makes of it.
//!
//! The updater's system calls are recorded by strace, so everything is in the record that reaches the disk, whoever in the
//! program wrote it. A change survives a power loss for certain when it was synced; what was not may be there or not, in
//! any order. Of these states each prefix is taken, and for each: with all that is pending, with nothing of it, with
//! the names but not the contents, with the names and lengths but zeros for contents, and with each single change missing
//! or alone. Equal states are tried once.

mod disk;
mod record;

use std::path::Path;

use anyhow::{Context, ensure};

use crate::Tools;
use crate::host::{Stage, copy, text};
use crate::score::Score;
use disk::Disk;

/// Runs the suite.
pub fn run(tools: &Tools, score: &mut Score) -> anyhow::Result<()> {
    let stage = Stage::new(tools)?;
    let mut tried = 0;
    for (wanted, arguments, ends_with) in [
        ("0.2.0", vec!["update"], "0.2.0"),
        ("0.3.2", vec!["update"], "0.1.0"),
        ("0.2.0", vec!["rollback"], "0.1.0"),
    ] {
        let host = stage.host(tools, wanted)?;
        if arguments == ["rollback"] {
            ensure!(host.run(&["update"], &[])?.code == Some(0), "update before the rollback");
        }
        let before = tempfile::tempdir()?;
        let base = before.path().join("base");
        copy(&host.root, &base)?;
        let log = before.path().join("strace");
        let mut strace = record::strace(&log);
        strace.arg(&tools.updater);
        let done = host.run_by(strace, &arguments, &[])?;
        let steps = record::read(&log, &host.root).with_context(|| {
            format!("{:?}: {} (strace has to be installed and allowed)", done.code, done.said)
        })?;
        ensure!(steps.len() > 20, "only {} steps were recorded", steps.len());
        let disk = Disk::read(&base)?;
        let states = disk.states(&steps);
        let what =
            format!("power lost in {} to {wanted}: {} steps, states", arguments.join(" "), steps.len());
        tried += states.len();
        score.many(&what, tools.jobs, &states, |left| {
            let host = crate::host::Host::new(tools)?;
            disk.after(&steps, left).write(&host.root)?;
            boot_anew(&host.root)?;
            host.follow(&stage.channel(wanted))?;
            let _ = std::fs::remove_dir_all(host.root.join("run"));
            recovered(&host, &arguments, ends_with).with_context(|| format!("after {}", left.after))
        });
    }
    println!("states of the disk after a power loss: {tried}");
    Ok(())
}

fn recovered(host: &crate::host::Host, arguments: &[&str], ends_with: &str) -> anyhow::Result<()> {
    host.linked().context("right after the power loss")?;
    host.start()?;
    host.settle()?;
    host.linked().context("after recover")?;
    let done = host.run(&["update"], &[])?;
    let status = host.status()?;
    let expected = match (arguments, text(&status, "/installed/version")) {
        (["rollback"], "0.2.0") => "0.2.0",
        _ => ends_with,
    };
    host.check(expected).with_context(|| format!("after update ({:?}): {}", done.code, done.said))
}

/// Who loses power comes back in another boot: what the updater noted of this one is made one of another.
fn boot_anew(root: &Path) -> anyhow::Result<()> {
    const OTHER: &str = "00000000-0000-4000-8000-000000000000";
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let directory = root.join("var/lib/linnet/updater");
    for entry in std::fs::read_dir(&directory).into_iter().flatten() {
        let path = entry?.path();
        // What is no text is a torn write, and holds no boot.
        if path.is_file()
            && let Ok(text) = std::fs::read_to_string(&path)
            && text.contains(boot.trim())
        {
            std::fs::write(&path, text.replace(boot.trim(), OTHER))?;
        }
    }
    Ok(())
}

/// A path below the host's root, as text.
pub fn below(root: &Path, path: &Path) -> Option<String> {
    Some(path.strip_prefix(root).ok()?.to_string_lossy().into_owned())
}
