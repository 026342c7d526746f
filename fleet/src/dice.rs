//! Random numbers for what only has to be spread: waits, and names that must not be met twice.

use jiff::Timestamp;

/// A random number of all 64 bits. Nothing secret: without randomness, as early in a boot, the time has to do.
#[must_use]
pub fn dice() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => u64::try_from(Timestamp::now().as_nanosecond() & 0xffff_ffff_ffff_ffff)
            .unwrap_or(0)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}
