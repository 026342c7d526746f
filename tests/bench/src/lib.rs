//! The workload of the benchmark and the check of what a sensor made of it.
//!
//! A *storm* is a number of execs of one tiny program, as fast as a few workers can make them, each with a token in
//! its argv that no other exec has. So what a sensor saw is counted, not estimated: [`census`] counts tokens in any
//! text, [`verify`] holds the agent's events against everything that the storm knows about itself.
//!
//! The measuring itself, and the peers, live in the program, not here.

#![deny(unsafe_code)]

pub mod birth;
pub mod census;
pub mod equation;
pub mod error;
pub mod program;
pub mod storm;
pub mod token;
pub mod verify;

pub use error::Error;
