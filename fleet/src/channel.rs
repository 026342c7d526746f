//! The client of a channel: what it fetches, how, and what of it is kept.
//!
//! [`linnet_keys::Trusted`] decides; this module fetches for it and stores what it accepted. What holds:
//!
//! 1. Every read from a server has a cap on bytes, a deadline and a lowest rate. A server can waste neither memory
//!    nor days.
//! 2. A document reaches the disk after all of its checks, whole, by rename. One that is refused leaves no trace.
//! 3. Files on disk are checked like those from the network. Garbage there is told, put away and fetched again; it
//!    neither widens trust nor holds a host up.
//! 4. TLS keeps the network out; it is not what trust rests on. Neither is anything that a server says of its files.
//!
//! One process at a time uses a directory of metadata; the caller holds a [`crate::lock::Lock`].

mod backoff;
#[cfg(feature = "package")]
mod bundle;
mod client;
mod connect;
mod directory;
mod download;
mod enrolment;
mod error;
mod http;
mod lookup;
mod offers;
mod paced;
mod reply;
mod schedule;
mod settings;
mod store;
mod tls;
mod transport;
mod url;

pub use backoff::{Backoff, spread};
pub use client::{Channel, Discarded, Refresh};
pub use connect::{Unusable, proxy};
pub use directory::DirectoryTransport;
pub use download::VerifiedFile;
pub use enrolment::{ENROLMENT_PATH, Enrolment, ROOT_PATH};
pub use error::{ChannelError, ExitClass};
pub use http::HttpTransport;
pub use lookup::{Lookup, look_up};
pub use offers::PluginOffer;
pub use reply::retry_after;
pub use schedule::PollSchedule;
pub use settings::ChannelSettings;
pub use tls::{client_config as tls_client_config, config as tls_config};
pub use transport::{Body, Get, Reply, Transport, Validators};
