//! `publish-config`: what the fleet does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use linnet_fleet::rollout::FleetDocument;
use linnet_keys::Sha256Digest;
use linnet_keys::metadata::{Hashes, TargetFile};
use linnet_keys::release::{self, Package, Version};
use serde_json::{Map, Value};

use super::Context;
use super::difference::difference;
use super::reach::{HostList, reach};
use crate::channel::{Channel, read_capped};
use crate::{draft, effect};

/// The path of the document among the targets.
pub const PATH: &str = "config/fleet.json";
const MAX_BYTES: u64 = 1 << 20;

/// How a document is published.
#[derive(Clone, Copy, Default)]
pub struct How<'a> {
    /// Though the agent of this version would refuse its settings.
    pub unchecked: bool,
    /// A list of hosts, to say whom the document touches.
    pub hosts: Option<&'a Path>,
    /// Not at all: only what would be done is told.
    pub dry_run: bool,
}

/// Checks the document as a host would, and publishes it.
pub fn run(context: &Context, file: &Path, how: How<'_>) -> Result<String> {
    let How { unchecked, hosts, dry_run } = how;
    let bytes = read_capped(file, MAX_BYTES)?;
    let refused = || format!("{file:?}: hosts would refuse it");
    let parsed = FleetDocument::parse(&bytes).with_context(refused)?;
    if !unchecked {
        // By the agent's own code, for every host that the document could meet.
        linnet_settings::fleet::check(&parsed)
            .with_context(|| format!("{} (--unchecked publishes it for newer agents)", refused()))?;
    }
    let touched = match hosts {
        Some(list) => {
            let list = HostList::read(list)?;
            reach(&parsed, &list, context.clock.now, unchecked).with_context(|| format!("{file:?}"))?
        }
        None => Vec::new(),
    };
    let version = parsed.version;
    let document: Value = serde_json::from_slice(&bytes).with_context(|| format!("{file:?}"))?;
    let (channel, _lock) = context.open()?;
    let digest = Sha256Digest::of(&bytes);
    let former = current(&channel)?;
    if let Some((_, FleetDocument { version: before, .. })) = &former {
        if channel.targets("config")?.targets.get(PATH).and_then(|file| file.hashes.get_sha256())
            == Some(digest)
        {
            return Ok(format!("version {version} of {PATH} is published already, nothing to do\n"));
        }
        if version <= *before {
            bail!(
                "{file:?}: version {version}, where {before} is published: raise it to {} or more",
                before + 1
            );
        }
    }
    for path in offered(&document) {
        refuse_foreign(&channel, &path).with_context(|| format!("{file:?}: update.release"))?;
    }
    let missing = if unchecked { BTreeSet::new() } else { refuse_foreign_plugins(&channel, &document)? };
    let nothing = Value::Null;
    let changes = difference(former.as_ref().map_or(&nothing, |(former, _)| former), &document);
    let told: String = changes
        .iter()
        .map(|change| format!("\n  {change}"))
        .chain(missing.iter().map(|name| {
            format!("\n  plugin {name} is not in this channel: only hosts that have it installed run it")
        }))
        .chain(touched.iter().map(|line| format!("\n{line}")))
        .collect();
    if dry_run {
        return Ok(format!("version {version} of {PATH} would be published{told}\n"));
    }
    let length = u64::try_from(bytes.len())?;
    let next = draft::targets(&channel, context.clock, "config", |targets| {
        let file =
            TargetFile { length, hashes: Hashes::sha256(digest), custom: Value::Null, extra: Map::new() };
        targets.targets.insert(PATH.to_owned(), file);
        Ok(())
    })?;
    let to = crate::publish::package_path(&channel, PATH, digest);
    if let Some(directory) = to.parent() {
        effect::directory(directory, 0o755)?;
    }
    effect::write(&to, &bytes, effect::PUBLIC)?;
    let done = format!("version {version} of {PATH} is what the fleet follows now{told}");
    context.publish_targets(&channel, "config", &next, &done)
}

