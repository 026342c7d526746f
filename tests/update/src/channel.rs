//! A channel in a directory, published by the library that the publisher's tool is made of.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::{SignedDuration, Timestamp as Time};
use linnet_fleet::package::{FileMode, Manifest, ManifestHead, PackagePath, Packer};
use linnet_keys::Sha256Digest;
use linnet_keys::key::{KeyTable, PublicKey};
use linnet_keys::metadata::{
    Common, DelegatedRole, Delegations, Hashes, MetaFile, RoleKeys, Root, Snapshot, TargetFile, Targets,
    Timestamp,
};
use linnet_keys::pattern::PathSet;
use linnet_keys::release::{Package, Release};
use linnet_keys::sign::{PrivateKey, sign_document};
use serde_json::json;

/// A publisher with its keys, and the channel that it publishes to.
pub struct Channel {
    /// The directory.
    pub dir: PathBuf,
    releases: BTreeMap<String, TargetFile>,
    version: u64,
}

/// A release that is to be made.
pub struct Made<'m> {
    /// Its version.
    pub version: &'m str,
    /// How its agent behaves.
    pub behaviour: &'m str,
    /// The floor that it brings.
    pub floor: &'m str,
}

fn key(seed: u8) -> anyhow::Result<PrivateKey> {
    PrivateKey::from_seed(&[seed; 32]).context("weak seed")
}

fn role(table: &mut KeyTable, key: PublicKey) -> RoleKeys {
    RoleKeys::new(vec![table.insert(key)], NonZeroU64::MIN)
}

impl Channel {
    /// An empty channel.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir.join("targets/release"))?;
        fs::create_dir_all(dir.join("targets/config"))?;
        let channel = Self { dir: dir.to_owned(), releases: BTreeMap::new(), version: 0 };
        let mut table = KeyTable::default();
        let roles = [
            role(&mut table, key(1)?.public()),
            role(&mut table, key(2)?.public()),
            role(&mut table, key(3)?.public()),
            role(&mut table, key(4)?.public()),
        ];
        let root = Root::new(Common::new(expiry()?), table, roles);
        fs::write(dir.join("1.root.json"), sign_document(&root, [&key(1)?])?)?;
        Ok(channel)
    }

    /// Packs a release from the programs that are under test, and adds it. Returns its digest.
    pub fn add(&mut self, made: &Made<'_>, agent: &Path, updater: &Path) -> anyhow::Result<Sha256Digest> {
        let parts = tempfile::tempdir()?;
        let nature = parts.path().join("agent");
        fs::write(&nature, format!("{} {}\n", made.version, made.behaviour))?;
        let unit = parts.path().join("unit");
        fs::write(&unit, format!("# of release {}\n", made.version))?;
        let mut packer = Packer::new(ManifestHead {
            kind: "release".to_owned(),
            version: made.version.parse()?,
            arch: arch(),
            minimum_kernel: "5.10".parse()?,
        });
        packer.add(path("bin/linnet-agent")?, FileMode::Executable, agent)?;
        packer.add(path("bin/linnet-updater")?, FileMode::Executable, updater)?;
        packer.add(path("etc/agent")?, FileMode::Plain, &nature)?;
        packer.add(path("systemd/linnet-agent.service")?, FileMode::Plain, &unit)?;
        let mut bytes = Vec::new();
        let manifest: Manifest = packer.write(&mut bytes)?;
        let package = Package::Release(Release {
            version: made.version.parse()?,
            arch: arch(),
            minimum_kernel: "5.10".parse()?,
            security_floor: made.floor.parse()?,
            unpacked_bytes: manifest.unpacked_bytes(),
            notes: String::new(),
        });
        let name = format!("linnet-{}-{}.tar.gz", made.version, arch());
        let digest = self.target("release", &name, &bytes)?;
        let file = target_file(&bytes, package.to_custom()?);
        self.releases.insert(format!("release/{name}"), file);
        Ok(digest)
    }

    fn target(&self, folder: &str, name: &str, bytes: &[u8]) -> anyhow::Result<Sha256Digest> {
        let digest = Sha256Digest::of(bytes);
        fs::write(self.dir.join("targets").join(folder).join(format!("{digest}.{name}")), bytes)?;
        Ok(digest)
    }

    /// Publishes everything, with this release wanted of every host.
    pub fn publish(&mut self, wanted: Option<&str>) -> anyhow::Result<()> {
        self.version += 1;
        let version = NonZeroU64::new(self.version).context("version")?;
        let common = || -> anyhow::Result<Common> { Ok(Common { version, ..Common::new(expiry()?) }) };
        let release = wanted.map(|wanted| format!("release/linnet-{wanted}-{}.tar.gz", arch()));
        let document = json!({ "version": self.version, "update": { "release": release } });
        let document = serde_json::to_vec(&document)?;
        self.target("config", "fleet.json", &document)?;

        let mut targets = Targets::new(common()?);
        targets.targets.extend(self.releases.clone());
        let mut delegations = Delegations::default();
        let config_keys = role(&mut delegations.keys, key(5)?.public());
        delegations.roles.push(DelegatedRole {
            name: "config".to_owned(),
            terminating: true,
            paths: PathSet::Paths(vec!["config/*".to_owned()]),
            keys: config_keys,
        });
        targets.delegations = Some(delegations);
        let mut config = Targets::new(common()?);
        config
            .targets
            .insert("config/fleet.json".to_owned(), target_file(&document, serde_json::Value::Null));

        let targets = sign_document(&targets, [&key(2)?])?;
        let config = sign_document(&config, [&key(5)?])?;
        let listed = BTreeMap::from([
            ("targets.json".to_owned(), MetaFile::of(version, &targets)),
            ("config.json".to_owned(), MetaFile::of(version, &config)),
        ]);
        let snapshot = sign_document(&Snapshot::new(common()?, listed), [&key(3)?])?;
        let timestamp = Timestamp::new(common()?, MetaFile::of(version, &snapshot));
        let timestamp = sign_document(&timestamp, [&key(4)?])?;
        let v = self.version;
        for (name, bytes) in [
            (format!("{v}.targets.json"), targets),
            (format!("{v}.config.json"), config),
            (format!("{v}.snapshot.json"), snapshot),
            ("timestamp.json".to_owned(), timestamp),
        ] {
            fs::write(self.dir.join(name), bytes)?;
        }
        Ok(())
    }
}

fn target_file(bytes: &[u8], custom: serde_json::Value) -> TargetFile {
    let hashes = Hashes::sha256(Sha256Digest::of(bytes));
    TargetFile { length: bytes.len() as u64, hashes, custom, extra: serde_json::Map::new() }
}

fn path(text: &str) -> anyhow::Result<PackagePath> {
    PackagePath::parse(text.as_bytes()).map_err(|refusal| anyhow::anyhow!("{text}: {refusal}"))
}

fn expiry() -> anyhow::Result<Time> {
    Ok(Time::now().checked_add(SignedDuration::from_hours(24 * 30))?)
}

/// The machine, as `uname -m` has it.
pub fn arch() -> String {
    rustix::system::uname().machine().to_string_lossy().into_owned()
}
