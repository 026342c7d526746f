//! Publishing: a set of new documents becomes the channel, at once or not at all.
//!
//! 1. Everything is signed, and checked by hosts in memory: one that followed the channel until now, one that starts
//!    from the newest root. What they would refuse is not published.
//! 2. Files with new names are written: packages were before, then documents, then the snapshot. Nothing refers to
//!    them yet, so a run that ends here has published nothing, and the next one writes over them.
//! 3. `timestamp.json` is replaced by a rename. This is the moment of publishing.
//! 4. A new root is written last. Documents of step 3 are then signed by the keys of both roots, so that a host may
//!    come between. Only when keys of the former root are not at hand comes the root first, and hosts that come
//!    between have to try again.
//!
//! Versions only grow: `published.json` beside the keys remembers what this machine published, and a channel that was
//! set back, or another channel, is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use jiff::Timestamp as Time;
use linnet_keys::Sha256Digest;
use linnet_keys::envelope::Envelope;
use linnet_keys::metadata::{Document, MetaFile, Root, Snapshot, Targets, Timestamp};
use linnet_keys::trusted::{FileWanted, Trusted};
use serde::{Deserialize, Serialize};

use crate::channel::{Channel, DELEGATED};
use crate::draft::{self, Clock, Signers};
use crate::effect;
use crate::key_store::KeyStore;

/// Superseded snapshots that are kept for hosts in the midst of an update.
const SNAPSHOTS_KEPT: u64 = 16;

/// New documents, signed as far as the keys here go.
#[derive(Default)]
pub struct Change {
    /// The next root.
    pub root: Option<Envelope>,
    /// Targets documents by role.
    pub documents: BTreeMap<String, Envelope>,
    /// Sign the snapshot anew even if nothing in it changed.
    pub renew_snapshot: bool,
}

/// What became of a change.
pub enum Outcome {
    /// It is published; the versions of what is new.
    Published(Vec<(String, u64)>),
    /// It waits for signatures.
    Waiting(Vec<Waiting>),
}

/// A document that waits.
pub struct Waiting {
    /// Where it was put.
    pub path: PathBuf,
    /// Signatures that it has.
    pub have: usize,
    /// Signatures that it must have.
    pub need: u64,
}

/// What this machine published last.
#[derive(Default, Serialize, Deserialize)]
struct Published {
    schema_version: u32,
    first_root: Option<Sha256Digest>,
    versions: BTreeMap<String, u64>,
}