/// The document that is published now, as it was written and as hosts read it.
pub fn current(channel: &Channel) -> Result<Option<(Value, FleetDocument)>> {
    let Some(file) = channel.targets("config")?.targets.get(PATH) else { return Ok(None) };
    let digest = file.hashes.get_sha256().with_context(|| format!("{PATH} has no SHA-256"))?;
    let bytes = read_capped(&crate::publish::package_path(channel, PATH, digest), MAX_BYTES)?;
    let read = || format!("read the published {PATH}");
    Ok(Some((
        serde_json::from_slice(&bytes).with_context(read)?,
        FleetDocument::parse(&bytes).with_context(read)?,
    )))
}

/// The document before this version, as far as it is in the channel still. Nobody signed that it was the one before: it is
/// only shown.
pub fn former(channel: &Channel, version: u64) -> Option<(Value, u64)> {
    let (directory, name) = PATH.rsplit_once('/')?;
    let entries = std::fs::read_dir(channel.directory().join("targets").join(directory)).ok()?;
    let files = entries.flatten().map(|entry| entry.path());
    let documents =
        files.filter(|path| path.to_string_lossy().ends_with(&format!(".{name}"))).filter_map(|path| {
            let value: Value = serde_json::from_slice(&read_capped(&path, MAX_BYTES).ok()?).ok()?;
            let its = value.get("version")?.as_u64()?;
            Some((value, its))
        });
    documents.filter(|(_, its)| *its < version).max_by_key(|(_, its)| *its)
}

/// The paths of the releases that the document gives to hosts, to all or by overrides to some.
pub fn offered(document: &Value) -> BTreeSet<String> {
    let overrides = document.get("overrides").and_then(Value::as_array).into_iter().flatten();
    let patches = overrides.filter_map(|one| one.get("patch"));
    [document].into_iter().chain(patches).flat_map(given).collect()
}

/// The paths of the releases that one part of it gives, or the document without its overrides.
pub fn given(part: &Value) -> BTreeSet<String> {
    match part.pointer("/update/release") {
        Some(Value::String(path)) => BTreeSet::from([path.clone()]),
        Some(Value::Object(by_arch)) => {
            by_arch.values().filter_map(|path| Some(path.as_str()?.to_owned())).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// A plugin of a version that this channel has not got, or has revoked, would be waited for for ever. The names of those
/// that settings enable without a version, and that are not here, come back.
fn refuse_foreign_plugins(channel: &Channel, document: &Value) -> Result<BTreeSet<String>> {
    let top = channel.targets("targets")?;
    let mut here: BTreeMap<String, BTreeSet<Version>> = BTreeMap::new();
    for file in channel.targets("plugins")?.targets.values() {
        let is_revoked = file.hashes.get_sha256().is_none_or(|digest| release::is_revoked(top, &digest));
        if let (false, Ok(Package::Plugin(plugin))) = (is_revoked, Package::from_custom(&file.custom)) {
            here.entry(plugin.name).or_default().insert(plugin.version);
        }
    }
    let mut missing = BTreeSet::new();
    let overrides = document.get("overrides").and_then(Value::as_array).into_iter().flatten();
    for part in [document].into_iter().chain(overrides.filter_map(|one| one.get("patch"))) {
        let sections = [part.get("plugins"), part.pointer("/agent/plugins/enabled")];
        for (name, plugin) in sections.into_iter().flatten().filter_map(Value::as_object).flatten() {
            let versions = here.get(name);
            match plugin.get("version").and_then(Value::as_str) {
                Some(wanted)
                    if versions.is_none_or(|here| here.iter().all(|one| one.to_string() != wanted)) =>
                {
                    let known = versions.into_iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
                    bail!(
                        "plugins.{name}: {name} {wanted} is not in this channel, or was revoked (there is: {})",
                        known.join(", ")
                    );
                }
                None if versions.is_none() && plugin.is_object() => {
                    missing.insert(name.clone());
                }
                _ => {}
            }
        }
    }
    Ok(missing)
}

fn refuse_foreign(channel: &Channel, path: &str) -> Result<()> {
    let targets = channel.targets("targets")?;
    let Some(file) = targets.targets.get(path) else {
        let known: Vec<_> = targets.targets.keys().map(String::as_str).collect();
        bail!("{path} is not a release of this channel (there is: {})", known.join(", "));
    };
    if file.hashes.get_sha256().is_some_and(|digest| release::is_revoked(targets, &digest)) {
        bail!("{path} was revoked");
    }
    Ok(())
}
