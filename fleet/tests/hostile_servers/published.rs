//! A channel in memory, signed with real keys, that a test publishes to.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use linnet_keys::Sha256Digest;
use linnet_keys::sign::{PrivateKey, sign_document};
use serde_json::{Value, json};

/// The time of the tests: the host's clock is given to the client, never read.
pub fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

pub fn after_days(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

/// A published state: path below the url to bytes.
pub type Files = BTreeMap<String, Vec<u8>>;

pub struct Published {
    keys: [PrivateKey; 4],
    pub files: Files,
    root_version: u64,
    version: u64,
    targets: BTreeMap<String, Vec<u8>>,
}

const ROLES: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

impl Published {
    pub fn new() -> Self {
        let key = |seed: u8| PrivateKey::from_seed(&[seed; 32]).unwrap();
        let mut channel = Self {
            keys: [key(1), key(2), key(3), key(4)],
            files: Files::new(),
            root_version: 0,
            version: 0,
            targets: BTreeMap::new(),
        };
        channel.publish_root();
        channel.publish("release/notes", b"version 1".to_vec());
        channel
    }

    pub fn root(&self) -> &[u8] {
        &self.files["1.root.json"]
    }

    /// The next root, signed by the key of the one before and its own, with another key for itself.
    pub fn rotate_root(&mut self) {
        let former = self.keys[0].clone();
        let seed = 100 + u8::try_from(self.root_version).unwrap();
        self.keys[0] = PrivateKey::from_seed(&[seed; 32]).unwrap();
        self.root_version += 1;
        let bytes = sign_document(&self.root_document(), [&former, &self.keys[0]]).unwrap();
        self.files.insert(format!("{}.root.json", self.root_version), bytes);
    }

    fn publish_root(&mut self) {
        self.root_version += 1;
        let bytes = sign_document(&self.root_document(), [&self.keys[0]]).unwrap();
        self.files.insert(format!("{}.root.json", self.root_version), bytes);
    }

    fn root_document(&self) -> Value {
        let keys: BTreeMap<String, Value> =
            self.keys.iter().map(|key| (key.id().to_string(), key.public().to_object())).collect();
        let roles: BTreeMap<&str, Value> = ROLES
            .iter()
            .zip(&self.keys)
            .map(|(role, key)| (*role, json!({"keyids": [key.id().to_string()], "threshold": 1})))
            .collect();
        json!({"_type": "root", "spec_version": "1.0.31", "version": self.root_version,
            "expires": after_days(3650).to_string(), "consistent_snapshot": true, "keys": keys, "roles": roles})
    }

    /// Adds or replaces a target and publishes the next version of everything.
    pub fn publish(&mut self, path: &str, content: Vec<u8>) {
        self.targets.insert(path.to_owned(), content);
        self.version += 1;
        let (version, expires) = (self.version, after_days(30).to_string());
        let common = |kind: &str| json!({"_type": kind, "spec_version": "1.0.31", "version": version, "expires": expires});
        let mut targets = common("targets");
        targets["targets"] = self
            .targets
            .iter()
            .map(|(path, content)| {
                let sha256 = Sha256Digest::of(content).to_string();
                (path.clone(), json!({"length": content.len(), "hashes": {"sha256": sha256}}))
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        let targets = sign_document(&targets, [&self.keys[1]]).unwrap();
        let mut snapshot = common("snapshot");
        snapshot["meta"] = json!({"targets.json": listed(version, &targets)});
        let snapshot = sign_document(&snapshot, [&self.keys[2]]).unwrap();
        let mut timestamp = common("timestamp");
        timestamp["meta"] = json!({"snapshot.json": listed(version, &snapshot)});
        let timestamp = sign_document(&timestamp, [&self.keys[3]]).unwrap();
        self.files.insert(format!("{version}.targets.json"), targets);
        self.files.insert(format!("{version}.snapshot.json"), snapshot);
        self.files.insert("timestamp.json".to_owned(), timestamp);
        for (path, content) in &self.targets {
            let (directory, name) = path.rsplit_once('/').unwrap();
            let at = format!("targets/{directory}/{}.{name}", Sha256Digest::of(content));
            self.files.insert(at, content.clone());
        }
    }
}

fn listed(version: u64, bytes: &[u8]) -> Value {
    json!({"version": version, "length": bytes.len(), "hashes": {"sha256": Sha256Digest::of(bytes).to_string()}})
}

/// A document with one member of its signed part changed, and the signatures that it had.
pub fn forged(document: &[u8], member: &str, value: impl Into<Value>) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(document).unwrap();
    document["signed"][member] = value.into();
    document.to_string().into_bytes()
}
