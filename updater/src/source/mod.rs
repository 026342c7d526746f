//! Where releases come from: the channel, verified, and what it wants of this host.

pub mod policy;

use std::path::Path;

use jiff::Timestamp;
use linnet_fleet::bundle::Bundle;
use linnet_fleet::channel::{Channel, ChannelError, ChannelSettings, ExitClass};
use linnet_fleet::host::Host as HostFacts;
use linnet_fleet::rollout::{
    self, FleetDocument, HostTraits, MAX_DOCUMENT_BYTES, Rollout, Update, WaitReason,
};
use linnet_keys::VerifiedTarget;
use linnet_keys::release::{KernelVersion, Package, Release as Signed, Version};
use rustix::system::uname;
use thiserror::Error;

use crate::engine::{Supplied, Supply};
use crate::exit_code;
use crate::layout::Layout;
use crate::machine::{Failure, FailureKind, Release};

/// Architectures of one release in a bundle that are looked at.
const MAX_CARRIED: usize = 16;
const FLEET_DOCUMENT: &str = "config/fleet.json";

/// A genuine release.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Version and digest.
    pub release: Release,
    /// What else was signed of it.
    pub signed: Signed,
    target: VerifiedTarget,
}

/// What the channel wants of this host now.
#[derive(Debug)]
pub enum Wanted {
    /// This release.
    Offer(Box<Offer>),
    /// Nothing yet; why.
    Wait(String),
    /// Nothing at all; why.
    Nothing(String),
}

/// Why the channel gives no answer.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The channel cannot be reached, or is not to be trusted.
    #[error("{what}: {source}")]
    Channel {
        /// What was being done.
        what: String,
        /// Why.
        source: ChannelError,
    },
    /// The channel says nothing of use.
    #[error("the channel's {path}: {why}")]
    Content {
        /// The target.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl SourceError {
    /// The exit code for this.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Content { .. } => exit_code::SIGNATURE,
            Self::Channel { source, .. } => match source.exit_class() {
                ExitClass::Usage => exit_code::ERROR,
                ExitClass::Network => exit_code::NETWORK,
                ExitClass::Signature => exit_code::SIGNATURE,
                ExitClass::Rollback => exit_code::FLOOR,
                ExitClass::Size | ExitClass::Disk => exit_code::SIZE,
                ExitClass::Expired => exit_code::EXPIRED,
            },
        }
    }
}

/// A channel, with this host's trusted metadata.
pub struct Source<'s> {
    channel: Channel,
    layout: &'s Layout,
    traits: HostTraits,
    /// The releases that a bundle says it carries; none where the fleet's document decides.
    carried: Option<Vec<String>>,
}

