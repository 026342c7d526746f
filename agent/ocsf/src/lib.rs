//! OCSF 1.8 events as typed values, written as safe NDJSON.
#![forbid(unsafe_code)]

pub mod class;
pub mod command;
pub mod line;
pub mod number;
pub mod object;
pub mod prelude;
pub mod text;
