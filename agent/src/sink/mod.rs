//! Where events go.
//!
//! The sensor's thread puts whole batches of lines into a bounded queue; one thread of its own ([`writer`]) takes them to every sink. When the
//! queue is full the sensor waits, the ring takes the pressure, and what it can't take is counted there. What a sink can't take
//! is counted here, with its reason. Sinks over the network take their events from the spool ([`spool`]), which is one of
//! these sinks, on threads of their own (`linnet_delivery`).

pub mod file;
pub mod spool;
pub mod stdout;
pub mod writer;

use std::io;

pub use writer::{Batch, Shared, Writer};

/// Why a sink could not take a batch.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// No room on the disk, or in the quota.
    #[error("{what}: no space left: free some, or lower output.file.max_bytes and keep")]
    Full {
        /// The file.
        what: String,
    },
    /// Nobody reads any more.
    #[error("{what} was closed by its reader")]
    Closed {
        /// The sink.
        what: String,
    },
    /// The spool.
    #[error(transparent)]
    Spool(#[from] linnet_spool::SpoolError),
    /// Anything else.
    #[error("{what}: {source}")]
    Io {
        /// The file.
        what: String,
        /// Why.
        source: io::Error,
    },
}

impl SinkError {
    /// Wraps an error of `what`.
    pub fn new(what: impl Into<String>, source: io::Error) -> Self {
        let what = what.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { what }
            }
            io::ErrorKind::BrokenPipe => Self::Closed { what },
            _ => Self::Io { what, source },
        }
    }

    /// The reason under which the loss is counted.
    pub fn reason(&self) -> DropReason {
        match self {
            Self::Full { .. } | Self::Spool(linnet_spool::SpoolError::Full { .. }) => DropReason::DiskFull,
            Self::Closed { .. } => DropReason::Closed,
            Self::Io { .. } | Self::Spool(_) => DropReason::Io,
        }
    }
}

/// Why events that were ready did not get out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// No room on the disk.
    DiskFull,
    /// The reader went away.
    Closed,
    /// Another error of input or output.
    Io,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DiskFull, Self::Closed, Self::Io];

    /// Its name in counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Closed => "closed",
            Self::Io => "io",
        }
    }
}

/// A place for lines.
pub trait Sink: Send {
    /// Its name in status.
    fn name(&self) -> &str;

    /// Takes whole lines, all or nothing; `kinds` has the number of each line's [`linnet_settings::sinks::EventKind`].
    ///
    /// # Errors
    /// [`SinkError`]; nothing of the batch is left behind then. The next batch may be taken again.
    fn write(&mut self, lines: &[u8], kinds: &[u8]) -> Result<(), SinkError>;
}
