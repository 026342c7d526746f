//! Exit codes, shared with the updater's numbering.

/// Done, or nothing to do.
pub const OK: u8 = 0;
/// Something failed, and the message says what.
pub const ERROR: u8 = 1;
/// Wrong arguments or settings.
pub const USAGE: u8 = 2;
/// This machine does not grant what is needed; of `status`: the sensor runs, but degraded.
pub const UNSUPPORTED: u8 = 3;
/// Another agent runs.
pub const LOCKED: u8 = 12;
