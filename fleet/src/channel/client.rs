//! The client: [`linnet_keys::Trusted`] says what is wanted next, this fetches it, and stores it once it was accepted.

use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use linnet_keys::trusted::{
    FileWanted, MAX_ROOT_BYTES, MAX_ROOTS, MAX_SNAPSHOT_BYTES, MAX_TARGETS_BYTES, MAX_TIMESTAMP_BYTES, Search,
};
use linnet_keys::{Sha256Digest, TimestampChange, TrustError, Trusted, VerifiedTarget};

use serde::de::IgnoredAny;

use super::error::{ChannelError, body_error, disk_error};
use super::store::Store;
use super::transport::{Body, Get, Reply, Transport, Validators};
use crate::capped;

/// The roles whose documents stand under their own names.
const TOP_LEVEL: [&str; 4] = ["root", "timestamp", "snapshot", "targets"];

/// A channel, followed from one directory of trusted metadata.
#[derive(Debug)]
pub struct Channel {
    store: Store,
    pub(super) metadata: Box<dyn Transport>,
    /// Where targets are, if not below `targets/` of the channel.
    targets: Option<Box<dyn Transport>>,
    trusted: Trusted,
    /// Whether `trusted` is of a finished refresh.
    fresh: bool,
}

/// What a refresh came to.
#[derive(Debug)]
pub struct Refresh {
    /// Something was published since the last one.
    pub updated: bool,
    /// Stored files that were of no use; they are gone, and were fetched again where that was due.
    pub discarded: Vec<Discarded>,
}

/// A stored file that was of no use.
#[derive(Debug)]
pub struct Discarded {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: TrustError,
}

impl std::fmt::Display for Discarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is put away: {}", self.path, self.why)
    }
}

impl Channel {
    /// Begins to trust a root: checks it in itself and stores it. This is where trust starts, so the file's way here
    /// is the operator's concern.
    ///
    /// # Errors
    /// [`ChannelError::Trust`], [`ChannelError::Disk`].
    pub fn initialize(directory: &Path, root: &[u8]) -> Result<(), ChannelError> {
        let store = Store::new(directory);
        Trusted::from_root(root).map_err(|source| refused("the given root", source))?;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(disk_error("make", directory.to_owned()))?;
        store.write("root", root)
    }

    /// As [`Channel::initialize`], unless the directory has a root already; `file` is the root that the host was
    /// enrolled with.
    ///
    /// # Errors
    /// As [`Channel::initialize`].
    pub fn initialize_once(directory: &Path, file: &Path) -> Result<(), ChannelError> {
        if Store::new(directory).path("root").exists() {
            return Ok(());
        }
        let cap = usize::try_from(MAX_ROOT_BYTES).unwrap_or(usize::MAX);
        let root = capped::read(file, cap).map_err(disk_error("read", file.to_owned()))?;
        let too_long = || ChannelError::TooLong { url: file.display().to_string(), cap: MAX_ROOT_BYTES };
        Self::initialize(directory, &root.ok_or_else(too_long)?)
    }

    /// Opens a directory of metadata. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`ChannelError::Trust`] or [`ChannelError::Disk`] when `root.json` is not there or of no use: without it
    /// nothing can be trusted, and only an operator can put it there.
    pub fn open(directory: &Path, transport: Box<dyn Transport>) -> Result<Self, ChannelError> {
        let store = Store::new(directory);
        let trusted = stored_root(&store)?;
        Ok(Self { store, metadata: transport, targets: None, trusted, fresh: false })
    }

    /// Targets come from elsewhere than `targets/` of the channel.
    #[must_use]
    pub fn with_targets_from(mut self, transport: Box<dyn Transport>) -> Self {
        self.targets = Some(transport);
        self
    }

