//! Releases on this host: `releases/<version>-<digest>/`, and the links that lead to them.
//!
//! A release counts from the moment that its marker, `releases/<version>-<digest>.json`, is there; it is written last,
//! and removed first. The marker keeps what was signed of the release and the digest of its manifest, so that a release
//! can be verified again without the channel.

mod collect;
mod link;
mod marker;
mod stage;

pub use collect::{collect, running};
pub use link::{read as read_link, remove as remove_link, switch as switch_link};
pub use marker::{Marker, list, read as read_marker};
pub use stage::{StageError, Staging, remove, stage, verify};
