//! Whom a release is for, and when: the `update` section of `config/fleet.json`, decided purely.
//!
//! What is here has no clock, disk or network. The caller verifies the document's signatures, and whether the host
//! may change at all (its own pin and disable outrank everything here) is the updater's business.

mod bucket;
mod decide;
mod document;
mod overrides;
mod update;
mod window;

pub use bucket::{Bucket, Permille};
pub use decide::{HostFacts, Rollout, WaitReason, decide};
pub use document::{DocumentError, FleetDocument, MAX_DOCUMENT_BYTES};
pub use overrides::{HostTraits, MAX_OVERRIDES, Match, Override, merge};
pub use update::{Release, Update, Wave};
pub use window::{Day, TimeOfDay, Window};
