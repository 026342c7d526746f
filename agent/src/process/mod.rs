//! Processes: who they are, where they come from, and which container they are in.

pub mod cgroups;
pub mod key;
mod room;
pub mod seed;
pub mod table;
mod told;

pub use key::{BootTag, Key};
pub use table::{Ancestor, Image, Origin, Process, Table};
pub use told::{LeftOut, Told};
