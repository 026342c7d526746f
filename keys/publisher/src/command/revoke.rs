//! `revoke`: a package that no host may take or keep.

use anyhow::{Result, bail};
use linnet_keys::Sha256Digest;
use linnet_keys::envelope::Envelope;
use linnet_keys::metadata::Targets;
use linnet_keys::release::{self, Package};
use linnet_keys::trusted::MAX_TARGETS_BYTES;

use super::Context;
use crate::channel::{Channel, read_capped};
use crate::draft;

/// Takes the target out and puts its digest on the list, both in the targets role, which is not online.
pub fn run(context: &Context, what: &str) -> Result<String> {
    let (channel, _lock) = context.open()?;
    let targets = channel.targets("targets")?;
    let mut found = matching(targets, what);
    found.extend(matching(channel.targets("plugins")?, what));
    let digest = match (found.as_slice(), what.parse::<Sha256Digest>()) {
        ([(_, digest)], _) => *digest,
        ([], Ok(digest)) => digest,
        ([], Err(_)) if revoked_before(&channel, what) => {
            return Ok(format!("{what} was revoked already, nothing to do\n"));
        }
        ([], Err(_)) => bail!("{what} is no package of this channel: name its path, version or SHA-256"),
        (several, _) => {
            let paths: Vec<_> = several.iter().map(|(path, _)| path.as_str()).collect();
            bail!("{what} could be {}: name one by its path", paths.join(" or "));
        }
    };
    if release::is_revoked(targets, &digest) {
        return Ok(format!("{digest} was revoked already, nothing to do\n"));
    }
    let next = draft::targets(&channel, context.clock, "targets", |targets| {
        targets.targets.retain(|_, file| file.hashes.get_sha256() != Some(digest));
        release::revoke(targets, digest);
        Ok(())
    })?;
    let name = found.first().map_or("the package", |(path, _)| path.as_str());
    let mut done = format!("{name} is revoked: no host takes it any more\n  sha256 {digest}");
    let offered = super::config::current(&channel)?
        .map(|(document, _)| super::config::offered(&document))
        .unwrap_or_default();
    if offered.iter().any(|path| path == name) {
        done.push_str(
            "\n  the published config/fleet.json still offers it: publish one that names another release",
        );
    }
    context.publish_targets(&channel, "targets", &next, &done)
}

fn matching(targets: &Targets, what: &str) -> Vec<(String, Sha256Digest)> {
    let fits = |path: &str, file: &linnet_keys::metadata::TargetFile| {
        let version = match Package::from_custom(&file.custom) {
            Ok(Package::Release(release)) => release.version.to_string(),
            Ok(Package::Plugin(_)) | Err(_) => String::new(),
        };
        path == what
            || version == what
            || file.hashes.get_sha256().is_some_and(|digest| digest.to_string() == what)
    };
    let found = targets.targets.iter().filter(|(path, file)| fits(path, file));
    found.filter_map(|(path, file)| Some((path.clone(), file.hashes.get_sha256()?))).collect()
}

/// Whether a former version of the document had it, and this one revokes it: the command was given twice. Former
/// documents are only asked for a digest, which the current one has to know.
fn revoked_before(channel: &Channel, what: &str) -> bool {
    let Ok(current) = channel.targets("targets") else { return false };
    let former = (1..channel.version("targets")).rev().filter_map(|version| {
        let path = channel.directory().join(format!("{version}.targets.json"));
        Envelope::parse(&read_capped(&path, MAX_TARGETS_BYTES).ok()?).ok()?.content::<Targets>().ok()
    });
    former.flat_map(|former| matching(&former, what)).any(|(_, digest)| release::is_revoked(current, &digest))
}
