//! The client's workflow: section 5 of the specification, under its numbers.
//!
//! [`Trusted`] is what a host trusts at one moment. Each step takes bytes, makes every check of its section in the
//! order of the specification, and then extends trust by that document, or returns an error and changes nothing. The
//! caller fetches, caps what it reads, and stores the bytes of what was accepted, *after* the step returned.
//!
//! ```text
//! from_root(stored root)
//! update_root(N+1.root.json) … until there is none      a RootChange that says `rotated`: delete the stored
//! finish_roots(now)                                     timestamp and snapshot *before* storing that root
//! load_stored_timestamp, update_timestamp               304 Not Modified: keep_timestamp
//! load_stored_snapshot, snapshot_needed → update_snapshot
//! targets_wanted("targets") → update_targets            the stored copy is tried first, by the same call
//! find(path) → Need(role) → update_targets, … → Found
//! ```
//!
//! Stored copies are checked like those from the network, save that they may be expired or superseded: then they
//! serve the rollback checks only. Whatever a `load_stored_…` or a stored targets document is refused for, the caller
//! deletes the copy and goes on without it, so that no file on disk can hold a host up.
//!
//! Only `now` decides about expiry, and no time is remembered: a clock that was wrong does no lasting harm.

mod check;
mod search;
mod wanted;

use std::collections::BTreeMap;
use std::ops::Deref;

use jiff::Timestamp as Time;

use crate::digest::Sha256Digest;
use crate::envelope::Envelope;
use crate::error::TrustError;
use crate::metadata::{RoleName, Root, Snapshot, Targets, Timestamp};
use crate::release;

use check::{fresh, listed_bytes, listed_version, lost_a_key, open, order, signed_by, typed, version};

pub use search::{MAX_ROLES_VISITED, Search};
pub use wanted::{FileWanted, VerifiedTarget};

/// Longest root that is read.
pub const MAX_ROOT_BYTES: u64 = 512 << 10;
/// Longest timestamp that is read.
pub const MAX_TIMESTAMP_BYTES: u64 = 16 << 10;
/// Longest snapshot that is read.
pub const MAX_SNAPSHOT_BYTES: u64 = 2 << 20;
/// Longest targets document that is read.
pub const MAX_TARGETS_BYTES: u64 = 5 << 20;
/// Most roots that are fetched in one update; a host that is further behind gets the rest in the next.
pub const MAX_ROOTS: u32 = 256;

/// A document that passed every check. Only this module makes one.
#[derive(Clone, Debug)]
pub struct Verified<T>(T);

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// What a new root changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "when keys were rotated, the stored timestamp and snapshot must go before the root is stored"]
pub struct RootChange {
    /// The version that is trusted now.
    pub version: u64,
    /// A key of timestamp or snapshot was taken away.
    pub rotated: bool,
}

/// What a timestamp from the network said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampChange {
    /// The one that is trusted already. Nothing was published since.
    Unchanged,
    /// A newer one; it is trusted now.
    Newer,
}

/// What a host trusts.
#[derive(Clone, Debug)]
pub struct Trusted {
    root: Verified<Root>,
    /// Step 5.3.10 was made for this root.
    roots_finished: bool,
    /// Keys were rotated in this update (5.3.11).
    rotated: bool,
    timestamp: Option<Verified<Timestamp>>,
    snapshot: Option<Verified<Snapshot>>,
    /// The trusted snapshot is the one that the trusted timestamp lists, not an older one kept for rollback checks.
    snapshot_is_current: bool,
    /// By role, each with the role whose delegation it was checked against.
    targets: BTreeMap<String, (String, Verified<Targets>)>,
}

