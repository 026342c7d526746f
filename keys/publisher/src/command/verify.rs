//! `verify`: the channel as a host sees it, at this time.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use linnet_keys::trusted::{MAX_ROOT_BYTES, Trusted};
use serde_json::json;

use super::Context;
use crate::channel::{read_capped, roots};
use crate::host::Host;

/// Walks the workflow with the clock as it is, then reads every file that it vouches for.
pub fn run(context: &Context, root: Option<&Path>, as_json: bool) -> Result<String> {
    let directory = context.channel.as_path();
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
    let started_at = Trusted::from_root(&first)?.root().common.version;
    let host = Host::follow(directory, &first, context.clock.now)?;
    let mut checked = Vec::new();
    for path in host.targets().flat_map(|document| document.targets.keys()) {
        let mut file = host.open(&host.find(path)?)?;
        io::copy(&mut file, &mut io::sink())?;
        file.finish()?;
        checked.push(path.clone());
    }
    let trusted = host.trusted();
    let newest = trusted.root().common.version;
    if as_json {
        let page = json!({"ok": true, "first_root": started_at, "newest_root": newest, "targets": checked});
        return Ok(format!("{page:#}\n"));
    }
    Ok(format!(
        "good: a host with root {started_at} comes to root {newest}, timestamp {}, snapshot {}, and finds {} files, all \
         with the signed digests\n",
        trusted.timestamp().map_or(0, |timestamp| timestamp.common.version.get()),
        trusted.snapshot().map_or(0, |snapshot| snapshot.common.version.get()),
        checked.len()
    ))
}
