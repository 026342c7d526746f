//! What the sensor's behaviour can be set to, whoever sets it: the host's own file or the fleet's signed document.
//!
//! One JSON object, read once into typed values, refused whole when anything in it is wrong. Every key has a default, so
//! an absent file is a valid one. Unknown keys are refused with their path: a misspelt limit must not be taken for no
//! limit.
//!
//! The agent reads by this crate what the publisher's tool has checked by it, so neither accepts what the other refuses.
#![forbid(unsafe_code)]

mod bounds;
mod file;
pub mod fleet;
pub mod glob;
pub mod ignore;
pub mod layers;
mod metrics;
pub mod peer;
pub mod sinks;
pub mod syslog;
mod values;

pub use bounds::{RANGES, Range};
pub use file::{DEFAULT_PATH, Hexadecimal, Loaded, SettingsError, parse};
pub use metrics::{MetricsAddress, OtlpMetrics};
pub use values::{
    EnabledPlugin, Events, FileOutput, Fleet, Hash, Health, Limits, LogLevel, Metrics, Output, Plugins,
    ProcessTable, Ring, Sampling, Script, Settings,
};
