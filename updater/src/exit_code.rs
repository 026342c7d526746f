//! Exit codes, shared with the agent's numbering.

/// Done, or nothing to do.
pub const OK: u8 = 0;
/// Something failed, and the message says what.
pub const ERROR: u8 = 1;
/// Wrong arguments or settings.
pub const USAGE: u8 = 2;
/// This host does not have what the release needs.
pub const UNSUPPORTED: u8 = 3;
/// Of `check`: an update is there.
pub const AVAILABLE: u8 = 10;
/// An operator holds this host: disabled, pinned, or the release failed here before.
pub const HELD: u8 = 11;
/// Another updater is at work.
pub const LOCKED: u8 = 12;
/// The channel cannot be reached.
pub const NETWORK: u8 = 20;
/// A signature, or what is signed, is not right.
pub const SIGNATURE: u8 = 21;
/// Below the floor, revoked, or older than what is trusted.
pub const FLOOR: u8 = 22;
/// Too large, or no room on the disk.
pub const SIZE: u8 = 23;
/// The channel's metadata has expired.
pub const EXPIRED: u8 = 24;
/// The release's own tests failed here, before anything was switched.
pub const PREFLIGHT: u8 = 25;
/// The release was switched to, did not prove itself, and was rolled back.
pub const ROLLED_BACK: u8 = 30;
/// The rollback failed.
pub const STUCK: u8 = 31;