    /// Follows the channel: roots, timestamp, snapshot and the top-level targets. `now` is the time of the whole
    /// refresh.
    ///
    /// # Errors
    /// [`ChannelError`]. What was accepted until then is stored, the rest is as it was; the next call goes on.
    pub fn refresh(&mut self, now: Timestamp) -> Result<Refresh, ChannelError> {
        self.fresh = false;
        // From the disk each time: what is trusted is what a restart would find.
        self.trusted = stored_root(&self.store)?;
        let mut refresh = Refresh { updated: false, discarded: Vec::new() };
        refresh.updated |= self.refresh_root(now)?;
        refresh.updated |= self.refresh_timestamp(now, &mut refresh.discarded)?;
        refresh.updated |= self.refresh_snapshot(now, &mut refresh.discarded)?;
        let wanted = self.trusted.targets_wanted("targets").ok_or_else(|| {
            let source = TrustError::Unlisted { role: "targets".to_owned(), by: "snapshot".to_owned() };
            refused(&self.metadata.url("snapshot.json"), source)
        })?;
        refresh.updated |= self.refresh_targets(&wanted, "root", now, &mut refresh.discarded)?;
        self.fresh = true;
        Ok(refresh)
    }

    /// As [`Channel::refresh`], with one request where nothing was published since the last one of this object: the
    /// timestamp, conditionally. A new root is published with a new timestamp, so an unchanged timestamp says that there
    /// is none; a server that withholds both is found out when the timestamp expires.
    ///
    /// # Errors
    /// As [`Channel::refresh`].
    pub fn poll(&mut self, now: Timestamp) -> Result<Refresh, ChannelError> {
        if self.fresh && self.is_unchanged(now)? {
            return Ok(Refresh { updated: false, discarded: Vec::new() });
        }
        self.refresh(now)
    }

    fn is_unchanged(&self, now: Timestamp) -> Result<bool, ChannelError> {
        let wanted = FileWanted::timestamp();
        let Some(validators) = self.store.validators(&self.metadata.url(&wanted.path)) else {
            return Ok(false);
        };
        let get = Get { unless: Some(&validators), ..Get::whole(&wanted.path, wanted.max_bytes) };
        let is_unchanged = matches!(self.metadata.get(&get)?, Reply::NotModified);
        // What expired meanwhile is for the whole refresh to tell.
        Ok(is_unchanged && self.trusted.is_fresh(now))
    }

    /// What is trusted after the last refresh.
    #[must_use]
    pub fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    /// Whether the channel revokes a package of this digest. Only a refreshed channel knows.
    #[must_use]
    pub fn is_revoked(&self, digest: &Sha256Digest) -> bool {
        self.trusted.is_revoked(digest)
    }

    /// The target of this path, asking the delegated roles that may speak for it. Refreshes first where that was not
    /// done yet.
    ///
    /// # Errors
    /// [`ChannelError::NoTarget`] when the channel has none; otherwise as [`Channel::refresh`].
    pub fn target(&mut self, path: &str, now: Timestamp) -> Result<VerifiedTarget, ChannelError> {
        if !self.fresh {
            self.refresh(now)?;
        }
        loop {
            match self.trusted.find(path).map_err(|source| refused(&self.metadata.url(""), source))? {
                Search::Found(target) => return Ok(*target),
                Search::Absent => return Err(ChannelError::NoTarget { path: path.to_owned() }),
                Search::Need { role, parent, file } => {
                    if TOP_LEVEL.contains(&role.as_str()) {
                        // Its file on disk would be that of the top-level role.
                        let source = TrustError::Unlisted { role, by: parent };
                        return Err(refused(&self.metadata.url(&file.path), source));
                    }
                    self.refresh_targets(&file, &parent, now, &mut Vec::new())?;
                }
            }
        }
    }

