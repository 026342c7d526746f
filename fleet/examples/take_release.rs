//! What it costs to take a release: refresh, download, unpack, each with its time, and the peak of memory.
//!
//! `take_release URL METADATA_DIR CA_FILE TARGET INTO_DIR`; `METADATA_DIR` holds a trusted `root.json`, `INTO_DIR` is
//! made. Without the last two it only polls.
#![expect(clippy::print_stdout, reason = "a measuring tool")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use linnet_fleet::channel::{Channel, ChannelSettings};
use linnet_fleet::package::{Caps, Root, unpack};
use linnet_keys::release::Package;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (url, metadata, ca_file, take) = match arguments.as_slice() {
        [url, metadata, ca_file] => (url, metadata, ca_file, None),
        [url, metadata, ca_file, target, into] => (url, metadata, ca_file, Some((target, into))),
        _ => bail!("usage: take_release URL METADATA_DIR CA_FILE [TARGET INTO_DIR]"),
    };
    let now = Timestamp::now();
    let mut settings = ChannelSettings::new(url);
    settings.ca_file = Some(ca_file.into());
    let started = Instant::now();
    let mut channel = Channel::open(Path::new(metadata), settings.transport()?)?;
    let updated = channel.refresh(now)?.updated;
    println!("refresh {:.3} s, updated: {updated}", started.elapsed().as_secs_f64());
    if let Some((name, into)) = take {
        let target = channel.target(name, now)?;
        let unpacked_bytes = match Package::from_custom(target.custom())? {
            Package::Release(release) => release.unpacked_bytes,
            Package::Plugin(plugin) => plugin.unpacked_bytes,
        };
        let into = Path::new(into);
        let downloading = Instant::now();
        let file = channel.download(&target, &into.with_extension("tar.gz"))?;
        println!("download {:.3} s", downloading.elapsed().as_secs_f64());
        fs::create_dir(into).with_context(|| format!("make {into:?}"))?;
        let unpacking = Instant::now();
        let root = Root::open(into)?;
        unpack(file.file(), file.bytes(), file.sha256(), &root, Caps::signed(unpacked_bytes))?;
        println!("unpack {:.3} s", unpacking.elapsed().as_secs_f64());
    }
    println!("all {:.3} s", started.elapsed().as_secs_f64());
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    println!("peak {}", peak.trim());
    Ok(())
}
