//! Plugins from the channel on this host: which version is to run, fetching it, trying it, and going back.
//!
//! ```text
//! offered -> fetched -> on trial -> good            it ran well for a while
//!         |          \           \-> refused        given up: the last good one runs again
//!         \-> refused \-> refused                   its package is not what a host unpacks
//! ```
//!
//! What is decided is in [`choice`], which is pure; what lies on the disk in [`tree`]; what survives a restart in
//! [`memory`]; the thread that does it all is the [`Keeper`], spoken to by a [`Desk`].
//!
//! Invariants:
//! - nothing runs but what the channel's keys signed for, or what root installed on this host, which comes first;
//! - a tree without its marker is no plugin, and the marker is written last and removed first;
//! - a trial is on record before it begins; the last good version stays on the disk until another one is good;
//! - nothing is removed that runs;
//! - a channel that is away changes nothing.
#![forbid(unsafe_code)]

pub mod choice;
mod desk;
mod fetch;
mod keeper;
mod memory;
pub mod tree;

pub use desk::{Desk, Heard, Pick, Request, Sight};
pub use fetch::Source;
pub use keeper::{Keeper, Options};
