//! Why something was not had from a channel.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use linnet_keys::{ErrorClass, TrustError};
use thiserror::Error;

/// Why something was not had. What the host trusts, and what it runs, stays as it was.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// A setting is of no use.
    #[error("channel.{key}: {message}")]
    Settings {
        /// The key.
        key: &'static str,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// No answer, or none to its end.
    #[error("{url}: {message}")]
    Network {
        /// What was asked for.
        url: String,
        /// What happened, and what to do where there is something.
        message: String,
    },
    /// Too slow: the deadline passed, or the lowest rate was not kept.
    #[error("{url}: {message}: the server or the way to it is too slow, it is tried again later")]
    Slow {
        /// What was asked for.
        url: String,
        /// Which limit it was.
        message: String,
    },
    /// The server answered that it does not serve it now.
    #[error("{url}: the server answers {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// HTTP's status.
        status: u16,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The server has not got it.
    #[error("{url}: the channel has not got it: it is half published, or the url is wrong")]
    Absent {
        /// What was asked for.
        url: String,
    },
    /// An answer that is none to what was asked.
    #[error("{url}: {what}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// More bytes than are read, or than were signed for.
    #[error("{url}: more than {cap} bytes")]
    TooLong {
        /// What was asked for.
        url: String,
        /// The most that are read.
        cap: u64,
    },
    /// A document was refused.
    #[error("{from}: {source}")]
    Trust {
        /// Where it came from.
        from: String,
        /// Why.
        source: TrustError,
    },
    /// A target is not the one that was signed for.
    #[error("{url}: its content is not what was signed for ({what}): nothing of it is kept")]
    Content {
        /// What was asked for.
        url: String,
        /// Which of length and digest.
        what: &'static str,
    },
    /// No role that may speak for the path signs such a target.
    #[error("the channel has no target {path:?}")]
    NoTarget {
        /// Its path.
        path: String,
    },
    /// The local disk.
    #[error("{step} {path:?}: {source}")]
    Disk {
        /// What was being done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The kinds that an updater's exit code tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitClass {
    /// Settings or program at fault.
    Usage,
    /// No answer, a wrong one, or too slow; it may be better later.
    Network,
    /// Not signed as it must be, or not what was signed.
    Signature,
    /// Older than what was seen.
    Rollback,
    /// Longer than allowed.
    Size,
    /// Past its end.
    Expired,
    /// The local disk.
    Disk,
}

impl ChannelError {
    /// The kind.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Settings { .. } | Self::NoTarget { .. } => ExitClass::Usage,
            Self::Network { .. }
            | Self::Slow { .. }
            | Self::Status { .. }
            | Self::Absent { .. }
            | Self::Answer { .. } => ExitClass::Network,
            Self::TooLong { .. } => ExitClass::Size,
            Self::Content { .. } => ExitClass::Signature,
            Self::Disk { .. } => ExitClass::Disk,
            Self::Trust { source, .. } => match source.class() {
                ErrorClass::Signature | ErrorClass::Malformed => ExitClass::Signature,
                ErrorClass::Rollback => ExitClass::Rollback,
                ErrorClass::Size => ExitClass::Size,
                ErrorClass::Expired => ExitClass::Expired,
                ErrorClass::Usage => ExitClass::Usage,
            },
        }
    }

    /// How long the server asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

pub(super) fn disk_error(
    step: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> ChannelError {
    let path = path.into();
    move |source| ChannelError::Disk { step, path, source }
}

/// What became of a body that could not be read to its end.
pub(super) fn body_error(url: String, error: &io::Error) -> ChannelError {
    let timed_out = error.kind() == io::ErrorKind::TimedOut
        || error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<ureq::Error>())
            .is_some_and(|inner| matches!(inner, ureq::Error::Timeout(_)));
    let message = error.to_string();
    if timed_out { ChannelError::Slow { url, message } } else { ChannelError::Network { url, message } }
}
