//! `inspect`: the channel on one page.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp as Time;
use linnet_fleet::rollout::FleetDocument;
use linnet_keys::Sha256Digest;
use linnet_keys::key::KeyId;
use linnet_keys::metadata::RoleName;
use linnet_keys::pattern::PathSet;
use linnet_keys::release::{self, Package, Plugin, Release};
use serde::Serialize;
use serde_json::Value;

use super::{Context, config, printable};
use crate::channel::Channel;
use crate::publish;

/// The channel at a glance; this is what `--json` prints.
#[derive(Serialize)]
struct Page<'a> {
    channel: PathBuf,
    keys: &'a Path,
    now: Time,
    roles: Vec<Role>,
    packages: Vec<Listed>,
    revoked: BTreeSet<Sha256Digest>,
    config: Option<Value>,
    #[serde(skip)]
    fleet: Option<FleetDocument>,
    waiting_for_signatures: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Role {
    role: String,
    version: u64,
    expires: Time,
    expired: bool,
    /// Whether it is time to sign it anew.
    due: bool,
    threshold: NonZeroU64,
    keys: Vec<RoleKey>,
    signs: String,
}

#[derive(Serialize)]
struct RoleKey {
    id: KeyId,
    /// Whether its private half is in our directory of keys.
    here: bool,
}

#[derive(Serialize)]
struct Listed {
    path: String,
    bytes: u64,
    sha256: Option<Sha256Digest>,
    package: Option<Package>,
}

/// Shows the channel; expired documents are shown as such.
pub fn run(context: &Context, json: bool) -> Result<String> {
    let channel = Channel::load(&context.channel)?;
    let page = page(context, &channel)?;
    if json { Ok(serde_json::to_string_pretty(&page)? + "\n") } else { Ok(render(&page)) }
}

fn page<'a>(context: &'a Context, channel: &Channel) -> Result<Page<'a>> {
    let now = context.clock.now;
    let mut roles = Vec::new();
    for role in channel.roles() {
        let (keys, signs) = match RoleName::from_name(role) {
            Some(name) => (channel.root().role(name), signs(name).to_owned()),
            None => {
                let Some((_, delegation)) = channel.targets("targets")?.delegation(role) else { continue };
                let paths = match &delegation.paths {
                    PathSet::Paths(paths) => paths.join(", "),
                    PathSet::PathHashPrefixes(prefixes) => format!("digests {}…", prefixes.join("…, ")),
                };
                (&delegation.keys, paths)
            }
        };
        let expires = channel.expires(role)?;
        let keys_here: Result<Vec<_>> = keys
            .keyids
            .iter()
            .map(|id| Ok(RoleKey { id: id.clone(), here: context.store.has(id)? }))
            .collect();
        roles.push(Role {
            role: role.to_owned(),
            version: channel.version(role),
            expires,
            expired: expires <= now,
            due: context.clock.is_due(role, expires),
            threshold: keys.threshold,
            keys: keys_here?,
            signs,
        });
    }
    let mut packages = Vec::new();
    for role in ["targets", "plugins"] {
        packages.extend(channel.targets(role)?.targets.iter().map(|(path, file)| Listed {
            path: path.clone(),
            bytes: file.length,
            sha256: file.hashes.get_sha256(),
            package: Package::from_custom(&file.custom).ok(),
        }));
    }
    let (config, fleet) = config::current(channel)?.unzip();
    Ok(Page {
        channel: std::path::absolute(channel.directory())?,
        keys: context.store.directory(),
        now,
        roles,
        packages,
        revoked: release::revoked(channel.targets("targets")?),
        config,
        fleet,
        waiting_for_signatures: publish::pending(&context.store)?.into_iter().map(|(path, _)| path).collect(),
    })
}

fn signs(role: RoleName) -> &'static str {
    match role {
        RoleName::Root => "who signs what",
        RoleName::Targets => "release/*",
        RoleName::Snapshot => "what goes together",
        RoleName::Timestamp => "what is newest",
    }
}

fn render(page: &Page<'_>) -> String {
    let mut out = format!("channel {}\n\n", page.channel.display());
    let _ =
        writeln!(out, "{:<10} {:>7}  {:<19} {:<25} keys (* is here)", "role", "version", "signs", "expires");
    for Role { role, version, expires, threshold, keys, signs, .. } in &page.roles {
        let ids: Vec<_> =
            keys.iter().map(|key| format!("{}{}", key.id.short(), if key.here { "*" } else { "" })).collect();
        let need = if keys.len() > 1 { format!("{threshold} of ") } else { String::new() };
        let expires = when(*expires, page.now);
        let _ = writeln!(out, "{role:<10} {version:>7}  {signs:<19} {expires:<25} {need}{}", ids.join(" "));
    }
    out.push_str("\npackages\n");
    for Listed { path, bytes, sha256, package } in &page.packages {
        let _ = write!(out, "  {path}  {bytes} bytes");
        if let Some(Package::Release(release)) = package {
            let (kernel, floor) = (release.minimum_kernel, release.security_floor);
            let _ = write!(out, ", kernel {kernel} or newer, no host goes below {floor} again");
        }
        let _ =
            writeln!(out, "\n    sha256 {}", sha256.map_or("none".to_owned(), |digest| digest.to_string()));
        match package {
            Some(Package::Release(Release { notes, .. }) | Package::Plugin(Plugin { notes, .. }))
                if !notes.is_empty() =>
            {
                let _ = writeln!(out, "    {}", printable(notes));
            }
            _ => {}
        }
    }
    if page.packages.is_empty() {
        out.push_str("  none yet: linnet-keys add-release PACKAGE.tar.gz\n");
    }
    for digest in &page.revoked {
        let _ = writeln!(out, "  revoked: {digest}");
    }
    out.push_str("\nsettings of the fleet (config/fleet.json)\n");
    match &page.fleet {
        None => out.push_str("  none yet: linnet-keys publish-config fleet.json\n"),
        Some(document) => render_config(document, page.config.as_ref(), &mut out),
    }
    for path in &page.waiting_for_signatures {
        let _ = writeln!(out, "\nwaits for signatures: {}", path.display());
    }
    for role in page.roles.iter().filter(|role| role.due) {
        let here = role.keys.iter().filter(|key| key.here).count() as u64 >= role.threshold.get();
        let how = match role.role.as_str() {
            "snapshot" | "timestamp" => "linnet-keys refresh".to_owned(),
            role => format!("linnet-keys renew {role}"),
        };
        let place = if here { "" } else { " where its keys are" };
        let _ = writeln!(out, "\n{} is due: {how}{place}", role.role);
    }
    out
}

fn render_config(document: &FleetDocument, raw: Option<&Value>, out: &mut String) {
    let _ = writeln!(out, "  version {}", document.version);
    let Some(update) = &document.update else { return };
    for path in raw.map(config::offered).unwrap_or_default() {
        let _ = writeln!(out, "  gives hosts {path}");
    }
    if update.halt {
        out.push_str("  halted: no host changes\n");
    }
    for wave in &update.waves {
        let _ = writeln!(out, "  from {} on to {} of 1000 hosts", wave.at, wave.permille);
    }
    if update.waves.is_empty() {
        out.push_str("  to all hosts at once (no waves)\n");
    }
}

fn when(at: Time, now: Time) -> String {
    let day = at.strftime("%Y-%m-%d");
    let hours = at.duration_since(now).as_hours();
    if at <= now {
        format!("{day} EXPIRED")
    } else if hours < 48 {
        format!("{day} (in {hours} hours)")
    } else {
        format!("{day} (in {} days)", hours / 24)
    }
}
