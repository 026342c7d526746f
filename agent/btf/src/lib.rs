//! Field offsets from a kernel's BTF, scanned in place.
//!
//! The kernel's type information is walked where it lies: nothing is copied out of it but the answers
//! and a sparse index of a few kilobytes. A general parser builds every one of some 120,000 types; the
//! sensor asks for a hundred fields of thirty structs.
//!
//! Invariants:
//! - all input is hostile until checked: each offset, length, count and type id is bounds-checked, each
//!   chain of types has a limit, and each query has a budget of steps;
//! - no input panics; what is wrong with it is a [`BtfError`];
//! - a place that is returned lies inside its struct.
//!
//! Only what a 64-bit little-endian kernel writes is read: no split BTF (modules), no line information,
//! no functions.
//!
//! Format: the kernel's Documentation/bpf/btf.rst.
//!
//! ```no_run
//! use linnet_btf::{BtfFile, Field};
//! # fn main() -> Result<(), linnet_btf::BtfError> {
//! let file = BtfFile::kernel()?;
//! let parent = Field { structure: "kernfs_node", members: &["__parent", "parent"] };
//! let places = file.btf()?.fields(&[parent])?;
//! # Ok(())
//! # }
//! ```

#![deny(unsafe_code)]

mod elf;
mod error;
mod file;
mod header;
mod lookup;
mod names;
mod query;
mod types;

pub use error::BtfError;
pub use file::{BtfFile, KERNEL_BTF, MAX_BTF_BYTES};
pub use query::{Field, Place};
pub use types::Btf;
