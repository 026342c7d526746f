//! Events: from what the sensor knows to what an analyst reads (OCSF).

pub mod clock;
pub mod exec;
pub mod exit;
pub mod host;
pub mod lifecycle;
pub mod owned;

pub use clock::Clock;
pub use owned::Outcome;