impl<'s> Source<'s> {
    /// Opens the channel of these settings; `root.json` is in the metadata directory already.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn open(
        layout: &'s Layout,
        settings: &ChannelSettings,
        traits: HostTraits,
    ) -> Result<Self, SourceError> {
        let channel = settings
            .transport()
            .and_then(|transport| Channel::open(&layout.metadata(), transport))
            .map_err(during("open the channel"))?;
        Ok(Self { channel, layout, traits, carried: None })
    }

    /// Opens the channel in a bundle. Whoever brought it chose the release, so the fleet's document is not asked; all
    /// else is as with any channel.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn carried(layout: &'s Layout, bundle: Bundle, traits: HostTraits) -> Result<Self, SourceError> {
        let carried = Some(bundle.head().releases.clone());
        let channel =
            Channel::open(&layout.metadata(), Box::new(bundle)).map_err(during("open the bundle"))?;
        Ok(Self { channel, layout, traits, carried })
    }

    /// Whether it is a bundle.
    #[must_use]
    pub const fn is_bundle(&self) -> bool {
        self.carried.is_some()
    }

    /// Fetches what is new of the metadata.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn refresh(&mut self, now: Timestamp) -> Result<(), SourceError> {
        self.channel.refresh(now).map(|_| ()).map_err(during("refresh the channel"))
    }

    /// What the fleet's document wants of this host.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn wanted(&mut self, now: Timestamp) -> Result<Wanted, SourceError> {
        self.decided(now, |update| update)
    }

    /// The same for a host that has no release yet. It has nothing to keep meanwhile, so it waits neither for its wave
    /// nor for a window; halt stops it too.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn wanted_at_first(&mut self, now: Timestamp) -> Result<Wanted, SourceError> {
        self.decided(now, |update| Update { waves: Vec::new(), window: None, ..update })
    }

    /// The release of a bundle that is for this machine. Its head only says where to look; what is found is what the
    /// publisher signed, or nothing.
    fn brought(&mut self, paths: &[String], now: Timestamp) -> Result<Wanted, SourceError> {
        let mut others = Vec::new();
        for path in paths.iter().take(MAX_CARRIED) {
            let offer = self.offer(path, now)?;
            if offer.signed.arch == arch() {
                return Ok(Wanted::Offer(Box::new(offer)));
            }
            others.push(offer.signed.arch);
        }
        let others = others.join(", ");
        Ok(Wanted::Nothing(format!("the bundle has no release for {}, only for: {others}", arch())))
    }

    fn decided(&mut self, now: Timestamp, of: impl FnOnce(Update) -> Update) -> Result<Wanted, SourceError> {
        if let Some(paths) = self.carried.clone() {
            return self.brought(&paths, now);
        }
        let target = match self.channel.target(FLEET_DOCUMENT, now) {
            Err(ChannelError::NoTarget { .. }) => {
                return Ok(Wanted::Nothing(format!("the channel has no {FLEET_DOCUMENT}")));
            }
            other => other.map_err(during(FLEET_DOCUMENT))?,
        };
        let bytes = self.channel.read(&target, MAX_DOCUMENT_BYTES as u64).map_err(during(FLEET_DOCUMENT))?;
        let content = |error: rollout::DocumentError| SourceError::Content {
            path: FLEET_DOCUMENT.to_owned(),
            why: error.to_string(),
        };
        let document = FleetDocument::parse(&bytes).map_err(content)?;
        let Some(update) = document.update_for(&self.traits, now).map_err(content)? else {
            return Ok(Wanted::Nothing("the fleet's settings name no release".to_owned()));
        };
        let host = rollout::HostFacts { id: self.traits.id, arch: arch() };
        Ok(match rollout::decide(&of(update), &host, now) {
            Rollout::Take(path) => Wanted::Offer(Box::new(self.offer(&path, now)?)),
            Rollout::Halted => Wanted::Nothing("the fleet's operator has halted all updates".to_owned()),
            Rollout::Nothing => {
                Wanted::Nothing("the fleet's settings name no release for this host".to_owned())
            }
            Rollout::Wait { why, until } => {
                let what = match why {
                    WaitReason::Wave => "its wave",
                    WaitReason::Window => "the update window",
                };
                let when = until.map_or_else(String::new, |until| format!(", which begins {until:.0}"));
                Wanted::Wait(format!("a release is there; this host waits for {what}{when}"))
            }
        })
    }

    /// The release of this version, whatever the fleet's document says.
    ///
    /// # Errors
    /// [`SourceError`]; also when the channel does not have it.
    pub fn version(&mut self, version: Version, now: Timestamp) -> Result<Offer, SourceError> {
        self.offer(&format!("release/linnet-{version}-{}.tar.gz", arch()), now)
    }

    fn offer(&mut self, path: &str, now: Timestamp) -> Result<Offer, SourceError> {
        let content = |why: String| SourceError::Content { path: path.to_owned(), why };
        let target = match self.channel.target(path, now) {
            Err(ChannelError::NoTarget { .. }) => {
                return Err(content("no such release; it may have been revoked".to_owned()));
            }
            other => other.map_err(during(path))?,
        };
        let package = Package::from_custom(target.custom()).map_err(|error| content(error.to_string()))?;
        let Package::Release(signed) = package else {
            return Err(content("this is no release".to_owned()));
        };
        let digest =
            target.hashes().get_sha256().ok_or_else(|| content("it has no SHA-256 digest".to_owned()))?;
        Ok(Offer { release: Release { version: signed.version, digest }, signed, target })
    }

    /// Whether the publisher took it back.
    #[must_use]
    pub fn is_revoked(&self, release: &Release) -> bool {
        self.channel.is_revoked(&release.digest)
    }
}

fn during(what: &str) -> impl FnOnce(ChannelError) -> SourceError {
    let what = what.to_owned();
    move |source| SourceError::Channel { what, source }
}

/// A release that is to be fetched.
pub struct Fetch<'f, 's> {
    /// From where.
    pub source: &'f mut Source<'s>,
    /// Which.
    pub offer: Offer,
}

impl Supply for Fetch<'_, '_> {
    fn fetch(&mut self) -> Result<Supplied, Failure> {
        let to = self.source.layout.downloads().join(format!("{}.tar.gz", self.offer.release.dir_name()));
        let failed = |error: SourceError| {
            let exit = error.exit_code();
            // A server that sends something else than was signed may send the right thing tomorrow.
            Failure::new(FailureKind::Host, error.to_string()).with_exit(exit)
        };
        let file = self
            .source
            .channel
            .download(&self.offer.target, &to)
            .map_err(during("fetch the package"))
            .map_err(failed)?;
        let file =
            file.file().try_clone().map_err(|error| Failure::new(FailureKind::Host, error.to_string()))?;
        Ok(Supplied { file, bytes: self.offer.target.length(), signed: self.offer.signed.clone() })
    }
}

/// The machine, as `uname -m` has it.
#[must_use]
pub fn arch() -> String {
    uname().machine().to_string_lossy().into_owned()
}

/// What [`policy::admit`] needs to know of the host.
#[must_use]
pub fn host(facts: &HostFacts) -> policy::Host {
    policy::Host { arch: arch(), kernel: KernelVersion::of_release(&facts.kernel_release).ok() }
}

/// Where the root of trust is kept.
#[must_use]
pub fn root_path(layout: &Layout) -> std::path::PathBuf {
    layout.metadata().join("root.json")
}

/// A channel in a directory, as its URL.
#[must_use]
pub fn directory_url(path: &Path) -> String {
    format!("file://{}", path.display())
}
