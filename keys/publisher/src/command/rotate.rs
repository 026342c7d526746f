//! `rotate` and `new-key`: other keys for a role.
//!
//! Keys of the four top-level roles are named by root, so they change with a new root; those of delegated roles are
//! named by targets. The role's own document is signed anew in the same step, by the keys before and after.

use std::num::NonZeroU64;

use anyhow::{Context as _, Result, bail};
use linnet_keys::key::{KeyId, KeyTable, PublicKey};
use linnet_keys::metadata::{RoleKeys, RoleName};

use super::Context;
use crate::draft::{self, Signers};
use crate::publish::Change;

/// Replaces keys.
pub fn run(
    context: &Context,
    role: &str,
    retire: &[String],
    add: &[String],
    threshold: Option<NonZeroU64>,
) -> Result<String> {
    let (channel, _lock) = context.open()?;
    let targets = channel.targets("targets")?;
    let keys = match RoleName::from_name(role) {
        Some(name) => channel.root().role(name),
        None => {
            &targets.delegation(role).with_context(|| format!("the channel has no role {role:?}"))?.1.keys
        }
    };
    let out = retired(role, keys, retire, !add.is_empty())?;
    let added = added(add)?;
    let new =
        next_keys(keys, &out, threshold, if add.is_empty() { out.len().max(1) } else { add.len() }, role)?;
    // Keys are made once it is clear that they will be used.
    let mut fresh = added;
    if add.is_empty() {
        for _ in 0..out.len().max(1) {
            fresh.push(context.store.generate(role)?.public());
        }
    }
    let replace = |table: &mut KeyTable, keys: &mut RoleKeys| {
        keys.keyids.retain(|id| !out.contains(id));
        keys.keyids.extend(fresh.iter().map(|key| table.insert(*key)));
        keys.threshold = new;
    };

    let mut change = Change::default();
    if let Some(name) = RoleName::from_name(role) {
        let next = draft::root(&channel, context.clock, |root| {
            let mut table = std::mem::take(&mut root.keys);
            replace(&mut table, root.role_mut(name));
            root.keys = table;
            Ok(())
        })?;
        let roots = [channel.root(), &next];
        if role == "targets" {
            let document = draft::targets(&channel, context.clock, role, |_| Ok(()))?;
            let signers = Signers::of(role, &roots, &[])?;
            change.documents.insert(role.to_owned(), draft::sign(&context.store, &document, &signers)?);
        }
        change.root = Some(draft::sign(&context.store, &next, &Signers::of("root", &roots, &[])?)?);
    } else {
        let next = draft::targets(&channel, context.clock, "targets", |targets| {
            let delegations = targets.delegations.as_mut().context("no delegations")?;
            let delegated = delegations.roles.iter_mut().find(|delegated| delegated.name == role);
            replace(&mut delegations.keys, &mut delegated.context("no such role")?.keys);
            let used: Vec<KeyId> =
                delegations.roles.iter().flat_map(|role| role.keys.keyids.clone()).collect();
            delegations.keys.retain(|id| used.contains(id));
            Ok(())
        })?;
        let document = draft::targets(&channel, context.clock, role, |_| Ok(()))?;
        let signers = Signers::of(role, &[channel.root()], &[&next])?;
        change.documents.insert(role.to_owned(), draft::sign(&context.store, &document, &signers)?);
        let signers = Signers::of("targets", &[channel.root()], &[])?;
        change.documents.insert("targets".to_owned(), draft::sign(&context.store, &next, &signers)?);
    }
    let out: Vec<_> = out.iter().map(KeyId::short).collect();
    let fresh: Vec<_> = fresh.iter().map(|key| key.id().short().to_owned()).collect();
    let mut done = format!("{role}: key {} out, key {} in", list(&out), list(&fresh));
    for id in &out {
        let path = context.store.directory().join(format!("{role}-{id}.pem"));
        if path.exists() {
            done.push_str(&format!("\n  {} signs nothing any more: delete it", path.display()));
        }
    }
    context.publish(&channel, &change, &done)
}

/// Makes a key for somebody else to bring in.
pub fn new_key(context: &Context, role: &str) -> Result<String> {
    let key = context.store.generate(role)?;
    let public: String = key.public().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!(
        "made a key for {role} in {}\npublic: {public}\nid:     {}\n\nwhoever publishes brings it in by\n  \
         linnet-keys rotate {role} --add {public}\n",
        context.store.directory().display(),
        key.id()
    ))
}

fn retired(role: &str, keys: &RoleKeys, retire: &[String], adds: bool) -> Result<Vec<KeyId>> {
    if retire.is_empty() {
        return match keys.keyids.as_slice() {
            _ if adds => Ok(Vec::new()),
            [only] => Ok(vec![only.clone()]),
            several => {
                let ids: Vec<_> = several.iter().map(KeyId::short).collect();
                bail!("{role} has the keys {}: say which by --retire", ids.join(", "));
            }
        };
    }
    let mut out = Vec::new();
    for prefix in retire {
        let found: Vec<_> =
            keys.keyids.iter().filter(|id| id.as_str().starts_with(prefix.as_str())).collect();
        match found.as_slice() {
            [id] if !out.contains(*id) => out.push((*id).clone()),
            [_] => bail!("--retire {prefix}: named twice"),
            [] => bail!("--retire {prefix}: {role} has no such key"),
            _ => bail!("--retire {prefix}: {role} has several such keys, give more digits"),
        }
    }
    Ok(out)
}

fn added(add: &[String]) -> Result<Vec<PublicKey>> {
    add.iter()
        .map(|hex| {
            let pairs: Option<Vec<u8>> = (0..hex.len() / 2)
                .map(|pair| u8::from_str_radix(hex.get(2 * pair..2 * pair + 2)?, 16).ok())
                .collect();
            let bytes: [u8; 32] =
                pairs.filter(|_| hex.len() == 64).and_then(|bytes| bytes.try_into().ok()).with_context(
                    || format!("--add {hex}: 64 hexadecimal digits are wanted, as `new-key` prints"),
                )?;
            PublicKey::from_bytes(&bytes).with_context(|| format!("--add {hex}"))
        })
        .collect()
}

/// The threshold after the change; refused where it could never be reached.
fn next_keys(
    keys: &RoleKeys,
    out: &[KeyId],
    threshold: Option<NonZeroU64>,
    incoming: usize,
    role: &str,
) -> Result<NonZeroU64> {
    let threshold = threshold.unwrap_or(keys.threshold);
    let count = keys.keyids.len() - out.len() + incoming;
    if u64::try_from(count)? < threshold.get() {
        bail!(
            "{role} would have {count} keys, of which {threshold} must sign: add keys or lower --threshold"
        );
    }
    Ok(threshold)
}

fn list<T: AsRef<str>>(ids: &[T]) -> String {
    let ids: Vec<_> = ids.iter().map(AsRef::as_ref).collect();
    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
}