    /// Reads a small target whole.
    ///
    /// # Errors
    /// [`ChannelError::TooLong`] before anything is fetched when more than `max_bytes` are signed;
    /// [`ChannelError::Content`].
    pub fn read(&mut self, target: &VerifiedTarget, max_bytes: u64) -> Result<Vec<u8>, ChannelError> {
        let url = self.target_url(target);
        if target.length() > max_bytes {
            return Err(ChannelError::TooLong { url, cap: max_bytes });
        }
        let path = self.target_path(target);
        let body = match self.target_transport().get(&Get::whole(&path, target.length()))? {
            Reply::Found(body) => body,
            Reply::Absent | Reply::NotModified => return Err(ChannelError::Absent { url }),
        };
        let bytes = whole(body, &url, target.length())?;
        if bytes.len() as u64 != target.length() {
            return Err(ChannelError::Content { url, what: "length" });
        }
        if !target.hashes().fit(&bytes) {
            return Err(ChannelError::Content { url, what: "digest" });
        }
        Ok(bytes)
    }

    pub(super) fn target_transport(&self) -> &dyn Transport {
        self.targets.as_deref().unwrap_or(self.metadata.as_ref())
    }

    pub(super) fn target_path(&self, target: &VerifiedTarget) -> String {
        let path = target.url_path();
        if self.targets.is_some() { path } else { format!("targets/{path}") }
    }

    pub(super) fn target_url(&self, target: &VerifiedTarget) -> String {
        self.target_transport().url(&self.target_path(target))
    }

    /// 5.3: each newer root in its order, as far as there are.
    fn refresh_root(&mut self, now: Timestamp) -> Result<bool, ChannelError> {
        let mut updated = false;
        for _ in 0..MAX_ROOTS {
            let wanted = self.trusted.next_root_wanted();
            let url = self.metadata.url(&wanted.path);
            let Some((bytes, _)) = self.fetch(&wanted, None)? else { break };
            let change = self.trusted.update_root(&bytes).map_err(|source| refused(&url, source))?;
            if change.rotated {
                // Before the root: a crash between must not leave files that the new keys never signed for.
                self.store.remove_validators()?;
                self.store.remove("snapshot")?;
                self.store.remove("timestamp")?;
            }
            self.store.write("root", &bytes)?;
            updated = true;
        }
        let root = self.store.path("root").display().to_string();
        self.trusted.finish_roots(now).map_err(|source| refused(&root, source))?;
        Ok(updated)
    }

    /// 5.4: one conditional request.
    fn refresh_timestamp(
        &mut self,
        now: Timestamp,
        discarded: &mut Vec<Discarded>,
    ) -> Result<bool, ChannelError> {
        let stored = self.store.read("timestamp", MAX_TIMESTAMP_BYTES)?;
        let mut usable = false;
        if let Some(bytes) = &stored {
            match self.trusted.load_stored_timestamp(bytes) {
                Ok(()) => usable = true,
                Err(why) => {
                    self.store.remove_validators()?;
                    self.discard("timestamp", why, discarded)?;
                }
            }
        }
        let wanted = FileWanted::timestamp();
        let url = self.metadata.url(&wanted.path);
        // Without the file that they are of, the answer that nothing changed would be of no use.
        let validators = self.store.validators(&url).filter(|_| usable);
        let Some((bytes, new_validators)) = self.fetch(&wanted, validators.as_ref())? else {
            return if validators.is_some() {
                self.trusted.keep_timestamp(now).map(|()| false).map_err(|source| refused(&url, source))
            } else {
                Err(ChannelError::Absent { url })
            };
        };
        let change = self.trusted.update_timestamp(&bytes, now).map_err(|source| refused(&url, source))?;
        match change {
            TimestampChange::Newer => {
                // The old validators must not outlive the file that they are of.
                self.store.remove_validators()?;
                self.store.write("timestamp", &bytes)?;
                self.store.set_validators(&url, &new_validators)?;
            }
            TimestampChange::Unchanged if stored.as_deref() == Some(bytes.as_slice()) => {
                if validators.as_ref() != Some(&new_validators) {
                    self.store.set_validators(&url, &new_validators)?;
                }
            }
            TimestampChange::Unchanged => {}
        }
        Ok(change == TimestampChange::Newer)
    }

