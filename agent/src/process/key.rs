//! Identity of a process.
//!
//! A pid is used again; a pid and the time it was given out are not, within one boot. The time is kept in clock ticks
//! (10 ms), because that is all `/proc` tells, and a process must have the same identity whether it was seen from its first
//! instruction or found at start. For one pid to be given out twice in a tick the kernel would have to go
//! through the whole pid space in it.
//!
//! The image that runs may change by exec without the identity changing: `exec_count` in an event tells the images of one
//! process apart.

use std::fmt;

/// Nanoseconds of a clock tick of `/proc`: USER_HZ is 100 on every architecture that eBPF runs on.
const NS_PER_TICK: u64 = 10_000_000;

/// A process of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Thread-group id in the host's pid namespace.
    pub pid: u32,
    /// Start since boot in clock ticks: field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
}

impl Key {
    /// From what the kernel side reads.
    pub fn new(pid: u32, start_boot_ns: u64) -> Self {
        Self { pid, start_ticks: start_boot_ns / NS_PER_TICK }
    }
}

/// The boot, as the first eight hexadecimal digits of its id. With pid and start they tell the processes of a fleet apart, and the
/// `device.uid` that stands in each event does so for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootTag([u8; 8]);

impl BootTag {
    /// From `/proc/sys/kernel/random/boot_id`, whose digits beyond the eighth are left out. Missing digits are `0`.
    pub fn new(boot_id: &str) -> Self {
        let mut tag = [b'0'; 8];
        let digits = boot_id.bytes().filter(u8::is_ascii_hexdigit).map(|digit| digit.to_ascii_lowercase());
        for (slot, digit) in tag.iter_mut().zip(digits) {
            *slot = digit;
        }
        Self(tag)
    }

    /// The stable uid of a process: boot, pid and start.
    pub fn uid(self, key: Key) -> Uid {
        Uid { boot: self, key }
    }
}

/// A process uid, ready to be written.
#[derive(Clone, Copy, Debug)]
pub struct Uid {
    boot: BootTag,
    key: Key,
}

impl Uid {
    /// Appends it. Six of them stand in an exec event, and the formatting machinery would be a tenth of the time that the event takes.
    pub fn append_to(&self, out: &mut String) {
        out.extend(self.boot.0.iter().map(|&digit| char::from(digit)));
        for number in [u64::from(self.key.pid), self.key.start_ticks] {
            out.push('-');
            let digits = (u64::BITS - (number | 1).leading_zeros()).div_ceil(4);
            for place in (0..digits).rev() {
                let digit = u32::try_from(number >> (4 * place) & 0xf).unwrap_or(0);
                out.push(char::from_digit(digit, 16).unwrap_or('0'));
            }
        }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(32);
        self.append_to(&mut text);
        out.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_nanoseconds_and_procs_ticks_agree() {
        assert_eq!(Key::new(7, 1_239_999_999), Key { pid: 7, start_ticks: 123 });
    }

    #[test]
    fn a_uid_names_boot_pid_and_start() {
        let boot = BootTag::new("9F3C1A2B-4d5e-6f70-8192-a3b4c5d6e7f8\n");
        assert_eq!(boot.uid(Key { pid: 255, start_ticks: 16 }).to_string(), "9f3c1a2b-ff-10");
        assert_eq!(
            boot.uid(Key { pid: 0, start_ticks: u64::MAX }).to_string(),
            "9f3c1a2b-0-ffffffffffffffff"
        );
    }
}
