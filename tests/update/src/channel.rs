//! A channel in a directory, published by the library that the publisher's tool is made of.

use std::collections::{BTreeMap, BTreeSet};
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
#[derive(Clone)]
pub struct Channel {
    /// The directory.
    pub dir: PathBuf,
    releases: BTreeMap<String, TargetFile>,
    revoked: BTreeSet<Sha256Digest>,
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

fn root_of_keys(seeds: [u8; 4]) -> anyhow::Result<Vec<u8>> {
    let [root, targets, snapshot, timestamp] = seeds;
    let mut table = KeyTable::default();
    let roles = [
        role(&mut table, key(root)?.public()),
        role(&mut table, key(targets)?.public()),
        role(&mut table, key(snapshot)?.public()),
        role(&mut table, key(timestamp)?.public()),
    ];
    let document = Root::new(Common::new(expiry()?), table, roles);
    Ok(sign_document(&document, [&key(root)?])?)
}

/// The root of another channel.
pub fn foreign_root() -> anyhow::Result<Vec<u8>> {
    root_of_keys([11, 12, 13, 14])
}

impl Channel {
    /// An empty channel.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir.join("targets/release"))?;
        fs::create_dir_all(dir.join("targets/config"))?;
        fs::write(dir.join("1.root.json"), root_of_keys([1, 2, 3, 4])?)?;
        Ok(Self { dir: dir.to_owned(), releases: BTreeMap::new(), revoked: BTreeSet::new(), version: 0 })
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

    /// A publisher that goes on from here in another directory.
    pub fn branch(&self, dir: &Path) -> anyhow::Result<Self> {
        crate::host::copy(&self.dir, dir)?;
        Ok(Self { dir: dir.to_owned(), ..self.clone() })
    }

    /// Takes a release back, as `linnet-keys revoke` does: it is no target any more, and its digest is on the list.
    pub fn revoke(&mut self, version: &str) -> anyhow::Result<()> {
        let file = self.releases.remove(&release_path(version)).context("no such release")?;
        self.revoked.insert(file.hashes.get_sha256().context("no digest")?);
        Ok(())
    }

    /// Publishes everything, with this release wanted of every host.
    pub fn publish(&mut self, wanted: Option<&str>) -> anyhow::Result<()> {
        self.publish_update(&json!({ "release": wanted.map(release_path) }))
    }

    /// Publishes everything, with this section of the fleet's document.
    pub fn publish_update(&mut self, update: &serde_json::Value) -> anyhow::Result<()> {
        self.version += 1;
        let version = NonZeroU64::new(self.version).context("version")?;
        let common = || -> anyhow::Result<Common> { Ok(Common { version, ..Common::new(expiry()?) }) };
        let document = serde_json::to_vec(&json!({ "version": self.version, "update": update }))?;
        self.target("config", "fleet.json", &document)?;

        let mut targets = Targets::new(common()?);
        targets.targets.extend(self.releases.clone());
        for digest in &self.revoked {
            linnet_keys::release::revoke(&mut targets, *digest);
        }
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

/// A release's path in the channel.
pub fn release_path(version: &str) -> String {
    format!("release/linnet-{version}-{}.tar.gz", arch())
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
