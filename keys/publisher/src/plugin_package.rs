//! Packages of plugins: made from a plugin's directory, and read as a host would read them.

use std::fs;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use linnet_fleet::package::{FileMode, ManifestHead, Packer};
use linnet_keys::release::Version;
use linnet_plugin_manifest::manifest::{FILE_NAME, MAX_BYTES, Manifest};

use crate::channel::read_capped;
use crate::package::{self, Facts};

/// The oldest kernel that plugins run on, as releases do.
const MINIMUM_KERNEL: &str = "5.10";

/// Reads a package, and the plugin's own manifest in it: what a host would refuse is not published.
pub fn read(path: &Path) -> Result<(Facts, Manifest)> {
    let (facts, bytes) = package::read(path, "plugin", |tree| {
        read_capped(&tree.join(FILE_NAME), MAX_BYTES as u64)
            .with_context(|| format!("{path:?}: hosts would refuse it: a plugin has a {FILE_NAME}"))
    })?;
    let refused = || format!("{path:?}: hosts would refuse its {FILE_NAME}");
    let manifest = Manifest::parse_for(&bytes, &facts.arch).with_context(refused)?;
    if manifest.version != facts.version.to_string() {
        bail!("{}: version {:?} in a package of version {}", refused(), manifest.version, facts.version);
    }
    Ok((facts, manifest))
}

/// Packs a plugin's directory: `plugin.json` and its program, the same bytes from the same files.
pub fn pack(directory: &Path) -> Result<tempfile::NamedTempFile> {
    let own = directory.join(FILE_NAME);
    let bytes = read_capped(&own, MAX_BYTES as u64)?;
    // For which machine it is made is for the manifest to say here.
    let arch = serde_json::from_slice::<serde_json::Value>(&bytes)
        .ok()
        .and_then(|json| Some(json.get("arch")?.as_str()?.to_owned()))
        .unwrap_or_default();
    let manifest = Manifest::parse_for(&bytes, &arch).with_context(|| format!("{own:?}"))?;
    let version: Version = manifest.version.parse().with_context(|| format!("{own:?}: version"))?;
    let head = ManifestHead {
        kind: "plugin".to_owned(),
        version,
        arch: manifest.arch,
        minimum_kernel: MINIMUM_KERNEL.parse()?,
    };
    let mut packer = Packer::new(head);
    let program = manifest.executable.to_str().context("the executable's name is no UTF-8")?.to_owned();
    for (name, mode) in [(FILE_NAME.to_owned(), FileMode::Plain), (program, FileMode::Executable)] {
        let source = directory.join(&name);
        let found = fs::symlink_metadata(&source).with_context(|| format!("look at {source:?}"))?;
        if !found.is_file() {
            bail!("{source:?} is not a regular file");
        }
        packer.add(name.try_into().map_err(|refusal| anyhow!("{source:?}: {refusal}"))?, mode, &source)?;
    }
    let packed = tempfile::NamedTempFile::new().context("make a file to pack into")?;
    packer.write(BufWriter::new(packed.as_file()))?;
    Ok(packed)
}