/// Publishes the change, or puts it aside for more signatures.
pub fn publish(channel: &Channel, store: &KeyStore, clock: Clock, change: &Change) -> Result<Outcome> {
    refuse_set_back(channel, store)?;
    let new_root: Option<Root> = change.root.as_ref().map(draft::content).transpose()?;
    let roots: Vec<&Root> = [channel.root()].into_iter().chain(&new_root).collect();
    let new_targets: Option<Targets> = change.documents.get("targets").map(draft::content).transpose()?;
    let current_targets = channel.targets("targets")?;
    let newest_targets = new_targets.as_ref().unwrap_or(current_targets);

    let mut waiting = Vec::new();
    let documents = change.documents.iter().map(|(role, envelope)| (role.as_str(), envelope));
    for (role, envelope) in documents.chain(change.root.iter().map(|root| ("root", root))) {
        let signers = Signers::of(role, &roots, &[newest_targets])?;
        // Root needs both thresholds; other documents those of the newest root, and of the former one if possible.
        let complete =
            if role == "root" { signers.complete(envelope) } else { signers.newest_complete(envelope) };
        if !complete {
            waiting.push((role.to_owned(), signers.progress(envelope)));
        }
    }
    let snapshot_signers = Signers::of("snapshot", &roots, &[])?;
    let timestamp_signers = Signers::of("timestamp", &roots, &[])?;

    let mut files = BTreeMap::new();
    let mut snapshot: Snapshot = channel.trusted().snapshot().context("no snapshot")?.to_owned_document();
    let rotates = change.root.is_some();
    let snapshot_changes = !change.documents.is_empty() || change.renew_snapshot || rotates;
    for (role, envelope) in &change.documents {
        let document: Targets = draft::content(envelope)?;
        let bytes = envelope.to_bytes();
        snapshot.meta.insert(format!("{role}.json"), MetaFile::of(document.common.version, &bytes));
        files.insert(format!("{}.{role}.json", document.common.version), bytes);
    }
    let mut timestamp: Timestamp = channel.trusted().timestamp().context("no timestamp")?.to_owned_document();
    clock.advance("timestamp", &mut timestamp.common)?;
    if snapshot_changes {
        clock.advance("snapshot", &mut snapshot.common)?;
        let envelope = draft::sign(store, &snapshot, &snapshot_signers)?;
        let bytes = envelope.to_bytes();
        timestamp.meta.snapshot = MetaFile::of(snapshot.common.version, &bytes);
        files.insert(format!("{}.snapshot.json", snapshot.common.version), bytes);
        if waiting.is_empty() && !snapshot_signers.newest_complete(&envelope) {
            waiting.push(("snapshot".to_owned(), snapshot_signers.progress(&envelope)));
        }
    }
    let envelope = draft::sign(store, &timestamp, &timestamp_signers)?;
    if waiting.is_empty() && !timestamp_signers.newest_complete(&envelope) {
        waiting.push(("timestamp".to_owned(), timestamp_signers.progress(&envelope)));
    }
    if !waiting.is_empty() {
        return put_aside(store, change, &waiting);
    }
    let timestamp_bytes = envelope.to_bytes();
    files.insert("timestamp.json".to_owned(), timestamp_bytes.clone());

    // 1. Hosts in memory.
    let root_bytes = change.root.as_ref().map(Envelope::to_bytes);
    let mut host = channel.host();
    if let Some(bytes) = &root_bytes {
        let _ = host.update_root(bytes)?;
    }
    walk(channel, host, &files).context("hosts would refuse this, so it was not published")?;
    let former =
        walk(channel, channel.host(), &files).and_then(|()| walk(channel, channel.trusted().clone(), &files));
    let root_first = root_bytes.is_some() && former.is_err();
    if root_bytes.is_none() {
        // Documents of an older root than the newest are left behind here; then only the newest counts.
        let left_behind = channel.trusted().root().common.version != channel.root().common.version;
        if !left_behind {
            former.context("hosts would refuse this, so it was not published")?;
        }
    }
    refuse_missing_packages(channel, newest_targets, change)?;

    // 2. to 4.
    let root_file = root_bytes.map(|bytes| (format!("{}.root.json", channel.version("root") + 1), bytes));
    let place =
        |name: &str, bytes: &[u8]| effect::write(&channel.directory().join(name), bytes, effect::PUBLIC);
    if let Some((name, bytes)) = root_file.as_ref().filter(|_| root_first) {
        place(name, bytes)?;
    }
    for (name, bytes) in files.iter().filter(|(name, _)| *name != "timestamp.json") {
        place(name, bytes)?;
    }
    effect::write_changing(&channel.directory().join("timestamp.json"), &timestamp_bytes, effect::PUBLIC)?;
    if let Some((name, bytes)) = root_file.as_ref().filter(|_| !root_first) {
        place(name, bytes)?;
    }
    remember(channel, store)?;
    clear_pending(store, change)?;
    prune_snapshots(channel, snapshot.common.version.get())?;

    let mut versions: Vec<_> = files
        .keys()
        .chain(root_file.iter().map(|(name, _)| name))
        .filter_map(|name| name.strip_suffix(".json")?.split_once('.'))
        .filter_map(|(version, role)| Some((role.to_owned(), version.parse().ok()?)))
        .collect();
    versions.push(("timestamp".to_owned(), timestamp.common.version.get()));
    Ok(Outcome::Published(versions))
}

/// A copy of a verified document, to be edited.
trait ToOwnedDocument<T> {
    fn to_owned_document(&self) -> T;
}

impl<T: Document + Clone> ToOwnedDocument<T> for linnet_keys::Verified<T> {
    fn to_owned_document(&self) -> T {
        T::clone(self)
    }
}

/// Leads a host through the channel as it is to be. Nothing expires, as in [`Channel::load`].
fn walk(channel: &Channel, mut host: Trusted, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    let now = Time::MIN;
    let take = |file: &FileWanted| match files.get(&file.path) {
        Some(bytes) => Ok(bytes.clone()),
        None => crate::channel::read(channel.directory(), file),
    };
    host.finish_roots(now)?;
    let _ = host.update_timestamp(&take(&FileWanted::timestamp())?, now)?;
    if let Some(file) = host.snapshot_needed() {
        host.update_snapshot(&take(&file)?, now)?;
    }
    for (role, parent) in
        [("targets", "root")].into_iter().chain(DELEGATED.map(|(role, _)| (role, "targets")))
    {
        if let Some(file) = host.targets_wanted(role) {
            host.update_targets(role, parent, &take(&file)?, now)?;
        }
    }
    Ok(())
}

