//! A host in a directory: settings, releases, state, and an agent that runs.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use linnet_fleet::health::Health;
use linnet_fleet::package::{Manifest, Root, verify_tree};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Tools;
use crate::channel::{Channel, Made};

/// How a run of the updater ended.
#[derive(Debug)]
pub struct Done {
    /// The exit code; none when it was killed.
    pub code: Option<i32>,
    /// Everything it said.
    pub said: String,
}

impl Done {
    /// It ended with this code, and said these words among others.
    pub fn ended(&self, expected: i32, says: &str) -> anyhow::Result<()> {
        let Self { code, said } = self;
        ensure!(*code == Some(expected), "ended with {code:?} in place of {expected}: {said}");
        ensure!(said.contains(says), "does not say {says:?}: {said}");
        Ok(())
    }
}

/// A host.
pub struct Host {
    _dir: TempDir,
    /// Its root directory.
    pub root: PathBuf,
    updater: PathBuf,
    agent: PathBuf,
}

/// A channel with a good 0.1.0 and 0.2.0 and others that are bad in one way each, and hosts to start from.
pub struct Stage {
    dir: TempDir,
    /// By name of the wanted release: a copy of the channel.
    channels: PathBuf,
    /// The publisher of all of them, who can go on.
    pub publisher: Channel,
    /// A host on which 0.1.0 was installed.
    pub installed: Host,
}

/// Each bad release, and how its agent is bad.
pub const BAD: [(&str, &str); 7] = [
    ("0.3.0", "crashes"),
    ("0.3.1", "hangs"),
    ("0.3.2", "never-ready"),
    ("0.3.3", "unseeing"),
    ("0.3.4", "refuses-settings"),
    ("0.3.5", "bad-self-test"),
    ("0.3.6", "hanging-self-test"),
];

impl Stage {
    /// Builds all of it.
    pub fn new(tools: &Tools) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let channels = dir.path().join("channels");
        let mut channel = Channel::new(&dir.path().join("channel"))?;
        let good = [("0.1.0", "good"), ("0.2.0", "good")];
        for (version, behaviour) in good.into_iter().chain(BAD) {
            channel.add(&Made { version, behaviour, floor: "0.1.0" }, &tools.agent, &tools.updater)?;
            channel.publish(Some(version))?;
            copy(&channel.dir, &channels.join(version))?;
        }
        let installed = Host::new(tools)?;
        installed.follow(&channels.join("0.1.0"))?;
        let done = installed.install(&channels.join("0.1.0"))?;
        ensure!(done.code == Some(0), "install of 0.1.0 ended with {:?}: {}", done.code, done.said);
        installed.check("0.1.0")?;
        // It is copied from now on, each copy with an agent of its own, and must not change meanwhile.
        installed.stop()?;
        Ok(Self { dir, channels, publisher: channel, installed })
    }

    /// The channel in which this release is wanted.
    pub fn channel(&self, version: &str) -> PathBuf {
        self.channels.join(version)
    }

    /// The publisher going on in a directory of its own.
    pub fn branch(&self) -> anyhow::Result<Channel> {
        let dir = tempfile::tempdir_in(self.dir.path())?.keep();
        self.publisher.branch(&dir)
    }

    /// A copy of the installed host that follows the channel of this release.
    pub fn host(&self, tools: &Tools, wanted: &str) -> anyhow::Result<Host> {
        let host = Host::new(tools)?;
        copy(&self.installed.root, &host.root)?;
        let _ = fs::remove_dir_all(host.root.join("run"));
        host.follow(&self.channel(wanted))?;
        host.start()?;
        Ok(host)
    }
}

