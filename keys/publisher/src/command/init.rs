//! `init`: keys and a first, empty channel.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::num::NonZeroU64;

use anyhow::{Context as _, Result, bail};
use linnet_keys::key::KeyTable;
use linnet_keys::metadata::{
    Common, DelegatedRole, Delegations, MetaFile, RoleKeys, RoleName, Root, Snapshot, Targets, Timestamp,
};
use linnet_keys::pattern::PathSet;
use serde_json::to_value;

use super::Context;
use crate::channel::{self, Channel, DELEGATED};
use crate::effect;

/// Makes everything. A run that was killed before `1.root.json` was there is begun anew.
pub fn run(context: &Context, organisation: bool) -> Result<String> {
    let directory = &context.channel;
    if directory.join("1.root.json").exists() {
        bail!("{directory:?} holds a channel already: see `linnet-keys inspect`");
    }
    if context.store.directory().join("published.json").exists() {
        bail!(
            "{:?} holds the keys of another channel: give another directory by --keys",
            context.store.directory()
        );
    }
    effect::directory(directory, 0o755)?;
    let _lock = channel::lock(directory)?;

    let (several, threshold) = if organisation { (3, 2) } else { (1, 1) };
    let threshold = NonZeroU64::new(threshold).context("a threshold")?;
    let one = NonZeroU64::MIN;
    let (mut keys, mut found) = (BTreeMap::new(), 0);
    for role in ["root", "targets", "config", "plugins", "snapshot", "timestamp"] {
        let count = if matches!(role, "root" | "targets") { several } else { 1 };
        // What a killed run made is used, not thrown away: nobody but a person deletes a key.
        let mut of_role = context.store.of_role(role)?;
        found += of_role.len();
        if of_role.len() > count {
            bail!(
                "{:?} holds {} keys for {role} already, {count} are wanted: give an empty directory by --keys",
                context.store.directory(),
                of_role.len()
            );
        }
        while of_role.len() < count {
            of_role.push(context.store.generate(role)?);
        }
        keys.insert(role, of_role);
    }
    let of = |role: &str| keys.get(role).map(Vec::as_slice).unwrap_or_default();
    let threshold_of = |role: &str| if matches!(role, "root" | "targets") { threshold } else { one };
    let role_keys = |table: &mut KeyTable, role: &str| {
        RoleKeys::new(of(role).iter().map(|key| table.insert(key.public())).collect(), threshold_of(role))
    };
    let common = |role: &str| -> Result<Common> { Ok(Common::new(context.clock.expires(role)?)) };
    let sign = |role: &str, content: serde_json::Result<serde_json::Value>| -> Result<Vec<u8>> {
        Ok(linnet_keys::sign::sign_document(&content?, of(role))?)
    };

    let mut table = KeyTable::default();
    let roles = RoleName::ALL.map(|role| role_keys(&mut table, role.as_str()));
    let root = Root::new(common("root")?, table, roles);

    let mut targets = Targets::new(common("targets")?);
    let mut delegations = Delegations::default();
    for (role, paths) in DELEGATED {
        let keys = role_keys(&mut delegations.keys, role);
        let paths = PathSet::Paths(vec![format!("{paths}/*")]);
        delegations.roles.push(DelegatedRole { name: role.to_owned(), terminating: true, paths, keys });
    }
    targets.delegations = Some(delegations);

    let mut files = BTreeMap::new();
    let mut meta = BTreeMap::new();
    for (role, document) in [
        ("targets", targets),
        ("config", Targets::new(common("config")?)),
        ("plugins", Targets::new(common("plugins")?)),
    ] {
        let bytes = sign(role, to_value(&document))?;
        meta.insert(format!("{role}.json"), MetaFile::of(document.common.version, &bytes));
        files.insert(format!("1.{role}.json"), bytes);
    }
    let snapshot = Snapshot::new(common("snapshot")?, meta);
    let bytes = sign("snapshot", to_value(&snapshot))?;
    let timestamp = Timestamp::new(common("timestamp")?, MetaFile::of(snapshot.common.version, &bytes));
    files.insert("1.snapshot.json".to_owned(), bytes);
    files.insert("timestamp.json".to_owned(), sign("timestamp", to_value(&timestamp))?);
    for (name, bytes) in &files {
        effect::write(&directory.join(name), bytes, effect::PUBLIC)?;
    }
    // The root last: with it there is a channel.
    effect::write(&directory.join("1.root.json"), &sign("root", to_value(&root))?, effect::PUBLIC)?;
    let channel = Channel::load(directory)?;
    crate::publish::remember(&channel, &context.store)?;
    crate::page::write(&channel, context.clock)?;
    Ok(tell(context, organisation, found))
}

fn tell(context: &Context, organisation: bool, found: usize) -> String {
    let (channel, keys) = (context.channel.display(), context.store.directory().display());
    let mut text = String::new();
    let _ = writeln!(text, "made the channel {channel} and its keys in {keys}");
    if found > 0 {
        let _ = writeln!(text, "({found} of the keys were there from an earlier run)");
    }
    text.push('\n');
    let _ = writeln!(
        text,
        "  {channel}/1.root.json   is what hosts get at install: from it they trust all that follows"
    );
    if organisation {
        let _ = writeln!(
            text,
            "  {keys}/root-*.pem, targets-*.pem   three each, two must sign: give one of each to three"
        );
        let _ = writeln!(
            text,
            "                 people and delete them here; together they sign by `sign` and `merge`"
        );
    } else {
        let _ = writeln!(
            text,
            "  {keys}/root-*.pem, targets-*.pem   keep them off the network; a copy of root in a safe place,"
        );
        let _ = writeln!(text, "                 because without it no key can ever be replaced");
    }
    let _ = writeln!(text, "  {keys}/config-*.pem   signs what the fleet does; plugins-*.pem signs plugins");
    let _ = writeln!(
        text,
        "  {keys}/snapshot-*.pem, timestamp-*.pem   where the timer runs `linnet-keys refresh`, daily:"
    );
    let _ = writeln!(
        text,
        "                 left alone, the channel expires in a week, and hosts take no changes\n"
    );
    let _ = writeln!(
        text,
        "next: linnet-keys add-release PACKAGE.tar.gz, then linnet-keys publish-config fleet.json"
    );
    text
}
