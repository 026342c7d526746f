//! `add-release` and `add-plugin`: a package becomes a target.

use std::path::Path;

use anyhow::{Result, bail};
use linnet_keys::metadata::{Hashes, TargetFile, Targets};
use linnet_keys::release::{Package, Plugin, Release, Version, is_revoked};
use serde_json::Map;

use super::Context;
use crate::package::{self, Facts};
use crate::{draft, effect};

/// Publishes a release.
pub fn release(
    context: &Context,
    path: &Path,
    security_floor: Option<Version>,
    notes: String,
) -> Result<String> {
    let facts = package::read(path, "release")?;
    let (channel, _lock) = context.open()?;
    let newest = releases(channel.targets("targets")?).into_iter().max_by_key(|release| release.version);
    let security_floor = match (security_floor, newest) {
        (Some(floor), _) => floor,
        (None, Some(newest)) => newest.security_floor,
        (None, None) => "0.0.0".parse()?,
    };
    if security_floor > facts.version {
        bail!("the security floor {security_floor} is above the release itself, {}", facts.version);
    }
    let name = format!("linnet-{}-{}.tar.gz", facts.version, facts.arch);
    let package = Package::Release(Release {
        version: facts.version,
        arch: facts.arch.clone(),
        minimum_kernel: facts.minimum_kernel,
        security_floor,
        unpacked_bytes: facts.unpacked_bytes,
        notes,
    });
    let done = format!(
        "release {} for {} is genuine now; give it to hosts by `publish-config`",
        facts.version, facts.arch
    );
    add(context, &channel, "targets", "release", &name, &facts, &package, &done)
}

/// Publishes a plugin.
pub fn plugin(context: &Context, path: &Path, name: &str, notes: String) -> Result<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        bail!("{name:?} is not a plugin's name: lower-case letters, digits and `-`, at most 64");
    }
    let facts = package::read(path, "plugin")?;
    let (channel, _lock) = context.open()?;
    let file = format!("{name}-{}-{}.tar.gz", facts.version, facts.arch);
    let package = Package::Plugin(Plugin {
        name: name.to_owned(),
        version: facts.version,
        arch: facts.arch.clone(),
        unpacked_bytes: facts.unpacked_bytes,
        notes,
    });
    let done = format!("plugin {name} {} for {} is genuine now", facts.version, facts.arch);
    add(context, &channel, "plugins", "plugin", &file, &facts, &package, &done)
}

#[expect(clippy::too_many_arguments, reason = "what is published, where, under which name and by whom")]
fn add(
    context: &Context,
    channel: &crate::channel::Channel,
    role: &str,
    directory: &str,
    name: &str,
    facts: &Facts,
    package: &Package,
    done: &str,
) -> Result<String> {
    let path = format!("{directory}/{name}");
    let custom = package.to_custom()?;
    if is_revoked(channel.targets("targets")?, &facts.digest) {
        bail!("this package was revoked: build a new version");
    }
    if let Some(published) = channel.targets(role)?.targets.get(&path) {
        if published.hashes.get_sha256() != Some(facts.digest) {
            bail!(
                "{path} is published already, with other bytes: a version is published once, so raise the version"
            );
        }
        if published.custom == custom {
            return Ok(format!("{path} is published already, nothing to do\n"));
        }
    }
    let to = context.channel.join("targets").join(directory);
    let (length, digest) = effect::copy_by_digest(&facts.path, &to, name)?;
    if digest != facts.digest {
        bail!("{:?} changed while it was read: try again", facts.path);
    }
    let next = draft::targets(channel, context.clock, role, |targets| {
        let file = TargetFile { length, hashes: Hashes::sha256(digest), custom, extra: Map::new() };
        targets.targets.insert(path.clone(), file);
        Ok(())
    })?;
    context.publish_targets(
        channel,
        role,
        &next,
        &format!("{done}\n  {path}\n  sha256 {digest}, {length} bytes"),
    )
}

/// The releases among the targets.
pub fn releases(targets: &Targets) -> Vec<Release> {
    let packages = targets.targets.values().filter_map(|file| Package::from_custom(&file.custom).ok());
    packages
        .filter_map(|package| match package {
            Package::Release(release) => Some(release),
            Package::Plugin(_) => None,
        })
        .collect()
}