    /// 5.5.
    fn refresh_snapshot(
        &mut self,
        now: Timestamp,
        discarded: &mut Vec<Discarded>,
    ) -> Result<bool, ChannelError> {
        if let Some(bytes) = self.store.read("snapshot", MAX_SNAPSHOT_BYTES)?
            && let Err(why) = self.trusted.load_stored_snapshot(&bytes, now)
        {
            self.discard("snapshot", why, discarded)?;
        }
        let Some(wanted) = self.trusted.snapshot_needed() else { return Ok(false) };
        let url = self.metadata.url(&wanted.path);
        let (bytes, _) =
            self.fetch(&wanted, None)?.ok_or_else(|| ChannelError::Absent { url: url.clone() })?;
        self.trusted.update_snapshot(&bytes, now).map_err(|source| refused(&url, source))?;
        self.store.write("snapshot", &bytes)?;
        Ok(true)
    }

    /// 5.6, for the top-level role and delegated ones: the stored document if it is the listed one, else a new one.
    fn refresh_targets(
        &mut self,
        wanted: &FileWanted,
        parent: &str,
        now: Timestamp,
        discarded: &mut Vec<Discarded>,
    ) -> Result<bool, ChannelError> {
        let role = wanted.role.as_str();
        if let Some(bytes) = self.store.read(role, MAX_TARGETS_BYTES)? {
            match self.trusted.update_targets(role, parent, &bytes, now) {
                Ok(()) => return Ok(false),
                // Garbage is told; one that is merely old is replaced without a word.
                Err(why) if serde_json::from_slice::<IgnoredAny>(&bytes).is_err() => {
                    self.discard(role, why, discarded)?;
                }
                Err(_) => {}
            }
        }
        let url = self.metadata.url(&wanted.path);
        let (bytes, _) =
            self.fetch(wanted, None)?.ok_or_else(|| ChannelError::Absent { url: url.clone() })?;
        self.trusted.update_targets(role, parent, &bytes, now).map_err(|source| refused(&url, source))?;
        self.store.write(role, &bytes)?;
        Ok(true)
    }

    fn discard(
        &self,
        role: &str,
        why: TrustError,
        discarded: &mut Vec<Discarded>,
    ) -> Result<(), ChannelError> {
        self.store.remove(role)?;
        discarded.push(Discarded { path: self.store.path(role), why });
        Ok(())
    }

    /// A document, or `None` where the channel has not got it or it did not change.
    fn fetch(
        &self,
        wanted: &FileWanted,
        unless: Option<&Validators>,
    ) -> Result<Option<(Vec<u8>, Validators)>, ChannelError> {
        let get = Get { unless, ..Get::whole(&wanted.path, wanted.max_bytes) };
        match self.metadata.get(&get)? {
            Reply::Absent if unless.is_some() => {
                Err(ChannelError::Absent { url: self.metadata.url(&wanted.path) })
            }
            Reply::Absent | Reply::NotModified => Ok(None),
            Reply::Found(body) => {
                let validators = body.validators.clone();
                let bytes = whole(body, &self.metadata.url(&wanted.path), wanted.max_bytes)?;
                Ok(Some((bytes, validators)))
            }
        }
    }
}

/// A body of at most `cap` bytes.
fn whole(body: Body, url: &str, cap: u64) -> Result<Vec<u8>, ChannelError> {
    let mut bytes = Vec::new();
    let mut reader = body.reader.take(cap.saturating_add(1));
    reader.read_to_end(&mut bytes).map_err(|error| body_error(url.to_owned(), &error))?;
    if bytes.len() as u64 > cap {
        return Err(ChannelError::TooLong { url: url.to_owned(), cap });
    }
    Ok(bytes)
}

fn stored_root(store: &Store) -> Result<Trusted, ChannelError> {
    let path = store.path("root");
    let bytes = store.read("root", MAX_ROOT_BYTES)?.ok_or_else(|| {
        let what = std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "no trusted root is here: put the one of your channel there by `install --root`",
        );
        disk_error("read", &path)(what)
    })?;
    Trusted::from_root(&bytes).map_err(|source| refused(&path.display().to_string(), source))
}

pub(super) fn refused(from: &str, source: TrustError) -> ChannelError {
    ChannelError::Trust { from: from.to_owned(), source }
}
