//! The next version of a document: content, life, signatures. Nothing here touches the channel.

use anyhow::{Context, Result, anyhow, bail};
use jiff::{SignedDuration, Timestamp as Time};
use linnet_keys::envelope::Envelope;
use linnet_keys::key::{KeyId, KeyTable};
use linnet_keys::metadata::{Common, RoleKeys, RoleName, Root, Targets};
use serde::Serialize;

use crate::channel::Channel;
use crate::key_store::KeyStore;

/// How long documents live when nothing else is asked for. Whoever can hold back a channel can hide a release for as
/// long as the timestamp lives; so it is signed anew often, and the others seldom, by people.
pub fn lifetime(role: &str) -> SignedDuration {
    SignedDuration::from_hours(24 * if matches!(role, "snapshot" | "timestamp") { 7 } else { 365 })
}

/// Settings of one run.
#[derive(Clone, Copy)]
pub struct Clock {
    /// The start of this run.
    pub now: Time,
    /// How long what it signs shall live, instead of [`lifetime`].
    pub life: Option<SignedDuration>,
}

impl Clock {
    /// When a document of the role that is signed now expires.
    pub fn expires(&self, role: &str) -> Result<Time> {
        Ok(self.now.checked_add(self.life.unwrap_or_else(|| lifetime(role)))?)
    }

    /// Whether so little of its life is left that it is time to sign anew: half of a short one, a third of a long.
    pub fn is_due(&self, role: &str, expires: Time) -> bool {
        let life = self.life.unwrap_or_else(|| lifetime(role));
        let share = if life > SignedDuration::from_hours(24 * 60) { 3 } else { 2 };
        expires.duration_since(self.now) < life / share
    }

    /// Makes `common` that of the next version.
    pub fn advance(&self, role: &str, common: &mut Common) -> Result<()> {
        common.version =
            common.version.checked_add(1).ok_or_else(|| anyhow!("{role}: no version is left"))?;
        common.set_expires(self.expires(role)?);
        Ok(())
    }
}

/// Who may sign a role's document: one set for each root or delegation that hosts may hold.
pub struct Signers<'a>(Vec<(&'a KeyTable, &'a RoleKeys)>);

impl<'a> Signers<'a> {
    /// Of a role by these roots; delegated roles by `targets` of the channel, and by `targets` as it is to be.
    pub fn of(role: &str, roots: &[&'a Root], targets: &[&'a Targets]) -> Result<Self> {
        let sets: Vec<_> = match RoleName::from_name(role) {
            Some(name) => roots.iter().map(|root| (&root.keys, root.role(name))).collect(),
            None => targets
                .iter()
                .filter_map(|targets| targets.delegation(role))
                .map(|(keys, delegation)| (keys, &delegation.keys))
                .collect(),
        };
        if sets.is_empty() {
            bail!("the channel has no role {role:?}");
        }
        Ok(Self(sets))
    }

    /// The ids of all their keys.
    pub fn ids(&self) -> impl Iterator<Item = &'a KeyId> {
        self.0.iter().flat_map(|(_, role)| &role.keyids)
    }

    /// Valid signatures and how many must be, of the set that lacks most.
    pub fn progress(&self, envelope: &Envelope) -> (usize, u64) {
        let progress = self
            .0
            .iter()
            .map(|(keys, role)| (envelope.valid_signers(keys, role).len(), role.threshold.get()));
        progress.max_by_key(|(have, need)| need.saturating_sub(*have as u64)).unwrap_or((0, 1))
    }

    /// Whether every set has its threshold.
    pub fn complete(&self, envelope: &Envelope) -> bool {
        self.0.iter().all(|(keys, role)| envelope.verify(keys, role).is_ok())
    }

    /// Whether the document holds for at least one set: the newest, whose keys need not all be here.
    pub fn newest_complete(&self, envelope: &Envelope) -> bool {
        self.0.last().is_some_and(|(keys, role)| envelope.verify(keys, role).is_ok())
    }
}

/// The content, signed by all keys of these signers that are here.
pub fn sign(store: &KeyStore, content: &impl Serialize, signers: &Signers<'_>) -> Result<Envelope> {
    let mut envelope = Envelope::unsigned(serde_json::to_value(content)?)?;
    for key in store.load(signers.ids())? {
        envelope.sign(&key);
    }
    Ok(envelope)
}

/// The next version of a targets role, as `edit` makes it.
pub fn targets(
    channel: &Channel,
    clock: Clock,
    role: &str,
    edit: impl FnOnce(&mut Targets) -> Result<()>,
) -> Result<Targets> {
    let mut next = channel.targets(role)?.clone();
    clock.advance(role, &mut next.common)?;
    edit(&mut next)?;
    Ok(next)
}

/// The next version of root, as `edit` makes it; keys that no role has any more are dropped.
pub fn root(channel: &Channel, clock: Clock, edit: impl FnOnce(&mut Root) -> Result<()>) -> Result<Root> {
    let mut next = channel.root().clone();
    clock.advance("root", &mut next.common)?;
    edit(&mut next)?;
    let used: Vec<KeyId> = RoleName::ALL.iter().flat_map(|role| next.role(*role).keyids.clone()).collect();
    next.keys.retain(|id| used.contains(id));
    Ok(next)
}

/// Bytes of an envelope as a typed document, for what was made here.
pub fn content<T: serde::de::DeserializeOwned>(envelope: &Envelope) -> Result<T> {
    envelope.content().context("read a document that was just made")
}
