//! The updater: takes a host from one signed release to the next, watches it, and rolls back by itself.
//!
//! [`machine`] decides, [`engine`] acts, [`command`] is what an operator types. Nothing unverified is ever linked, the
//! release that runs stays until a better one has proved itself, and every run converges.
#![forbid(unsafe_code)]

pub mod child;
pub mod clock;
pub mod command;
pub mod disk;
pub mod engine;
pub mod exit_code;
pub mod history;
pub mod hold;
pub mod kill_point;
pub mod layout;
pub mod machine;
pub mod preflight;
pub mod probation;
pub mod release_dir;
pub mod service;
pub mod settings;
pub mod source;
pub mod store;
pub mod units;
