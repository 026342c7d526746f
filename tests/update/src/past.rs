//! Failures that other updaters had, in so far as no other suite has them: README.md beside this folder lists all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::Tools;
use crate::channel::Made;
use crate::host::{Host, Stage};
use crate::score::Score;

const STATE: &str = "var/lib/linnet/updater";
const YEAR_S: i64 = 31_536_000;

/// Runs the suite.
pub fn run(tools: &Tools, score: &mut Score) -> anyhow::Result<()> {
    let stage = Stage::new(tools)?;
    score.one("an expired channel keeps no agent from starting", expired_start(tools, &stage));
    score.one("a second watcher after a rollback neither commits nor removes", second_watcher(tools, &stage));
    score.one("a stale note of a switch removes nothing", stale_note(tools, &stage));
    score.many("leftovers of nothing are no obstacle", tools.jobs, &LEFTOVERS, |leftover| {
        empty_leftover(tools, &stage, leftover).with_context(|| (*leftover).to_owned())
    });
    score.one("the commands lead to what runs after a rollback", commands_lead(tools, &stage));
    score.one("a release that fails strands no host and is not tried in circles", no_circle(tools, &stage));
    score.one("a package that is swapped after its check is checked again", swapped(tools, &stage));
    Ok(())
}

/// Fleet 22740: an expired root made agents exit at startup.
fn expired_start(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.2.0")?;
    let late = YEAR_S.to_string();
    let late = [("LINNET_CLOCK_OFF_S", late.as_str())];
    host.run(&["run"], &late)?.ended(24, "expired")?;
    host.stop()?;
    host.start()?;
    host.run(&["recover"], &late)?.ended(0, "")?;
    host.run(&["status"], &late)?.ended(0, "0.1.0")?;
    host.check("0.1.0")
}

/// elastic-agent 14699: after a rollback a second watcher "succeeded" and deleted the version that ran.
fn second_watcher(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.3.0")?;
    host.run(&["update"], &[])?.ended(30, "")?;
    for arguments in [&["recover", "--dead-man"][..], &["recover", "--agent-failed"], &["recover"], &["run"]]
    {
        host.run(arguments, &[])?.ended(0, "").with_context(|| format!("{arguments:?}"))?;
        host.check("0.1.0").with_context(|| format!("{arguments:?}"))?;
    }
    ensure!(
        host.link("committed").is_some_and(|name| name.starts_with("0.1.0")),
        "{:?}",
        host.link("committed")
    );
    Ok(())
}

/// elastic-agent 13505: a marker of an update that was long over made the watcher delete the installation.
fn stale_note(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.2.0")?;
    host.run(&["update"], &[("LINNET_KILL_AT", "before-disarm")])?;
    let note = host.root.join(STATE).join("armed.json");
    let stale = fs::read(&note).context("it was not killed with a note on the disk")?;
    host.settle()?;
    host.check("0.2.0")?;
    fs::write(&note, &stale)?;
    for arguments in [&["recover", "--agent-failed"][..], &["recover", "--dead-man"], &["run"]] {
        host.run(arguments, &[])?.ended(0, "").with_context(|| format!("{arguments:?}"))?;
        host.check("0.2.0").with_context(|| format!("{arguments:?}"))?;
        fs::write(&note, &stale)?;
    }
    // One of a release that is not there any more.
    let other = String::from_utf8(stale)?.replace("0.2.0", "0.9.0");
    fs::write(&note, other)?;
    host.run(&["run"], &[])?.ended(0, "")?;
    host.check("0.2.0")
}

const LEFTOVERS: [&str; 6] = ["package", "part", "part.info", "directory", "marker", "temporary link"];

/// elastic-agent 693: files of no bytes, left by a full disk, broke every later try.
fn empty_leftover(tools: &Tools, stage: &Stage, leftover: &str) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.2.0")?;
    let name = named(stage, tools)?;
    let (releases, downloads) =
        (host.root.join("opt/linnet/releases"), host.root.join(STATE).join("download"));
    match leftover {
        "package" => fs::write(downloads.join(format!("{name}.tar.gz")), "")?,
        "part" => fs::write(downloads.join(format!(".{name}.tar.gz.part")), "")?,
        "part.info" => fs::write(downloads.join(format!(".{name}.tar.gz.part.info")), "")?,
        "directory" => {
            fs::create_dir_all(releases.join(&name).join("bin"))?;
            fs::write(releases.join(&name).join("bin/linnet-agent"), "")?;
            fs::write(releases.join(&name).join("manifest.json"), "")?;
        }
        "marker" => {
            fs::create_dir_all(releases.join(&name))?;
            fs::write(releases.join(format!("{name}.json")), "")?;
        }
        _ => std::os::unix::fs::symlink("nowhere", host.root.join("opt/linnet/.current.tmp"))?,
    }
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.2.0")
}

