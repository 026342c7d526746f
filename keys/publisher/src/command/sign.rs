//! `sign` and `merge`: documents that several people sign, each on their own machine.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use linnet_keys::envelope::Envelope;
use linnet_keys::trusted::MAX_TARGETS_BYTES;
use serde_json::Value;

use super::{Context, printable};
use crate::channel::read_capped;
use crate::effect;
use crate::publish::{Change, role_of};

/// Adds the signatures of the keys here, and says what was signed.
pub fn sign(context: &Context, file: &Path) -> Result<String> {
    let (role, mut envelope) = open(file)?;
    let keys = context.store.of_role(&role)?;
    if keys.is_empty() {
        bail!("{:?} holds no key for {role} (a file named {role}-….pem)", context.store.directory());
    }
    let mut text = format!("signed {}:\n{}", file.display(), summary(&role, &envelope));
    for key in &keys {
        envelope.sign(key);
        let _ = writeln!(text, "by the key {}", key.id());
    }
    effect::write(file, &envelope.to_bytes(), effect::PRIVATE)?;
    let _ = writeln!(text, "give the file back to whoever runs `linnet-keys merge`");
    Ok(text)
}

/// Puts copies together, with those that wait here, and publishes.
pub fn merge(context: &Context, files: &[PathBuf]) -> Result<String> {
    let mut documents: BTreeMap<String, Envelope> = BTreeMap::new();
    // What waits here is one change, and is published as one.
    let waiting: Vec<_> =
        crate::publish::pending(&context.store)?.into_iter().map(|(path, _)| path).collect();
    for file in files.iter().chain(&waiting) {
        let (role, envelope) = open(file)?;
        match documents.remove(&role) {
            None => {
                documents.insert(role, envelope);
            }
            Some(mut ours) => {
                ours.merge(envelope).map_err(|_| {
                    anyhow!(
                        "{file:?} is another document than the other copies of {role}: merge copies of one"
                    )
                })?;
                documents.insert(role, ours);
            }
        }
    }
    let (channel, _lock) = context.open()?;
    for (role, envelope) in &documents {
        let version = envelope.signed().get("version").and_then(Value::as_u64).unwrap_or_default();
        let next = channel.version(role) + 1;
        if version != next {
            bail!(
                "{role} {version} waits, where {next} would be next: something else was published since, make it anew"
            );
        }
    }
    let roles: Vec<_> = documents.keys().cloned().collect();
    let root = documents.remove("root");
    context.publish(
        &channel,
        &Change { root, documents, renew_snapshot: false },
        &format!("merged {}", roles.join(", ")),
    )
}

fn open(file: &Path) -> Result<(String, Envelope)> {
    let role =
        role_of(file).with_context(|| format!("{file:?} is not named like a document, 5.targets.json"))?;
    let bytes = read_capped(file, MAX_TARGETS_BYTES)?;
    Ok((role, Envelope::parse(&bytes).with_context(|| format!("{file:?}"))?))
}

/// What a signer should look at before their name stands under it.
fn summary(role: &str, envelope: &Envelope) -> String {
    let signed = envelope.signed();
    let text =
        |name: &str| signed.get(name).map_or("?".to_owned(), |value| value.to_string().replace('"', ""));
    let mut summary = format!("  {role} version {}, expires {}\n", text("version"), text("expires"));
    if let Some(targets) = signed.get("targets").and_then(Value::as_object) {
        for (path, file) in targets {
            let digest = file.pointer("/hashes/sha256").and_then(Value::as_str).unwrap_or("?");
            let _ = writeln!(summary, "  {}  sha256 {}", printable(path), printable(digest));
        }
    }
    for digest in signed.get("x-linnet-revoked").and_then(Value::as_array).into_iter().flatten() {
        let _ = writeln!(summary, "  revoked: {}", printable(digest.as_str().unwrap_or("?")));
    }
    let roles = signed.get("roles").and_then(Value::as_object);
    for (name, keys) in roles.into_iter().flatten() {
        let threshold = keys.get("threshold").and_then(Value::as_u64).unwrap_or_default();
        let ids = keys.get("keyids").and_then(Value::as_array).into_iter().flatten();
        let ids: Vec<_> = ids
            .map(|id| printable(&id.as_str().unwrap_or("?").chars().take(12).collect::<String>()))
            .collect();
        let _ = writeln!(summary, "  {}: {threshold} of {}", printable(name), ids.join(", "));
    }
    summary
}
