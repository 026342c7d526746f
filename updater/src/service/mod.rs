//! The service manager, behind a small trait: systemd, or commands from the settings.
//!
//! Each call may be made again after a crash in its middle.

mod commands;
mod dead_man;
mod systemd;

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

pub use commands::CommandService;
pub use dead_man::{Armed, wait_in_the_background};
pub use systemd::SystemdService;

use crate::settings::{ServiceSettings, Settings};

/// A call to the service manager went wrong.
#[derive(Debug, Error)]
#[error("{what}: {why}")]
pub struct ServiceError {
    /// The call.
    pub what: String,
    /// How it ended.
    pub why: String,
}

/// How the service manager sees the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Running, starting or about to be started again; how often that was, where it is known.
    Up {
        /// Restarts since it was last started by hand.
        restarts: u32,
    },
    /// Given up.
    Failed(String),
    /// The manager does not say.
    Unknown,
}

/// How the updater starts itself as a dead-man.
#[derive(Clone, Debug)]
pub struct SelfCall {
    /// The executable: the one that runs now, whose release has proved itself.
    pub program: PathBuf,
    /// Arguments in front of the command: settings and root.
    pub arguments: Vec<String>,
}

/// What the updater asks of the service manager.
pub trait Service {
    /// Starts the agent, or starts it anew where it runs. Does not wait until it is ready.
    ///
    /// # Errors
    /// [`ServiceError`].
    fn restart(&self) -> Result<(), ServiceError>;

    /// Stops the agent.
    ///
    /// # Errors
    /// [`ServiceError`].
    fn stop(&self) -> Result<(), ServiceError>;

    /// Makes changed unit files known.
    ///
    /// # Errors
    /// [`ServiceError`].
    fn reload(&self) -> Result<(), ServiceError>;

    /// Lets what was installed start at boot, and the timer run.
    ///
    /// # Errors
    /// [`ServiceError`].
    fn enable(&self) -> Result<(), ServiceError>;

    /// Undoes [`Service::enable`].
    ///
    /// # Errors
    /// [`ServiceError`].
    fn disable(&self) -> Result<(), ServiceError>;

    /// How the agent is.
    fn condition(&self) -> Condition;

    /// Lets `call` roll back after this time unless [`Service::disarm`] comes before, even if this process is gone.
    ///
    /// # Errors
    /// [`ServiceError`].
    fn arm(&self, after: Duration, call: &SelfCall) -> Result<(), ServiceError>;

    /// Takes the dead-man back.
    ///
    /// # Errors
    /// [`ServiceError`].
    fn disarm(&self) -> Result<(), ServiceError>;

    /// Whether unit files are this manager's.
    fn has_units(&self) -> bool;

    /// Whether it can start anything now. Where it can't (an image that is being made, a container, another init), what
    /// is installed is neither tried nor watched: it starts with the next boot.
    fn runs(&self) -> bool {
        true
    }
}

/// The service manager that the settings name.
#[must_use]
pub fn of(settings: &Settings) -> Box<dyn Service> {
    match &settings.service {
        ServiceSettings::Systemd(systemd) => Box::new(SystemdService::new(systemd)),
        ServiceSettings::Commands(commands) => Box::new(CommandService::new(commands)),
    }
}
