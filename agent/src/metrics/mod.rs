//! Metrics for Prometheus: the numbers of the health document, as text over HTTP on a unix socket or a loopback port.
//!
//! [`catalog`] says what there is, [`exposition`] how it is written, [`request`] what is answered to whom, [`server`] does it. Nothing is counted
//! here: a number that is not in the health document is no metric.

pub mod catalog;
pub mod exposition;
pub mod network;
pub mod request;
pub mod server;
