//! `refresh` and `renew`: new life for documents whose content stays.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Result, bail};
use linnet_keys::envelope::Envelope;

use super::Context;
use crate::channel::{Channel, DELEGATED};
use crate::draft::{self, Signers};
use crate::publish::Change;

/// Signs the timestamp anew, and what is due and has its keys here. What is due and has them elsewhere is told.
pub fn run(context: &Context) -> Result<String> {
    let (channel, _lock) = context.open()?;
    let mut change = Change::default();
    let mut elsewhere = String::new();
    let snapshot_due = channel
        .trusted()
        .snapshot()
        .is_none_or(|document| context.clock.is_due("snapshot", document.common.expires));
    for role in ["targets"].into_iter().chain(DELEGATED.map(|(role, _)| role)) {
        let expires = channel.targets(role)?.common.expires;
        if context.clock.is_due(role, expires) {
            let (envelope, complete) = again(context, &channel, role)?;
            if complete {
                change.documents.insert(role.to_owned(), envelope);
            } else {
                let _ = writeln!(
                    elsewhere,
                    "{role} expires at {expires}: run `linnet-keys renew {role}` where its keys are"
                );
            }
        }
    }
    let expires = channel.root().common.expires;
    if context.clock.is_due("root", expires) {
        let _ =
            writeln!(elsewhere, "root expires at {expires}: run `linnet-keys renew root` where its keys are");
    }
    // A rotation that was killed may have left documents of the former root.
    let left_behind = channel.trusted().root().common.version != channel.root().common.version;
    change.renew_snapshot = snapshot_due || left_behind;
    Ok(elsewhere + &context.publish(&channel, &change, "the channel is fresh")?)
}

/// Signs one document anew.
pub fn renew(context: &Context, role: &str) -> Result<String> {
    let (channel, _lock) = context.open()?;
    let done = format!("{role} has a new life");
    if role == "root" {
        let next = draft::root(&channel, context.clock, |_| Ok(()))?;
        let signers = Signers::of("root", &[channel.root(), &next], &[])?;
        let root = Some(draft::sign(&context.store, &next, &signers)?);
        return context.publish(&channel, &Change { root, ..Change::default() }, &done);
    }
    if matches!(role, "snapshot" | "timestamp") {
        bail!("snapshot and timestamp are renewed by `linnet-keys refresh`");
    }
    let (envelope, _) = again(context, &channel, role)?;
    context.publish(
        &channel,
        &Change { documents: BTreeMap::from([(role.to_owned(), envelope)]), ..Change::default() },
        &done,
    )
}

fn again(context: &Context, channel: &Channel, role: &str) -> Result<(Envelope, bool)> {
    let next = draft::targets(channel, context.clock, role, |_| Ok(()))?;
    let signers = Signers::of(role, &[channel.root()], &[channel.targets("targets")?])?;
    let envelope = draft::sign(&context.store, &next, &signers)?;
    let complete = signers.complete(&envelope);
    Ok((envelope, complete))
}
