//! The nouns of OCSF that Linnet speaks of, one file each.
//!
//! All of them borrow, all of them derive `Default`, and what is `None`, `false` or empty is left out of the line:
//! a value that is not known is not written. Attributes beyond the schema stand in the `xattributes` of their
//! object, which OCSF leaves open.

mod actor;
mod container;
mod device;
mod enrichment;
mod file;
mod fingerprint;
mod metadata;
mod process;
mod process_attributes;
mod script;
mod session;
mod user;

pub use actor::Actor;
pub use container::{Container, Image};
pub use device::{Device, DeviceKind, Os};
pub use enrichment::{Data, Enrichment};
pub use file::{File, FileAttributes, FileKind};
pub use fingerprint::Fingerprint;
pub(crate) use metadata::Metadata;
pub use metadata::Product;
pub use process::{Process, ProcessEntity};
pub use process_attributes::{Namespaces, ProcessAttributes};
pub use script::{LongString, Script, ScriptKind};
pub use session::Session;
pub use user::{Group, User};

/// For `skip_serializing_if`, which hands over a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}
