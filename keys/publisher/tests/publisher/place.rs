//! A channel on disk, and `linnet-keys` run on it as an operator would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use jiff::Timestamp as Time;
use linnet_fleet::package::{FileMode, ManifestHead, PackagePath, Packer};
use linnet_keys::trusted::{FileWanted, Search, Trusted};

pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub fn empty() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program with unencrypted keys in `keys/`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linnet-keys"));
        command.current_dir(self.directory.path()).env_remove("LINNET_KEYS_PASSPHRASE");
        command.arg("--unencrypted").args(arguments);
        command
    }

    /// Runs it; it must succeed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    }

    /// Runs it; it must fail, and says why.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output));
        text(&output)
    }

    pub fn package(&self, name: &str, kind: &str, version: &str) {
        let program = self.path("program");
        fs::write(&program, format!("#!/bin/sh\necho {kind} {version}\n")).unwrap();
        let head = ManifestHead {
            kind: kind.to_owned(),
            version: version.parse().unwrap(),
            arch: "x86_64".to_owned(),
            minimum_kernel: "5.10".parse().unwrap(),
        };
        let mut packer = Packer::new(head);
        packer.add(PackagePath::parse(b"bin/program").unwrap(), FileMode::Executable, &program).unwrap();
        if kind == "plugin" {
            let manifest = self.path("plugin.json");
            fs::write(&manifest, plugin_manifest(version, "bin/program").to_string()).unwrap();
            packer.add(PackagePath::parse(b"plugin.json").unwrap(), FileMode::Plain, &manifest).unwrap();
        }
        packer.write(fs::File::create(self.path(name)).unwrap()).unwrap();
    }

    pub fn fleet(&self, version: u64, release: &str) {
        let path = format!("release/linnet-{release}-x86_64.tar.gz");
        let document = serde_json::json!({"version": version, "update": {"release": path, "salt": "s"}});
        fs::write(self.path("fleet.json"), document.to_string()).unwrap();
    }

    /// The state of a channel with a release, settings and a plugin.
    pub fn filled(options: &[&str]) -> Self {
        let place = Self::empty();
        place.run(&[&["init"], options].concat());
        for (name, kind, version) in [
            ("one.tar.gz", "release", "0.1.0"),
            ("two.tar.gz", "release", "0.2.0"),
            ("yara.tar.gz", "plugin", "1.0.0"),
        ] {
            place.package(name, kind, version);
        }
        place
    }

    pub fn copy(&self) -> Self {
        let copy = Self::empty();
        copy_tree(self.directory.path(), copy.directory.path());
        copy
    }

    pub fn names(&self, directory: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(directory)) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub fn plugin_manifest(version: &str, executable: &str) -> serde_json::Value {
    serde_json::json!({"schema_version": 1, "kind": "plugin", "name": "yara", "version": version, "protocol": 1,
        "arch": "x86_64", "executable": executable, "events": [2004]})
}

pub fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// A host: what it trusts, and the documents it stored.
#[derive(Clone)]
pub struct Host {
    root: Vec<u8>,
    stored: Option<(Vec<u8>, Vec<u8>)>,
}

/// What a host knows after an update.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub root: u64,
    pub timestamp: u64,
    pub targets: Vec<String>,
    pub revoked: usize,
}

impl Host {
    pub fn new(root: Vec<u8>) -> Self {
        Self { root, stored: None }
    }

    /// Follows the channel as it stands on disk now, and reads every file it vouches for.
    pub fn update(&mut self, channel: &Path) -> Result<Seen, String> {
        let now = Time::now();
        let read = |file: &FileWanted| {
            fs::read(channel.join(&file.path)).map_err(|error| format!("{}: {error}", file.path))
        };
        let error = |error: linnet_keys::TrustError| error.to_string();
        let mut trusted = Trusted::from_root(&self.root).map_err(error)?;
        while let Ok(bytes) = fs::read(channel.join(trusted.next_root_wanted().path)) {
            if trusted.update_root(&bytes).map_err(error)?.rotated {
                self.stored = None;
            }
            self.root = bytes;
        }
        trusted.finish_roots(now).map_err(error)?;
        if let Some((timestamp, _)) = &self.stored {
            trusted.load_stored_timestamp(timestamp).map_err(error)?;
        }
        let timestamp = read(&FileWanted::timestamp())?;
        let _ = trusted.update_timestamp(&timestamp, now).map_err(error)?;
        if let Some((_, snapshot)) = &self.stored {
            trusted.load_stored_snapshot(snapshot, now).map_err(error)?;
        }
        let mut snapshot = self.stored.as_ref().map(|(_, snapshot)| snapshot.clone());
        if let Some(file) = trusted.snapshot_needed() {
            let bytes = read(&file)?;
            trusted.update_snapshot(&bytes, now).map_err(error)?;
            snapshot = Some(bytes);
        }
        let mut targets = Vec::new();
        for (role, parent) in [("targets", "root"), ("config", "targets"), ("plugins", "targets")] {
            let file = trusted.targets_wanted(role).ok_or(role)?;
            trusted.update_targets(role, parent, &read(&file)?, now).map_err(error)?;
            targets.extend(trusted.targets(role).unwrap().targets.keys().cloned());
        }
        for path in &targets {
            let Search::Found(target) = trusted.find(path).map_err(error)? else {
                return Err(format!("{path} not found"));
            };
            let bytes = fs::read(channel.join("targets").join(target.url_path()))
                .map_err(|error| error.to_string())?;
            if !target.hashes().fit(&bytes) {
                return Err(format!("{path} has other bytes"));
            }
        }
        self.stored = snapshot.map(|snapshot| (timestamp, snapshot));
        Ok(Seen {
            root: trusted.root().common.version.get(),
            timestamp: trusted.timestamp().unwrap().common.version.get(),
            revoked: linnet_keys::release::revoked(trusted.targets("targets").unwrap()).len(),
            targets,
        })
    }
}