fn put_aside(store: &KeyStore, change: &Change, waiting: &[(String, (usize, u64))]) -> Result<Outcome> {
    let documents = change.documents.iter().map(|(role, envelope)| (role.as_str(), envelope));
    let documents: Vec<_> = documents.chain(change.root.iter().map(|root| ("root", root))).collect();
    if documents.is_empty() {
        let missing: Vec<_> =
            waiting.iter().map(|(role, (have, need))| format!("{role} ({have} of {need})")).collect();
        bail!("the keys here do not suffice for {}: run this where they are", missing.join(", "));
    }
    effect::directory(&store.pending(), 0o700)?;
    let name = |role: &str, envelope: &Envelope| {
        let version =
            envelope.signed().get("version").and_then(serde_json::Value::as_u64).unwrap_or_default();
        store.pending().join(format!("{version}.{role}.json"))
    };
    let names: Vec<_> = documents.iter().map(|(role, envelope)| name(role, envelope)).collect();
    for (path, _) in pending(store)? {
        if !names.contains(&path) {
            bail!("{path:?} waits for signatures already: `linnet-keys merge` it first, or delete it");
        }
    }
    let mut outcome = Vec::new();
    for (role, envelope) in documents {
        let path = name(role, envelope);
        effect::write(&path, &envelope.to_bytes(), effect::PRIVATE)?;
        let (have, need) =
            waiting.iter().find(|(waits, _)| waits == role).map_or(
                (envelope.signatures().len(), envelope.signatures().len() as u64),
                |(_, progress)| *progress,
            );
        outcome.push(Waiting { path, have, need });
    }
    Ok(Outcome::Waiting(outcome))
}

/// A published document must not name a package that the channel has not got.
fn refuse_missing_packages(channel: &Channel, targets: &Targets, change: &Change) -> Result<()> {
    let mut documents: Vec<Targets> = vec![targets.clone()];
    for envelope in change.documents.values() {
        documents.push(draft::content(envelope)?);
    }
    for (path, file) in documents.iter().flat_map(|document| &document.targets) {
        let digest = file.hashes.get_sha256().with_context(|| format!("{path} has no SHA-256"))?;
        let on_disk = package_path(channel, path, digest);
        let length = fs::metadata(&on_disk).map(|metadata| metadata.len());
        if length.as_ref().ok() != Some(&file.length) {
            bail!("{path} is not in the channel: put its file of {} bytes at {on_disk:?} first", file.length);
        }
    }
    Ok(())
}

/// Where the file of a target is.
pub fn package_path(channel: &Channel, path: &str, digest: Sha256Digest) -> PathBuf {
    let (directory, name) = path.rsplit_once('/').unwrap_or((".", path));
    channel.directory().join("targets").join(directory).join(format!("{digest}.{name}"))
}

fn memory(store: &KeyStore) -> PathBuf {
    store.directory().join("published.json")
}

fn refuse_set_back(channel: &Channel, store: &KeyStore) -> Result<()> {
    let path = memory(store);
    let published: Published = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("read {path:?}"))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("read {path:?}")),
    };
    if published.first_root.is_some_and(|root| root != channel.first_root()) {
        bail!(
            "{:?} is another channel than the one that these keys published ({path:?})",
            channel.directory()
        );
    }
    for (role, version) in &published.versions {
        let found = channel.version(role);
        if found < *version {
            bail!(
                "{:?} was set back: it has version {found} of {role}, and {version} was published already. Hosts \
                 would refuse it. Bring back the newest copy of the channel (any mirror has it)",
                channel.directory()
            );
        }
    }
    Ok(())
}

/// Remembers what is published now.
pub fn remember(channel: &Channel, store: &KeyStore) -> Result<()> {
    let channel = Channel::load(channel.directory())?;
    let versions = channel.roles().map(|role| (role.to_owned(), channel.version(role))).collect();
    let published = Published { schema_version: 1, first_root: Some(channel.first_root()), versions };
    effect::directory(store.directory(), 0o700)?;
    effect::write(&memory(store), &serde_json::to_vec_pretty(&published)?, effect::PRIVATE)
}

fn clear_pending(store: &KeyStore, change: &Change) -> Result<()> {
    for role in change.documents.keys().map(String::as_str).chain(change.root.iter().map(|_| "root")) {
        for (path, waiting_role) in pending(store)? {
            if waiting_role == role {
                effect::remove(&path)?;
            }
        }
    }
    Ok(())
}

/// The documents that wait for signatures, with their roles.
pub fn pending(store: &KeyStore) -> Result<Vec<(PathBuf, String)>> {
    let entries = match fs::read_dir(store.pending()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("read {:?}", store.pending()))?,
    };
    let mut pending = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(role) = role_of(&path) {
            pending.push((path, role));
        }
    }
    pending.sort();
    Ok(pending)
}

/// The role in a file name such as `5.targets.json`.
pub fn role_of(path: &std::path::Path) -> Option<String> {
    let (version, role) = path.file_name()?.to_str()?.strip_suffix(".json")?.split_once('.')?;
    version.parse::<u64>().ok()?;
    Some(role.to_owned())
}

fn prune_snapshots(channel: &Channel, newest: u64) -> Result<()> {
    let mut version = newest.saturating_sub(SNAPSHOTS_KEPT);
    while version > 0 {
        let path = channel.directory().join(format!("{version}.snapshot.json"));
        if !fs::exists(&path).with_context(|| format!("look for {path:?}"))? {
            break;
        }
        effect::remove(&path)?;
        version -= 1;
    }
    Ok(())
}
