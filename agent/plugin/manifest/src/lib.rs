//! What a plugin asks for ([`manifest`]), and what a host lets it have ([`policy`]). Pure: whoever publishes plugins or
//! settings checks by this crate what the agent will check.
#![forbid(unsafe_code)]

pub mod manifest;
pub mod policy;