impl Host {
    /// An empty host.
    pub fn new(tools: &Tools) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let root = dir.path().join("host");
        fs::create_dir_all(root.join("etc/linnet"))?;
        Ok(Self { _dir: dir, root, updater: tools.updater.clone(), agent: tools.agent.clone() })
    }

    /// Follows another channel.
    pub fn follow(&self, channel: &Path) -> anyhow::Result<()> {
        let by = |verb: &str| json!([self.agent, verb, self.root]);
        let settings = json!({
            "channel": { "url": format!("file://{}", channel.display()) },
            "service": { "kind": "commands", "restart": by("restart"), "stop": by("stop") },
            "probation": { "stable_s": 1, "patience_s": 3, "stale_s": 2, "dead_man_s": 5 },
            "preflight": { "timeout_s": 2 },
            "disk": { "reserve_bytes": 0 },
        });
        Ok(fs::write(self.root.join("etc/linnet/updater.json"), serde_json::to_vec_pretty(&settings)?)?)
    }

    /// Starts the agent that is linked, as a boot does.
    pub fn start(&self) -> anyhow::Result<()> {
        let status = Command::new(&self.agent).arg("restart").arg(&self.root).status()?;
        ensure!(status.success(), "the agent did not start");
        Ok(())
    }

    /// Stops the agent.
    pub fn stop(&self) -> anyhow::Result<()> {
        let status = Command::new(&self.agent).arg("stop").arg(&self.root).status()?;
        ensure!(status.success(), "the agent did not stop");
        Ok(())
    }

    /// `install` from this channel.
    pub fn install(&self, channel: &Path) -> anyhow::Result<Done> {
        let root = channel.join("1.root.json");
        let (channel, root) = (channel.to_string_lossy(), root.to_string_lossy());
        self.run(&["install", "--from", &channel, "--root", &root], &[])
    }

    /// Runs the updater.
    pub fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Done> {
        self.run_by(Command::new(&self.updater), arguments, environment)
    }

    /// Runs the updater by another program, whose own arguments are given already.
    pub fn run_by(
        &self,
        mut command: Command,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Done> {
        let (mut reader, writer) = std::io::pipe()?;
        command.arg("--root-dir").arg(&self.root).args(arguments).envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        drop(command);
        let mut said = String::new();
        reader.read_to_string(&mut said)?;
        Ok(Done { code: child.wait()?.code(), said })
    }

    /// The name of the release that a link leads to.
    pub fn link(&self, name: &str) -> Option<String> {
        let target = fs::read_link(self.root.join("opt/linnet").join(name)).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }

    /// `current` leads to a release that is complete, byte by byte. Returns its version.
    pub fn linked(&self) -> anyhow::Result<String> {
        let name = self.link("current").context("there is no link `current`")?;
        let dir = self.root.join("opt/linnet/releases").join(&name);
        let marker: Value = serde_json::from_slice(
            &fs::read(dir.with_file_name(format!("{name}.json")))
                .with_context(|| format!("marker of {name}"))?,
        )?;
        let manifest = Manifest::parse(&fs::read(dir.join("manifest.json")).context("manifest")?)?;
        let digest = text(&marker, "/manifest_sha256");
        ensure!(manifest.sha256().to_string() == digest, "the manifest of {name} is another");
        verify_tree(&Root::open(&dir)?, &manifest).with_context(|| format!("tree of {name}"))?;
        Ok(manifest.head().version.to_string())
    }

    /// All is well: `current` leads to this complete release, its agent runs, nothing is under way.
    pub fn check(&self, version: &str) -> anyhow::Result<()> {
        let linked = self.linked()?;
        ensure!(linked == version, "{linked} is linked and {version} was to be");
        let health = Health::read(&self.root.join("run/linnet/health.json"))?;
        ensure!(health.version == version, "the agent that runs is {}", health.version);
        ensure!(Path::new("/proc").join(health.pid.to_string()).exists(), "the agent is gone");
        let executable = fs::read_link(format!("/proc/{}/exe", health.pid))?;
        let current = fs::canonicalize(self.root.join("opt/linnet/current/bin/linnet-agent"))?;
        ensure!(executable == current, "{executable:?} runs, {current:?} is linked");
        let unit = fs::read_to_string(self.root.join("etc/systemd/system/linnet-agent.service"))?;
        ensure!(unit.contains(version), "the unit is not of this release: {unit}");
        let state = self.said("/state")?;
        ensure!(state == "IDLE", "the state is {state}");
        ensure!(!self.root.join("var/lib/linnet/updater/armed.json").exists(), "a dead-man is still armed");
        Ok(())
    }

    /// What `status --json` says.
    pub fn status(&self) -> anyhow::Result<Value> {
        let done = self.run(&["status", "--json"], &[])?;
        serde_json::from_str(done.said.trim()).with_context(|| done.said.clone())
    }

    /// One text of `status --json`, by its path.
    pub fn said(&self, path: &str) -> anyhow::Result<String> {
        Ok(text(&self.status()?, path).to_owned())
    }

    /// Runs `recover`, as the next start would, until nothing is under way; two runs are enough for anything.
    pub fn settle(&self) -> anyhow::Result<()> {
        let mut last = String::new();
        for _ in 0..3 {
            let done = self.run(&["recover"], &[])?;
            last = format!("{:?}: {}", done.code, done.said);
            if self.said("/state")? == "IDLE" && matches!(done.code, Some(0 | 30 | 1)) {
                return Ok(());
            }
        }
        bail!("`recover` does not converge; the last time: {last}");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new(&self.agent).arg("stop").arg(&self.root).status();
    }
}

/// A text in a document, by its path; empty where there is none.
pub fn text<'d>(document: &'d Value, path: &str) -> &'d str {
    document.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// A copy that keeps links as they are. What an agent that runs there replaces meanwhile (its health document) is copied
/// with the next try.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut said = String::new();
    for _ in 0..3 {
        let done = Command::new("cp").arg("-aT").arg(from).arg(to).output()?;
        if done.status.success() {
            return Ok(());
        }
        said = String::from_utf8_lossy(&done.stderr).into_owned();
    }
    bail!("copy {from:?} to {to:?}: {said}")
}
