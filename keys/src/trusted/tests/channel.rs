//! A channel in memory, to be published and bent by the tests.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use serde_json::{Value, json};

use super::super::*;
use crate::key::{KeyTable, PublicKey};
use crate::metadata::{Common, DelegatedRole, Delegations, Hashes, MetaFile, RoleKeys, TargetFile};
use crate::pattern::PathSet;
use crate::sign::{PrivateKey, sign_document};

pub(super) fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32]).unwrap()
}

pub(super) fn at(text: &str) -> Time {
    text.parse().unwrap()
}

pub(super) fn now() -> Time {
    at("2026-11-01T00:00:00Z")
}

pub(super) fn far() -> Time {
    at("2027-11-01T00:00:00Z")
}

pub(super) fn v(version: u64) -> NonZeroU64 {
    NonZeroU64::new(version).unwrap()
}

pub(super) fn role_keys(table: &mut KeyTable, keys: &[PublicKey], threshold: u64) -> RoleKeys {
    RoleKeys::new(keys.iter().map(|key| table.insert(*key)).collect(), v(threshold))
}

/// Who signs what, and the documents before they are signed.
#[derive(Clone)]
pub(super) struct Channel {
    pub signers: BTreeMap<String, Vec<PrivateKey>>,
    pub root: Root,
    pub targets: BTreeMap<String, Targets>,
    pub snapshot: Snapshot,
    pub timestamp: Timestamp,
}

impl Channel {
    /// Keys 1 to 4 for root, targets, snapshot, timestamp; key 5 for the delegated `config/*`.
    pub(super) fn new() -> Self {
        let mut table = KeyTable::default();
        let roles = [1, 2, 3, 4].map(|seed| role_keys(&mut table, &[key(seed).public()], 1));
        let mut targets = Targets::new(Common::new(far()));
        targets.targets.insert("release/a.tar.gz".to_owned(), file(b"release a"));
        let mut delegations = Delegations::default();
        let config = role_keys(&mut delegations.keys, &[key(5).public()], 1);
        delegations.roles.push(DelegatedRole {
            name: "config".to_owned(),
            terminating: true,
            paths: PathSet::Paths(vec!["config/*".to_owned()]),
            keys: config,
        });
        targets.delegations = Some(delegations);
        let mut config = Targets::new(Common::new(far()));
        config.targets.insert("config/fleet.json".to_owned(), file(b"{}"));
        let names = ["root", "targets", "snapshot", "timestamp", "config"];
        let meta = MetaFile::of(v(1), b"");
        Self {
            signers: names
                .iter()
                .zip(1..)
                .map(|(name, seed)| ((*name).to_owned(), vec![key(seed)]))
                .collect(),
            root: Root::new(Common::new(far()), table, roles),
            targets: BTreeMap::from([("targets".to_owned(), targets), ("config".to_owned(), config)]),
            snapshot: Snapshot::new(Common::new(far()), BTreeMap::new()),
            timestamp: Timestamp::new(Common::new(far()), meta),
        }
    }

    pub(super) fn sign(&self, role: &str, content: &impl serde::Serialize) -> Vec<u8> {
        sign_document(content, &self.signers[role]).unwrap()
    }

    pub(super) fn root_bytes(&self) -> Vec<u8> {
        self.sign("root", &self.root)
    }

    pub(super) fn targets_bytes(&self, role: &str) -> Vec<u8> {
        self.sign(role, &self.targets[role])
    }

    /// The snapshot and timestamp of what stands here now.
    pub(super) fn publish(&mut self) -> (Vec<u8>, Vec<u8>) {
        for (role, targets) in &self.targets {
            let bytes = self.targets_bytes(role);
            self.snapshot.meta.insert(format!("{role}.json"), MetaFile::of(targets.common.version, &bytes));
        }
        self.publish_snapshot()
    }

    /// As [`Channel::publish`], with the snapshot as it stands.
    pub(super) fn publish_snapshot(&mut self) -> (Vec<u8>, Vec<u8>) {
        let snapshot = self.sign("snapshot", &self.snapshot);
        self.timestamp.meta.snapshot = MetaFile::of(self.snapshot.common.version, &snapshot);
        (snapshot, self.sign("timestamp", &self.timestamp))
    }

    /// The next version of everything.
    pub(super) fn next(&mut self) -> (Vec<u8>, Vec<u8>) {
        for targets in self.targets.values_mut() {
            bump(&mut targets.common);
        }
        bump(&mut self.snapshot.common);
        bump(&mut self.timestamp.common);
        self.publish()
    }

    /// What a host trusts after it took everything.
    pub(super) fn trusted(&mut self) -> Trusted {
        let (snapshot, timestamp) = self.publish();
        let mut trusted = Trusted::from_root(&self.root_bytes()).unwrap();
        trusted.finish_roots(now()).unwrap();
        assert_eq!(trusted.update_timestamp(&timestamp, now()).unwrap(), TimestampChange::Newer);
        trusted.update_snapshot(&snapshot, now()).unwrap();
        trusted.update_targets("targets", "root", &self.targets_bytes("targets"), now()).unwrap();
        trusted
    }
}

pub(super) fn bump(common: &mut Common) {
    common.version = common.version.checked_add(1).unwrap();
}

pub(super) fn file(bytes: &[u8]) -> TargetFile {
    let length = u64::try_from(bytes.len()).unwrap();
    let hashes = Hashes::sha256(Sha256Digest::of(bytes));
    TargetFile { length, hashes, custom: Value::Null, extra: serde_json::Map::new() }
}

/// The content of a signed document, to be bent and signed again.
pub(super) fn content(bytes: &[u8]) -> Value {
    let document: Value = serde_json::from_slice(bytes).unwrap();
    document["signed"].clone()
}

pub(super) fn unsigned(content: &Value) -> Vec<u8> {
    json!({"signed": content, "signatures": []}).to_string().into_bytes()
}
