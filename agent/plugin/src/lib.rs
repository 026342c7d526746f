//! Runs plugins: programs that find out what the sensor's own hooks do not, and that may be wrong or hostile without
//! harm to it.
//!
//! [`PluginHost`] is one thread. It reads manifests ([`manifest`], [`installed`]), takes from their wishes what the local
//! [`policy`] does not allow, starts each plugin through a launcher that confines it ([`sandbox`]), gives it settings and
//! state on standard input, and takes what it says from standard output ([`protocol`], [`event`]). When something is
//! started, asked, killed or given up is decided in [`supervisor`], which is pure.
//!
//! Invariants:
//! - nothing that a plugin does stops or blocks the agent: its pipes are read without waiting, at a bounded rate, into
//!   bounded buffers, and what the agent can't take at once stays in the plugin's pipe;
//! - every line is in the account of exactly one outcome (`linnet_fleet::health::PluginLosses`);
//! - a plugin has the capabilities that its manifest asks for and the policy allows, and no others;
//! - a plugin does not outlive its host.
#![deny(unsafe_code)]

mod child;
pub mod event;
mod host;
pub mod installed;
pub mod protocol;
mod rate;
mod sandbox;
mod slot;
mod spec;
mod state;
pub mod supervisor;

pub use linnet_plugin_manifest::{manifest, policy};

pub use host::{Chosen, Options, PluginHost, Wanted};
pub use policy::Policy;
pub use sandbox::{LaunchError, launch};
pub use slot::{PluginEvent, Source};