impl Trusted {
    /// 5.2, load trusted root metadata: the root that was shipped or stored. It is checked against itself, and may be
    /// expired.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn from_root(bytes: &[u8]) -> Result<Self, TrustError> {
        let envelope = open("root", bytes, MAX_ROOT_BYTES)?;
        let root: Root = typed("root", &envelope)?;
        signed_by("root", &envelope, &root.keys, root.role(RoleName::Root), "it")?;
        Ok(Self {
            root: Verified(root),
            roots_finished: false,
            rotated: false,
            timestamp: None,
            snapshot: None,
            snapshot_is_current: false,
            targets: BTreeMap::new(),
        })
    }

    /// 5.3.2 and 5.3.3: the version of root to try next.
    #[must_use]
    pub fn next_root_version(&self) -> u64 {
        self.root.common.version.get().saturating_add(1)
    }

    /// 5.3.3: the file of [`Trusted::next_root_version`]. When the channel hasn't got it, go to
    /// [`Trusted::finish_roots`].
    #[must_use]
    pub fn next_root_wanted(&self) -> FileWanted {
        FileWanted::root(self.next_root_version())
    }

    /// 5.3, update the root role, one version.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn update_root(&mut self, bytes: &[u8]) -> Result<RootChange, TrustError> {
        if self.timestamp.is_some() {
            return Err(order("root", "a new start (roots before anything else)"));
        }
        // 5.3.3: at most W bytes.
        let envelope = open("root", bytes, MAX_ROOT_BYTES)?;
        // 5.3.4: signed by a threshold of the trusted root, and of the new one.
        signed_by("root", &envelope, &self.root.keys, self.root.role(RoleName::Root), "the trusted root")?;
        let new: Root = typed("root", &envelope)?;
        signed_by("root", &envelope, &new.keys, new.role(RoleName::Root), "it")?;
        // 5.3.5: exactly the next version.
        let wanted = self.next_root_version();
        version("root", new.common.version.get(), |v| v == wanted, || format!("{wanted} is the next"))?;
        // 5.3.6: its expiry does not matter yet.
        // 5.3.11: told for each root, acted upon by the caller and by load_stored_….
        let rotated = [RoleName::Timestamp, RoleName::Snapshot]
            .into_iter()
            .any(|role| lost_a_key(&self.root, &new, role));
        // 5.3.7: set the trusted root. 5.3.8, to persist it, is the caller's.
        let change = RootChange { version: new.common.version.get(), rotated };
        self.root = Verified(new);
        self.roots_finished = false;
        self.rotated |= rotated;
        Ok(change)
    }

    /// 5.3.10, check for a freeze attack: the newest root must not be expired. Until then nothing else is taken.
    ///
    /// # Errors
    /// [`TrustError::Expired`].
    pub fn finish_roots(&mut self, now: Time) -> Result<(), TrustError> {
        fresh("root", &self.root.0, now)?;
        self.roots_finished = true;
        // 5.3.12, whether snapshots are consistent, is asked of the trusted root where it matters.
        Ok(())
    }

    /// The stored timestamp of an earlier update; it may be expired.
    ///
    /// # Errors
    /// [`TrustError`]: delete the stored copy and go on.
    pub fn load_stored_timestamp(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        // 5.3.11: timestamps from before a rotation don't bind, so that a host recovers from a fast-forward attack.
        if self.rotated {
            return Err(TrustError::Rotated { role: "timestamp".to_owned() });
        }
        let new = self.signed_timestamp(bytes)?;
        self.set_timestamp(new);
        Ok(())
    }

    /// 5.4, update the timestamp role.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn update_timestamp(&mut self, bytes: &[u8], now: Time) -> Result<TimestampChange, TrustError> {
        // 5.4.1: at most X bytes. 5.4.2: signed by a threshold of the keys in the trusted root.
        let new = self.signed_timestamp(bytes)?;
        if let Some(trusted) = &self.timestamp {
            // 5.4.3.1: never an older timestamp; the same one ends the update without a word.
            let least = trusted.common.version;
            version(
                "timestamp",
                new.common.version.get(),
                |v| v >= least.get(),
                || format!("{least} was seen"),
            )?;
            if new.common.version == least {
                return self.keep_timestamp(now).map(|()| TimestampChange::Unchanged);
            }
            // 5.4.3.2: never an older snapshot.
            let least = trusted.meta.snapshot.version;
            let found = new.meta.snapshot.version.get();
            version("snapshot", found, |v| v >= least.get(), || format!("{least} was seen"))?;
        }
        // 5.4.4: not expired. 5.4.5, to persist it, is the caller's.
        fresh("timestamp", &new, now)?;
        self.set_timestamp(new);
        Ok(TimestampChange::Newer)
    }

    /// 5.4 where the channel says that nothing changed (`304 Not Modified`): the trusted timestamp must not be expired.
    ///
    /// # Errors
    /// [`TrustError::Expired`]; [`TrustError::Order`] without a trusted timestamp.
    pub fn keep_timestamp(&self, now: Time) -> Result<(), TrustError> {
        let trusted = self.timestamp.as_ref().ok_or_else(|| order("timestamp", "a trusted timestamp"))?;
        fresh("timestamp", &trusted.0, now)
    }

    /// The stored snapshot of an earlier update. One that is expired or superseded serves the rollback checks only,
    /// and [`Trusted::snapshot_needed`] still asks for a newer one.
    ///
    /// # Errors
    /// [`TrustError`]: delete the stored copy and go on.
    pub fn load_stored_snapshot(&mut self, bytes: &[u8], now: Time) -> Result<(), TrustError> {
        if self.rotated {
            return Err(TrustError::Rotated { role: "snapshot".to_owned() });
        }
        let listed = &self.final_timestamp("snapshot")?.meta.snapshot;
        let envelope = open("snapshot", bytes, MAX_SNAPSHOT_BYTES)?;
        self.signed_by_role(RoleName::Snapshot, &envelope)?;
        let stored: Snapshot = typed("snapshot", &envelope)?;
        let is_current = stored.common.version == listed.version
            && listed_bytes("snapshot", bytes, listed, "timestamp").is_ok()
            && fresh("snapshot", &stored, now).is_ok();
        self.set_snapshot(stored, is_current);
        Ok(())
    }

    /// 5.5.1: the snapshot to fetch; `None` when the trusted one is the newest.
    #[must_use]
    pub fn snapshot_needed(&self) -> Option<FileWanted> {
        let listed = &self.timestamp.as_ref()?.meta.snapshot;
        let file =
            || FileWanted::metadata("snapshot", listed, MAX_SNAPSHOT_BYTES, self.consistent_snapshot());
        (!self.snapshot_is_current).then(file)
    }

    /// 5.5, update the snapshot role.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn update_snapshot(&mut self, bytes: &[u8], now: Time) -> Result<(), TrustError> {
        let timestamp = self.final_timestamp("snapshot")?;
        fresh("timestamp", timestamp, now)?;
        let listed = &timestamp.meta.snapshot;
        // 5.5.1: at most Y bytes, or as many as the timestamp lists.
        let envelope = open("snapshot", bytes, MAX_SNAPSHOT_BYTES);
        // 5.5.2: the digests that the timestamp lists.
        listed_bytes("snapshot", bytes, listed, "timestamp")?;
        let envelope = envelope?;
        // 5.5.3: signed by a threshold of the keys in the trusted root.
        self.signed_by_role(RoleName::Snapshot, &envelope)?;
        let new: Snapshot = typed("snapshot", &envelope)?;
        // 5.5.4: the version that the timestamp lists.
        listed_version("snapshot", &new, listed, "timestamp")?;
        // 5.5.5: no targets document goes back or away.
        for (name, trusted) in self.snapshot.iter().flat_map(|snapshot| &snapshot.meta) {
            let new = new.meta.get(name).ok_or_else(|| TrustError::Removed { name: name.clone() })?;
            let least = trusted.version.get();
            version(name, new.version.get(), |v| v >= least, || format!("{least} was seen"))?;
        }
        // 5.5.6: not expired. 5.5.7, to persist it, is the caller's.
        fresh("snapshot", &new, now)?;
        self.set_snapshot(new, true);
        Ok(())
    }

    /// 5.6.1: the document of a targets role as the trusted snapshot lists it; `None` where it does not.
    #[must_use]
    pub fn targets_wanted(&self, role: &str) -> Option<FileWanted> {
        let listed = self.snapshot.as_ref().filter(|_| self.snapshot_is_current)?.of_role(role)?;
        Some(FileWanted::metadata(role, listed, MAX_TARGETS_BYTES, self.consistent_snapshot()))
    }

    /// 5.6, update a targets role: `targets` itself by the delegation of `root`, or a delegated role by that of
    /// `parent`, a targets role that is trusted already.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn update_targets(
        &mut self,
        role: &str,
        parent: &str,
        bytes: &[u8],
        now: Time,
    ) -> Result<(), TrustError> {
        let snapshot = self.snapshot.as_ref().filter(|_| self.snapshot_is_current);
        let snapshot = snapshot.ok_or_else(|| order(role, "the newest snapshot"))?;
        fresh("snapshot", &snapshot.0, now)?;
        let unlisted = |by: &str| TrustError::Unlisted { role: role.to_owned(), by: by.to_owned() };
        let listed = snapshot.of_role(role).ok_or_else(|| unlisted("snapshot"))?;
        // 5.6.1: at most Z bytes, or as many as the snapshot lists.
        let envelope = open(role, bytes, MAX_TARGETS_BYTES);
        // 5.6.2: the digests that the snapshot lists.
        listed_bytes(role, bytes, listed, "snapshot")?;
        let envelope = envelope?;
        // 5.6.3: signed by a threshold of the keys that whoever delegates to it names.
        if role == RoleName::Targets.as_str() {
            self.signed_by_role(RoleName::Targets, &envelope)?;
        } else {
            let delegator =
                self.targets(parent).ok_or_else(|| order(role, "the role that delegates to it"))?;
            let (keys, delegation) = delegator.delegation(role).ok_or_else(|| unlisted(parent))?;
            signed_by(role, &envelope, keys, &delegation.keys, parent)?;
        }
        let new: Targets = typed(role, &envelope)?;
        // 5.6.4: the version that the snapshot lists.
        listed_version(role, &new, listed, "snapshot")?;
        // 5.6.5: not expired. 5.6.6, to persist it, is the caller's.
        fresh(role, &new, now)?;
        if role == RoleName::Targets.as_str() {
            // What the former one delegated is delegated no longer, until it is checked anew.
            self.targets.clear();
        }
        self.targets.insert(role.to_owned(), (parent.to_owned(), Verified(new)));
        Ok(())
    }

    /// The trusted root.
    #[must_use]
    pub const fn root(&self) -> &Verified<Root> {
        &self.root
    }

    /// The trusted timestamp.
    #[must_use]
    pub const fn timestamp(&self) -> Option<&Verified<Timestamp>> {
        self.timestamp.as_ref()
    }

    /// The trusted snapshot, if it is the one that the timestamp lists.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Verified<Snapshot>> {
        self.snapshot.as_ref().filter(|_| self.snapshot_is_current)
    }

    /// The trusted document of a targets role.
    #[must_use]
    pub fn targets(&self, role: &str) -> Option<&Verified<Targets>> {
        self.targets.get(role).map(|(_, targets)| targets)
    }

    /// Whether the top-level targets role has revoked a package of this digest. Of a role that isn't trusted yet
    /// nothing is known: ask after the update.
    #[must_use]
    pub fn is_revoked(&self, digest: &Sha256Digest) -> bool {
        self.targets(RoleName::Targets.as_str()).is_some_and(|targets| release::is_revoked(targets, digest))
    }

    /// Whether what is trusted is complete, current and not expired: root, timestamp, snapshot and targets.
    #[must_use]
    pub fn is_fresh(&self, now: Time) -> bool {
        let targets = self.targets(RoleName::Targets.as_str());
        let expiries = [
            Some(self.root.common.expires),
            self.timestamp().map(|timestamp| timestamp.common.expires),
            self.snapshot().map(|snapshot| snapshot.common.expires),
            targets.map(|targets| targets.common.expires),
        ];
        expiries.into_iter().all(|at| at.is_some_and(|at| at > now))
    }

    /// 5.3.12: whether documents are named by version and targets by digest.
    #[must_use]
    pub fn consistent_snapshot(&self) -> bool {
        self.root.consistent_snapshot
    }

    fn signed_timestamp(&self, bytes: &[u8]) -> Result<Timestamp, TrustError> {
        if !self.roots_finished {
            return Err(order("timestamp", "the newest root, not expired,"));
        }
        let envelope = open("timestamp", bytes, MAX_TIMESTAMP_BYTES)?;
        self.signed_by_role(RoleName::Timestamp, &envelope)?;
        typed("timestamp", &envelope)
    }

    fn set_timestamp(&mut self, new: Timestamp) {
        // The snapshot was checked against the former timestamp; from now on it serves the rollback checks only.
        self.snapshot_is_current &=
            self.timestamp.as_ref().is_some_and(|former| former.meta.snapshot == new.meta.snapshot);
        self.timestamp = Some(Verified(new));
    }

    fn set_snapshot(&mut self, new: Snapshot, is_current: bool) {
        self.snapshot = Some(Verified(new));
        self.snapshot_is_current = is_current;
        self.targets.clear();
    }

    fn final_timestamp(&self, role: &str) -> Result<&Timestamp, TrustError> {
        self.timestamp.as_deref().ok_or_else(|| order(role, "a trusted timestamp"))
    }

    fn signed_by_role(&self, role: RoleName, envelope: &Envelope) -> Result<(), TrustError> {
        signed_by(role.as_str(), envelope, &self.root.keys, self.root.role(role), "root")
    }
}

#[cfg(test)]
mod tests;
