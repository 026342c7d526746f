//! One file for a host without network: what `linnet-keys bundle` makes is installed, and nothing else is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::Tools;
use crate::host::{Done, Host, Stage};
use crate::score::Score;

const MONTHS_S: i64 = 90 * 86_400;

/// Runs the suite.
pub fn run(tools: &Tools, score: &mut Score) -> anyhow::Result<()> {
    let stage = Stage::new(tools)?;
    let place = tempfile::tempdir()?;
    let first = Bundle::make(tools, &stage, "0.1.0", place.path())?;
    let second = Bundle::make(tools, &stage, "0.2.0", place.path())?;
    score.one("a bundle installs a host, and the next one updates it", installs(tools, &first, &second));
    score.one("an older bundle than the host has seen is refused", older(tools, &first, &second));
    score.one("an expired bundle is refused, and says what to do", expired(tools, &first));
    score.one("a bundle of another channel is refused", foreign(tools, &first));
    let whole = fs::read(&first.path)?;
    let cuts: Vec<_> = (0..24).map(|at| whole.len() * at / 24).chain([whole.len() - 512]).collect();
    score.many("a cut bundle installs nothing", tools.jobs, &cuts, |bytes| {
        let cut = whole.get(..*bytes).unwrap_or_default();
        damaged(tools, &first, cut, &[2, 21]).with_context(|| format!("cut after {bytes} bytes"))
    });
    let documents = (0..60).map(|at| at * 173);
    let places: Vec<_> = documents.chain((0..40).map(|at| whole.len() * at / 40)).collect();
    score.many(
        "a bundle with a changed byte installs nothing but what was signed",
        tools.jobs,
        &places,
        |at| {
            let mut changed = whole.clone();
            if let Some(byte) = changed.get_mut(*at) {
                *byte ^= 4;
            }
            changed_byte(tools, &first, &changed).with_context(|| format!("byte {at}"))
        },
    );
    Ok(())
}

struct Bundle {
    path: PathBuf,
    root: PathBuf,
}

impl Bundle {
    fn make(tools: &Tools, stage: &Stage, version: &str, place: &Path) -> anyhow::Result<Self> {
        let channel = stage.channel(version);
        let path = place.join(format!("linnet-{version}.tar"));
        let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("linnet-keys"));
        let keys = tools.keys.clone().map_or_else(beside, Ok)?;
        let made = Command::new(&keys)
            .args(["bundle", "--channel"])
            .arg(&channel)
            .arg("--out")
            .arg(&path)
            .output()
            .with_context(|| format!("run {keys:?}"))?;
        ensure!(made.status.success(), "{keys:?} bundle: {}", String::from_utf8_lossy(&made.stderr));
        Ok(Self { path, root: channel.join("1.root.json") })
    }

    fn install(&self, host: &Host, environment: &[(&str, &str)]) -> anyhow::Result<Done> {
        let (path, root) = (self.path.to_string_lossy(), self.root.to_string_lossy());
        host.run(&["install", "--from", &path, "--root", &root], environment)
    }
}

/// A host that follows a channel which is not there.
fn cut_off(tools: &Tools) -> anyhow::Result<Host> {
    let host = Host::new(tools)?;
    host.follow(Path::new("/nonexistent/channel"))?;
    Ok(host)
}

fn installs(tools: &Tools, first: &Bundle, second: &Bundle) -> anyhow::Result<()> {
    let host = cut_off(tools)?;
    first.install(&host, &[])?.ended(0, "")?;
    host.check("0.1.0")?;
    first.install(&host, &[])?.ended(0, "installed already")?;
    second.install(&host, &[])?.ended(0, "")?;
    host.check("0.2.0")?;
    host.run(&["rollback"], &[])?.ended(0, "")?;
    host.check("0.1.0")
}

fn older(tools: &Tools, first: &Bundle, second: &Bundle) -> anyhow::Result<()> {
    let host = cut_off(tools)?;
    second.install(&host, &[])?.ended(0, "")?;
    first.install(&host, &[])?.ended(22, "timestamp")?;
    host.check("0.2.0")
}

fn expired(tools: &Tools, bundle: &Bundle) -> anyhow::Result<()> {
    let host = cut_off(tools)?;
    let later = MONTHS_S.to_string();
    let done = bundle.install(&host, &[("LINNET_CLOCK_OFF_S", &later)])?;
    done.ended(24, "`linnet-keys refresh`, then `linnet-keys bundle`")?;
    nothing_installed(&host)?;
    bundle.install(&host, &[])?.ended(0, "")?;
    host.check("0.1.0")
}

fn foreign(tools: &Tools, bundle: &Bundle) -> anyhow::Result<()> {
    let host = cut_off(tools)?;
    let other = host.root.join("other.root.json");
    fs::write(&other, crate::channel::foreign_root()?)?;
    let with_other = Bundle { path: bundle.path.clone(), root: other };
    let done = with_other.install(&host, &[])?;
    ensure!(matches!(done.code, Some(21)), "ended with {:?}: {}", done.code, done.said);
    nothing_installed(&host)
}

fn nothing_installed(host: &Host) -> anyhow::Result<()> {
    ensure!(host.link("current").is_none(), "something is linked");
    let releases = fs::read_dir(host.root.join("opt/linnet/releases"));
    ensure!(releases.is_ok_and(|mut entries| entries.next().is_none()), "something is unpacked");
    Ok(())
}

fn damaged(tools: &Tools, bundle: &Bundle, bytes: &[u8], codes: &[i32]) -> anyhow::Result<()> {
    let host = cut_off(tools)?;
    let path = host.root.join("damaged.tar");
    fs::write(&path, bytes)?;
    let damaged = Bundle { path, root: bundle.root.clone() };
    let done = damaged.install(&host, &[])?;
    ensure!(done.code.is_some_and(|code| codes.contains(&code)), "ended with {:?}: {}", done.code, done.said);
    nothing_installed(&host)?;
    // A whole one puts it right, whatever the damaged one left.
    bundle.install(&host, &[])?.ended(0, "")?;
    host.check("0.1.0")
}

/// Not each byte of a tar counts: owners and times don't. What is installed is the signed release or none.
fn changed_byte(tools: &Tools, bundle: &Bundle, bytes: &[u8]) -> anyhow::Result<()> {
    let host = cut_off(tools)?;
    let path = host.root.join("changed.tar");
    fs::write(&path, bytes)?;
    let done = Bundle { path, root: bundle.root.clone() }.install(&host, &[])?;
    match done.code {
        Some(0) => host.check("0.1.0"),
        Some(2 | 20 | 21 | 23) => nothing_installed(&host),
        other => anyhow::bail!("ended with {other:?}: {}", done.said),
    }
}
