//! One download at a time, on a thread of its own: fetched, verified, unpacked, marked.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use linnet_fleet::channel::{Channel, ChannelError, ChannelSettings, PluginOffer};

use crate::choice::Build;
use crate::desk::{Desk, Order};
use crate::tree::{TreeError, Trees};

/// Larger packages are refused before a byte of them is fetched.
const MAX_PACKAGE_BYTES: u64 = 64 << 20;
/// The same for what they hold.
const MAX_UNPACKED_BYTES: u64 = 128 << 20;

/// What came of a download.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// It is on the disk, whole.
    Staged,
    /// It would not be any better next time.
    Refused(String),
    /// It may be better later.
    Later(String, Option<Duration>),
}

/// Where packages come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The channel.
    pub channel: ChannelSettings,
    /// Its metadata on this host, which is only read here.
    pub metadata: PathBuf,
}

/// Fetches a package, and tells the desk what came of it.
///
/// # Errors
/// When no thread can be had.
pub(crate) fn start(
    source: Source,
    trees: Trees,
    reserve_bytes: u64,
    offer: PluginOffer,
    desk: Desk,
) -> io::Result<()> {
    let build = Build { version: offer.plugin.version, sha256: offer.sha256 };
    let work = move || {
        let outcome = fetch(&source, &trees, reserve_bytes, &offer, build);
        desk.order(Order::Fetched { name: offer.plugin.name, build, outcome });
    };
    std::thread::Builder::new().name("linnet-fetch".to_owned()).stack_size(512 * 1024).spawn(work).map(drop)
}

fn fetch(source: &Source, trees: &Trees, reserve_bytes: u64, offer: &PluginOffer, build: Build) -> Fetched {
    let (bytes, unpacked) = (offer.target.length(), offer.plugin.unpacked_bytes);
    if bytes > MAX_PACKAGE_BYTES || unpacked > MAX_UNPACKED_BYTES {
        return Fetched::Refused(format!(
            "its package has {bytes} bytes and {unpacked} unpacked; at most {MAX_PACKAGE_BYTES} and \
             {MAX_UNPACKED_BYTES} are taken"
        ));
    }
    match try_fetch(source, trees, reserve_bytes, offer, build) {
        Ok(()) => Fetched::Staged,
        Err(Failure::Room(why)) => Fetched::Later(why, None),
        Err(Failure::Channel(error)) => Fetched::Later(error.to_string(), error.retry_after()),
        Err(Failure::Tree(error)) if error.is_of_the_package() => {
            Fetched::Refused(format!("its package is refused: {error}"))
        }
        Err(Failure::Tree(error)) => Fetched::Later(error.to_string(), None),
    }
}

enum Failure {
    Room(String),
    Channel(ChannelError),
    Tree(TreeError),
}

fn try_fetch(
    source: &Source,
    trees: &Trees,
    reserve_bytes: u64,
    offer: &PluginOffer,
    build: Build,
) -> Result<(), Failure> {
    let name = &offer.plugin.name;
    trees.make_directory(name).map_err(Failure::Tree)?;
    let free = trees.free_bytes().map_err(Failure::Tree)?;
    let needed = offer.target.length().saturating_add(offer.plugin.unpacked_bytes);
    if free < needed.saturating_add(reserve_bytes) {
        return Err(Failure::Room(format!(
            "{free} bytes are free; it takes {needed} and plugins.disk_reserve_bytes keeps {reserve_bytes} free"
        )));
    }
    let transport = source.channel.transport().map_err(Failure::Channel)?;
    let mut channel = Channel::open(&source.metadata, transport).map_err(Failure::Channel)?;
    let path = trees.package(name, &build);
    let package = channel.download(&offer.target, &path).map_err(Failure::Channel)?;
    let staged = trees.stage(package.file(), package.bytes(), &offer.plugin, build).map_err(Failure::Tree);
    // Needed no more, or of no use.
    let _ = std::fs::remove_file(&path);
    staged
}
