//! `verify`: the channel as a host sees it, at this time.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use linnet_keys::metadata::Targets;
use linnet_keys::trusted::{FileWanted, MAX_ROOT_BYTES, Search, Trusted};
use linnet_keys::{Sha256Digest, VerifiedTarget};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Context;
use crate::channel::{DELEGATED, read, read_capped, roots};

/// Walks the workflow with the clock as it is, then reads every file that it vouches for.
pub fn run(context: &Context, root: Option<&Path>, as_json: bool) -> Result<String> {
    let directory = context.channel.as_path();
    let now = context.clock.now;
    let first = match root {
        Some(path) => read_capped(path, MAX_ROOT_BYTES)?,
        None => {
            roots(directory)?
                .into_iter()
                .next()
                .with_context(|| format!("{directory:?} has no 1.root.json"))?
                .1
        }
    };
    let mut host = Trusted::from_root(&first)?;
    let started_at = host.root().common.version;
    loop {
        let file = host.next_root_wanted();
        if !directory.join(&file.path).exists() {
            break;
        }
        let _ = host.update_root(&read(directory, &file)?)?;
    }
    host.finish_roots(now)?;
    let _ = host.update_timestamp(&read(directory, &FileWanted::timestamp())?, now)?;
    if let Some(file) = host.snapshot_needed() {
        host.update_snapshot(&read(directory, &file)?, now)?;
    }
    let file = host.targets_wanted("targets").context("the snapshot lists no targets.json")?;
    host.update_targets("targets", "root", &read(directory, &file)?, now)?;
    let mut roles = vec!["targets"];
    for (role, _) in DELEGATED {
        if host.targets("targets").is_some_and(|targets| targets.delegation(role).is_some()) {
            let file =
                host.targets_wanted(role).with_context(|| format!("the snapshot lists no {role}.json"))?;
            host.update_targets(role, "targets", &read(directory, &file)?, now)?;
            roles.push(role);
        }
    }
    let documents: Vec<&Targets> =
        roles.iter().filter_map(|role| host.targets(role)).map(|targets| &**targets).collect();
    let mut checked = Vec::new();
    for path in documents.iter().flat_map(|document| document.targets.keys()) {
        // By the search, so that a role which speaks for what it may not is noticed.
        let Search::Found(target) = host.find(path)? else {
            bail!("{path} is listed by a role that may not speak for it: hosts will not find it");
        };
        check_file(directory, &target)?;
        checked.push(path.clone());
    }
    let newest = host.root().common.version;
    if as_json {
        let page = json!({"ok": true, "first_root": started_at, "newest_root": newest, "targets": checked});
        return Ok(format!("{page:#}\n"));
    }
    Ok(format!(
        "good: a host with root {started_at} comes to root {newest}, timestamp {}, snapshot {}, and finds {} files, all \
         with the signed digests\n",
        host.timestamp().map_or(0, |timestamp| timestamp.common.version.get()),
        host.snapshot().map_or(0, |snapshot| snapshot.common.version.get()),
        checked.len()
    ))
}

fn check_file(directory: &Path, target: &VerifiedTarget) -> Result<()> {
    let path = directory.join("targets").join(target.url_path());
    let mut file = File::open(&path).with_context(|| format!("read {path:?}"))?;
    let length = file.metadata()?.len();
    if length != target.length() {
        bail!("{path:?} has {length} bytes, where {} are signed for", target.length());
    }
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut buffer).with_context(|| format!("read {path:?}"))?;
        if read == 0 {
            break;
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
    if target.hashes().get_sha256() != Some(Sha256Digest::from_bytes(hash.finalize().into())) {
        bail!("{path:?} is not the file that was signed for");
    }
    Ok(())
}
