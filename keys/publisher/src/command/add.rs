//! `add-release` and `add-plugin`: a package becomes a target.

use std::path::Path;

use anyhow::{Result, bail};
use linnet_keys::metadata::{Hashes, TargetFile, Targets};
use linnet_keys::release::{Package, Plugin, Release, Version, is_revoked};
use linnet_plugin_manifest::manifest::FILE_NAME;
use serde_json::Map;

use super::Context;
use crate::package::{self, Facts};
use crate::{draft, effect, plugin_package};

/// Publishes a release.
pub fn release(
    context: &Context,
    path: &Path,
    security_floor: Option<Version>,
    notes: String,
) -> Result<String> {
    let facts = package::read(path, "release", |_| Ok(()))?.0;
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

/// Publishes a plugin: a package, or the directory of one (`plugin.json` and its program), which is packed first.
pub fn plugin(context: &Context, path: &Path, name: Option<&str>, notes: String) -> Result<String> {
    let packed;
    let path = if path.is_dir() {
        packed = plugin_package::pack(path)?;
        packed.path()
    } else {
        path
    };
    let (facts, manifest) = plugin_package::read(path)?;
    if let Some(name) = name.filter(|name| *name != manifest.name) {
        bail!("its {} names it {:?}, not {name:?}", FILE_NAME, manifest.name);
    }
    let name = manifest.name;
    let (channel, _lock) = context.open()?;
    let file = format!("{name}-{}-{}.tar.gz", facts.version, facts.arch);
    let package = Package::Plugin(Plugin {
        name: name.clone(),
        version: facts.version,
        arch: facts.arch.clone(),
        unpacked_bytes: facts.unpacked_bytes,
        notes,
    });
    let done = format!(
        "plugin {name} {} for {} is genuine now; hosts whose settings enable it and name no version take it",
        facts.version, facts.arch
    );
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
