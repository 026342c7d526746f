//! `bundle`: a release with the channel's documents, as one file for hosts without network.
//!
//! What goes into it was followed as a host would follow it, and each package is hashed on its way. It needs no keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::Permissions;
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp as Time;
use linnet_fleet::bundle::{BundleHead, BundleWriter};
use linnet_keys::metadata::{TargetFile, Targets};
use linnet_keys::release::{Package, Plugin, Release, Version, is_revoked};
use serde_json::Value;

use super::{Context, config};
use crate::channel::roots;
use crate::effect;
use crate::host::{Host, url_path};

/// What goes into a bundle besides the documents.
#[derive(Debug, Default)]
pub struct Wish {
    /// The release; without it, the one that the settings give.
    pub version: Option<Version>,
    /// Names of plugins; `all` for each that the channel has.
    pub plugins: Vec<String>,
}

/// Writes the bundle.
pub fn run(context: &Context, out: &Path, wish: &Wish) -> Result<String> {
    let directory = context.channel.as_path();
    let roots = roots(directory)?;
    let (_, first) = roots.first().with_context(|| format!("{directory:?} has no 1.root.json"))?;
    let host = Host::follow(directory, first, context.clock.now)
        .context("hosts would refuse the channel as it is (`linnet-keys inspect` says what is due)")?;
    let releases = releases(&host, wish.version)?;
    let plugins = plugins(&host, &wish.plugins)?;
    let head = BundleHead::new(releases.clone(), plugins.clone());

    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary =
        tempfile::NamedTempFile::new_in(parent).with_context(|| format!("create a file in {parent:?}"))?;
    let mut bundle = BundleWriter::new(BufWriter::new(temporary), &head)?;
    bundle.add("1.root.json", first.len() as u64, first.as_slice())?;
    for (path, bytes) in host.documents() {
        bundle.add(path, bytes.len() as u64, bytes.as_slice())?;
    }
    let settings = config_path(&host);
    for path in releases.iter().chain(&plugins).chain(&settings) {
        let target = host.find(path)?;
        let mut file = host.open(&target)?;
        bundle.add(&url_path(&target), target.length(), &mut file)?;
        file.finish()?;
    }
    let temporary = bundle.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    let placed = || format!("write {out:?}");
    temporary.as_file().set_permissions(Permissions::from_mode(effect::PUBLIC)).with_context(placed)?;
    temporary.as_file().sync_all().with_context(placed)?;
    let bytes = temporary.as_file().metadata().with_context(placed)?.len();
    temporary.persist(out).with_context(placed)?;
    Ok(tell(out, bytes, &releases, &plugins, &host))
}

fn tell(out: &Path, bytes: u64, releases: &[String], plugins: &[String], host: &Host) -> String {
    let mut text = format!("{} carries\n", out.display());
    for path in releases.iter().chain(plugins) {
        let _ = writeln!(text, "  {path}");
    }
    let _ = write!(text, "{bytes} bytes");
    if let Some((role, until)) = good_until(host) {
        let _ = write!(text, ", taken by hosts until {until:.0} ({role} expires then)");
    }
    let out: PathBuf = out.file_name().unwrap_or_default().into();
    let _ = writeln!(
        text,
        "\non the host: linnet-updater install --from {} --root 1.root.json\n\
         Let 1.root.json come by another way than the bundle: it is what the bundle is checked by.",
        out.display()
    );
    text
}

/// The document that expires first.
fn good_until(host: &Host) -> Option<(&'static str, Time)> {
    let trusted = host.trusted();
    let roles = [
        ("root", Some(trusted.root().common.expires)),
        ("timestamp", trusted.timestamp().map(|document| document.common.expires)),
        ("snapshot", trusted.snapshot().map(|document| document.common.expires)),
        ("targets", trusted.targets("targets").map(|document| document.common.expires)),
    ];
    roles.into_iter().filter_map(|(role, at)| Some((role, at?))).min_by_key(|(_, at)| *at)
}

/// The paths of the release that is wanted, for each architecture that it was made for.
fn releases(host: &Host, version: Option<Version>) -> Result<Vec<String>> {
    let genuine: BTreeMap<&String, Release> = packages(host)
        .filter_map(|(path, package)| match package {
            Package::Release(release) => Some((path, release)),
            Package::Plugin(_) => None,
        })
        .collect();
    if version.is_none() {
        let given = given(host)?;
        if let Some(gone) = given.iter().find(|path| !genuine.contains_key(path)) {
            bail!(
                "{} gives hosts {gone}, which is no release of this channel any more: publish other settings, or say \
                 which by --version",
                config::PATH
            );
        }
        if !given.is_empty() {
            return Ok(given.into_iter().collect());
        }
    }
    let newest = genuine.values().map(|release| release.version).max();
    let wanted = version.or(newest).context("the channel has no release: `linnet-keys add-release`")?;
    let found: Vec<_> =
        genuine.iter().filter(|(_, r)| r.version == wanted).map(|(p, _)| (*p).clone()).collect();
    if found.is_empty() {
        let known: BTreeSet<_> = genuine.values().map(|release| release.version.to_string()).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        bail!("{wanted} is no release of this channel (there is: {known})");
    }
    Ok(found)
}

/// The newest of each plugin that is wanted, for each architecture.
fn plugins(host: &Host, wanted: &[String]) -> Result<Vec<String>> {
    let mut newest: BTreeMap<(String, String), (Version, String)> = BTreeMap::new();
    for (path, package) in packages(host) {
        let Package::Plugin(Plugin { name, arch, version, .. }) = package else { continue };
        let of = newest.entry((name, arch)).or_insert_with(|| (version, path.clone()));
        if of.0 < version {
            *of = (version, path.clone());
        }
    }
    let all = wanted.iter().any(|name| name == "all");
    if let Some(unknown) =
        wanted.iter().find(|name| *name != "all" && !newest.keys().any(|(known, _)| known == *name))
    {
        let known: BTreeSet<_> = newest.keys().map(|(name, _)| name.as_str()).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        bail!("{unknown:?} is no plugin of this channel (there is: {known})");
    }
    let taken = newest.into_iter().filter(|((name, _), _)| all || wanted.contains(name));
    Ok(taken.map(|(_, (_, path))| path).collect())
}

/// All packages that hosts would take.
fn packages(host: &Host) -> impl Iterator<Item = (&String, Package)> {
    let revoked = |file: &TargetFile| {
        let digest = file.hashes.get_sha256();
        digest.is_none_or(|digest| {
            host.trusted().targets("targets").is_some_and(|top: &_| is_revoked(top, &digest))
        })
    };
    let files = host.targets().flat_map(|document: &Targets| &document.targets);
    files
        .filter(move |(_, file)| !revoked(file))
        .filter_map(|(path, file)| Some((path, Package::from_custom(&file.custom).ok()?)))
}

/// What the fleet's settings give to hosts that no override is for.
fn given(host: &Host) -> Result<BTreeSet<String>> {
    if config_path(host).is_none() {
        return Ok(BTreeSet::new());
    }
    let target = host.find(config::PATH)?;
    let mut file = host.open(&target)?;
    let mut bytes = Vec::new();
    std::io::copy(&mut file, &mut bytes)?;
    file.finish()?;
    let document: Value = serde_json::from_slice(&bytes).with_context(|| format!("read {}", config::PATH))?;
    Ok(config::given(&document))
}

fn config_path(host: &Host) -> Option<String> {
    let known = host.targets().any(|document| document.targets.contains_key(config::PATH));
    known.then(|| config::PATH.to_owned())
}
