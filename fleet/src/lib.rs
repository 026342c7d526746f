//! What every host shares: atomic files, the health document, locks, host identity, rollouts.
//!
//! The agent and the updater both stand on this crate; it knows neither.
#![forbid(unsafe_code)]

pub mod atomic_file;
#[cfg(feature = "package")]
pub mod bundle;
pub mod capped;
#[cfg(feature = "channel")]
pub mod channel;
mod dice;
pub mod health;
pub mod host;
pub mod lock;
#[cfg(feature = "package")]
pub mod package;
pub mod rollout;
pub mod settings_file;

pub use dice::dice;
