//! Sinks over the network.
//!
//! ```text
//! spool -> reader -> worker: filter -> batch -> backend's form -> transport: one connection
//!                       ^                                                     |
//!                       +--- verdict: accepted | refused | too large | later -+
//! ```
//!
//! Each sink has a thread ([`worker`]) and a reader of the spool. It takes as much as fits into a request, and settles it
//! in the spool when every event of it has found its end: delivered, filtered, or refused and kept in a file.
//!
//! Invariants:
//! - an event is settled only after the other side has answered for it. Whatever else happens (no answer, half an answer,
//!   a stop in between), it is sent again; `metadata.uid` lets the other side tell;
//! - no answer makes an event vanish. One that is refused by itself goes to the dead-letter file ([`refused`]); a request
//!   that is refused as a whole is halved until it is clear which event is meant, and so is one on which the other side fails
//!   while it takes others ([`load`]); everything else waits;
//! - a backend that is away or unwell is asked seldom ([`pace`]), and with little;
//! - what an answer says is bounded, and never decides more than the fate of the events that were sent.
//!
//! Syslog has no answers. There the last invariants but one are kept by what the kernel says of the connection, and what that is
//! worth is in [`connection`].
//!
//! Metrics go the same way over HTTP, without a spool ([`metrics`]).
//!
//! It must not slow the sensor: the spool stands between, and drops the oldest when it is full.
#![deny(unsafe_code)]

mod backend;
mod client;
mod connection;
mod elasticsearch;
mod line;
mod load;
mod metrics;
mod otlp;
mod pace;
mod refused;
mod report;
mod secret;
mod share;
mod splunk;
mod start;
mod syslog;
mod transport;
mod unsent;
mod worker;

pub use metrics::{MetricsSink, NotTaken, Taken};
pub use report::Report;
pub use start::{Delivery, StartError};