/// The directory name of 0.2.0, which follows from its digest.
fn named(stage: &Stage, tools: &Tools) -> anyhow::Result<String> {
    let host = stage.host(tools, "0.2.0")?;
    host.run(&["update"], &[])?.ended(0, "")?;
    host.link("current").context("no link")
}

/// elastic-agent 2264: after a rollback the command led nowhere.
fn commands_lead(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.2.0")?;
    let commands = |host: &Host, version: &str| -> anyhow::Result<()> {
        for name in ["linnet-agent", "linnet-updater"] {
            let led = led_to(host, &host.root.join("usr/bin").join(name))?;
            ensure!(led.starts_with(host.root.join("opt/linnet/releases")), "{name} leads to {led:?}");
            let release = led.to_string_lossy().into_owned();
            ensure!(release.contains(&format!("/{version}-")), "{name} leads to {release}, {version} runs");
        }
        let updater = host.root.join("usr/bin/linnet-updater");
        let said = Command::new(&updater).arg("--root-dir").arg(&host.root).arg("status").output();
        let said = said.with_context(|| format!("run {updater:?}"))?;
        ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        Ok(())
    };
    commands(&host, "0.1.0")?;
    host.run(&["update"], &[])?.ended(0, "")?;
    commands(&host, "0.2.0").context("after the update")?;
    host.run(&["rollback"], &[])?.ended(0, "")?;
    commands(&host, "0.1.0").context("after the rollback")?;
    let bad = stage.host(tools, "0.3.2")?;
    bad.run(&["update"], &[])?.ended(30, "")?;
    commands(&bad, "0.1.0").context("after a rollback by itself")
}

/// A command resolved. The host was copied, and its links name the root that it had.
fn led_to(host: &Host, path: &Path) -> anyhow::Result<PathBuf> {
    let led = fs::read_link(path).with_context(|| format!("{path:?}"))?;
    let below = led.iter().skip_while(|part| *part != "opt").collect::<PathBuf>();
    fs::canonicalize(host.root.join(below)).with_context(|| format!("{path:?} leads to {led:?}"))
}

/// WALinuxAgent 3123 and 3033: a permanent blacklist stranded hosts, and clearing it sent them from one to the other.
fn no_circle(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.3.0")?;
    host.run(&["run"], &[])?.ended(30, "")?;
    for _ in 0..4 {
        host.run(&["run"], &[])?.ended(0, "failed on this host before")?;
        host.check("0.1.0")?;
    }
    ensure!(attempts(&host)? == 1, "{} attempts", attempts(&host)?);
    host.run(&["retry"], &[])?.ended(0, "")?;
    host.run(&["run"], &[])?.ended(30, "")?;
    host.run(&["run"], &[])?.ended(0, "failed on this host before")?;
    ensure!(attempts(&host)? == 2, "{} attempts", attempts(&host)?);
    // The same version made anew is another release, and so is a newer one.
    let mut channel = stage.branch()?;
    channel.add(
        &Made { version: "0.3.0", behaviour: "good", floor: "0.1.0" },
        &tools.agent,
        &tools.updater,
    )?;
    channel.publish(Some("0.3.0"))?;
    host.follow(&channel.dir)?;
    host.run(&["run"], &[])?.ended(0, "0.3.0")?;
    host.check("0.3.0")
}

fn attempts(host: &Host) -> anyhow::Result<u64> {
    let status = host.status()?;
    status.pointer("/failures/0/attempts").and_then(serde_json::Value::as_u64).context("no failure is told")
}

/// Sparkle's CVE-2025-0509 and RAUC's plain bundles: what was checked was not what was installed.
fn swapped(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let host = stage.host(tools, "0.2.0")?;
    host.run(&["update"], &[("LINNET_KILL_AT", "stage-cleared")])?;
    let downloads = host.root.join(STATE).join("download");
    let mode = fs::metadata(&downloads)?.permissions().mode() & 0o777;
    ensure!(mode == 0o700, "others may write into {downloads:?}: {mode:o}");
    let package = fs::read_dir(&downloads)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .context("it was not killed with a package on the disk")?;
    let mut bytes = fs::read(&package)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("an empty package")? ^= 1;
    fs::write(&package, &bytes)?;
    host.settle()?;
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.2.0")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The table of README.md names files and claims that are there.
    #[test]
    fn past_failures_have_their_tests() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut rows = 0;
        for line in include_str!("../README.md").lines().filter(|line| line.starts_with("| ")) {
            let columns: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [_, claims, path] = columns.as_slice() else { panic!("{line}") };
            let Ok(source) = std::fs::read_to_string(root.join(path)) else {
                assert!(["where", "---"].contains(path), "{path} is not there");
                continue;
            };
            let names: Vec<_> = claims.split('`').skip(1).step_by(2).collect();
            assert!(!names.is_empty(), "{line}");
            for name in names {
                assert!(source.contains(name), "{path} has no {name:?}");
            }
            rows += 1;
        }
        assert!(rows >= 20, "{rows} rows");
    }
}
