//! The health document: what the agent says about itself, for `status`, the updater and any monitoring.
//!
//! One JSON object on a tmpfs, replaced whole every few seconds. Version 1; fields may be added within a version, so
//! that a reader of any age tolerates what it does not know, and a field that an older writer left out has its
//! default. A change of meaning makes a new version, which [`Health::read`] refuses.
//!
//! A document outlives an agent that was killed: its presence does not say that the agent runs, [`Health::age`] and
//! the lock do.

mod activity;
mod hook;
mod limits;
mod losses;
mod output;
mod plugins;
mod rates;
mod remote;
mod shedding;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::atomic_file::{self, AtomicFileError};
use crate::capped;

pub use activity::{Ring, Talkers, TalkingGroup, TalkingProgram};
pub use hook::{Hook, RefusedHook};
pub use limits::{LimitMode, LimitValues, Limits, MemoryEvents, Usage};
pub use losses::{Losses, LossesByKind};
pub use output::{Canary, NetworkSink, ProcessTable, PushedMetrics, Settings, Sink, SinkAccount, Spool};
pub use plugins::{Plugin, PluginChannel, PluginLosses, RefusedPlugin, Trial};
pub use rates::{RateLimited, RateLimits};
pub use remote::{ChannelHealth, DocumentId, RefusedDocument, Remote};
pub use shedding::{Pressure, Shedding};

/// The version that this code writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// Longest document that is read: 1 MiB, some hundred times the usual.
pub const MAX_BYTES: usize = 1 << 20;

const MODE: u32 = 0o644;

/// What the agent says about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The agent's version.
    pub version: String,
    /// Identifies the build, where the build said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// The commit that was built, where the build said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The agent's process id, as its own pid namespace numbers it.
    pub pid: u32,
    /// The kernel's boot id: a document of another boot is history.
    pub boot_id: String,
    /// When this process started.
    pub started_at: Timestamp,
    /// When this document was written.
    pub updated_at: Timestamp,
    /// What the agent is doing.
    pub state: State,
    /// Why it is [`State::Degraded`], each with what to do about it.
    pub degraded: Vec<String>,
    /// The kernel's release, as `uname -r` shows it.
    pub kernel_release: String,
    /// How each thing is observed.
    pub hooks: Vec<Hook>,
    /// What the agent may use.
    pub limits: Limits,
    /// What it does use.
    pub usage: Usage,
    /// By kind of event: how many there were, and where they are.
    pub losses: LossesByKind,
    /// What is left out under pressure.
    pub shedding: Shedding,
    /// Cgroups of which records are left out, because they are too many.
    pub rate_limits: RateLimits,
    /// The ring between kernel and agent.
    pub ring: Ring,
    /// Events written since the start, by family.
    pub families: BTreeMap<String, u64>,
    /// Who made the most records since the document before.
    pub talkers: Talkers,
    /// Where metrics are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// Where they are sent; missing where they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed_metrics: Option<PushedMetrics>,
    /// Counters of hashing and script reading, by name.
    pub files: BTreeMap<String, u64>,
    /// The process table.
    pub process_table: ProcessTable,
    /// Where events go.
    pub sinks: Vec<Sink>,
    /// Sinks over the network, which take their events from the spool.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network_sinks: Vec<NetworkSink>,
    /// The spool; missing where there is no sink over the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool: Option<Spool>,
    /// When the last event was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_event_at: Option<Timestamp>,
    /// The agent's own test events.
    pub canary: Canary,
    /// The settings in force.
    pub settings: Settings,
    /// The fleet's settings; missing on a host that follows no channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
    /// The plugins that the settings enable.
    pub plugins: Vec<Plugin>,
}

/// What the agent is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Probes are not all attached yet.
    #[default]
    Starting,
    /// Everything that was asked for works.
    Running,
    /// It works, with less than was asked for; `degraded` says why.
    Degraded,
    /// It drains and ends.
    Stopping,
    /// A state that a newer agent knows.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl State {
    /// The name as the document has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
            Self::Unknown => "unknown",
        }
    }
}

/// Why there is no health document to be had.
#[derive(Debug, Error)]
pub enum HealthError {
    /// There is no document.
    #[error("no health document at {path:?}: the agent is not running")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The document cannot be read.
    #[error("read {path:?}: {source}")]
    Read {
        /// The document.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is longer than [`MAX_BYTES`].
    #[error("{path:?} is longer than {MAX_BYTES} bytes: it is not a health document")]
    TooLong {
        /// The document.
        path: PathBuf,
    },
    /// It is not JSON of this shape.
    #[error("{path:?} is not a health document: {source}")]
    Malformed {
        /// The document.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is of another version.
    #[error(
        "{path:?} has schema version {found}, this program reads {SCHEMA_VERSION}: use the agent's own `status`"
    )]
    Version {
        /// The document.
        path: PathBuf,
        /// The version that it says.
        found: u32,
    },
    /// It cannot be turned into JSON: a [`State::Unknown`] or [`LimitMode::Unknown`] was to be written.
    #[error("encode health document: {source}")]
    Encode {
        /// Why.
        source: serde_json::Error,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicFileError),
}

impl Health {
    /// Puts the document in place of the one at `path`, readable by all; not synced, as it belongs on a tmpfs.
    ///
    /// # Errors
    /// [`HealthError::Encode`] or [`HealthError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), HealthError> {
        let mut json = serde_json::to_vec(self).map_err(|source| HealthError::Encode { source })?;
        json.push(b'\n');
        Ok(atomic_file::write_volatile(path, &json, MODE)?)
    }

    /// The document at `path`.
    ///
    /// # Errors
    /// All but [`HealthError::Encode`] and [`HealthError::Write`].
    pub fn read(path: &Path) -> Result<Self, HealthError> {
        let owned = || path.to_owned();
        let json = match capped::read(path, MAX_BYTES) {
            Ok(Some(json)) => json,
            Ok(None) => return Err(HealthError::TooLong { path: owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(HealthError::Missing { path: owned() });
            }
            Err(source) => return Err(HealthError::Read { path: owned(), source }),
        };
        // The version comes first: a document of another version need not have this shape at all.
        let malformed = |source| HealthError::Malformed { path: owned(), source };
        let Versioned { schema_version } = serde_json::from_slice(&json).map_err(malformed)?;
        if schema_version != SCHEMA_VERSION {
            return Err(HealthError::Version { path: owned(), found: schema_version });
        }
        serde_json::from_slice(&json).map_err(malformed)
    }

    /// How long ago the document was written; negative where the clock was set back since.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.updated_at)
    }
}

#[derive(Deserialize)]
struct Versioned {
    schema_version: u32,
}

#[cfg(test)]
mod tests;
