//! Numbers in the shape in which a reader looks them up elsewhere.
//!
//! OCSF wants ids as strings, and a nanosecond time does not fit the 53 bits that most JSON readers keep. These
//! types write such strings from a buffer on the stack.

use serde::{Serialize, Serializer};

/// Longest text here: a sign, 20 digits, a point and nine more digits, or 22 octal digits and a prefix.
const ROOM: usize = 40;

/// A short ASCII text that is built from its end.
struct Tail {
    bytes: [u8; ROOM],
    start: usize,
}

impl Tail {
    fn new() -> Self {
        Self { bytes: [b'0'; ROOM], start: ROOM }
    }

    fn push(&mut self, byte: u8) {
        let next = self.start.saturating_sub(1);
        if let Some(place) = self.bytes.get_mut(next) {
            *place = byte;
            self.start = next;
        }
    }

    fn digits(&mut self, mut value: u64, base: u64, at_least: usize) {
        let wanted = self.start.saturating_sub(at_least);
        while value > 0 || self.start > wanted {
            let digit = u8::try_from(value % base).unwrap_or_default();
            self.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
            value /= base;
        }
    }

    fn text(&self) -> &str {
        self.bytes.get(self.start..).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

macro_rules! as_string {
    ($($kind:ty),*) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.tail().text())
            }
        }
    )*};
}
as_string!(Decimal, Hex, Octal, DeviceNumber, Timespec, EventUid);

/// An id that OCSF wants as a string: user, group, session, inode. `0` is written `"0"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal(pub u64);

impl Decimal {
    fn tail(self) -> Tail {
        let mut tail = Tail::new();
        tail.digits(self.0, 10, 1);
        tail
    }
}

impl From<u32> for Decimal {
    fn from(value: u32) -> Self {
        Self(value.into())
    }
}

/// A set of bits or a magic number, written `"0xef53"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hex(pub u64);

impl Hex {
    fn tail(self) -> Tail {
        let mut tail = Tail::new();
        tail.digits(self.0, 16, 1);
        tail.push(b'x');
        tail.push(b'0');
        tail
    }
}

/// An event's `metadata.uid`, written `"4f0c9a1be2d37755-8e"`: no two events of any run of any host have the same, as far as
/// 64 random bits can promise, so a reader that gets one twice can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventUid {
    /// Random, drawn once a run.
    pub run: u64,
    /// The event's place in that run.
    pub sequence: u64,
}

impl EventUid {
    fn tail(self) -> Tail {
        let mut tail = Tail::new();
        tail.digits(self.sequence, 16, 1);
        tail.push(b'-');
        tail.digits(self.run, 16, 16);
        tail
    }
}

/// A file mode with its type bits as `stat` shows it, written `"0100755"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Octal(pub u32);

impl Octal {
    fn tail(self) -> Tail {
        let mut tail = Tail::new();
        tail.digits(self.0.into(), 8, 1);
        tail.push(b'0');
        tail
    }
}

/// A block device or the number of a mount without one, written `"8:1"` as in `/proc/PID/mountinfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceNumber {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl DeviceNumber {
    fn tail(self) -> Tail {
        let mut tail = Tail::new();
        tail.digits(self.minor.into(), 10, 1);
        tail.push(b':');
        tail.digits(self.major.into(), 10, 1);
        tail
    }
}

/// A time since the epoch with all its nanoseconds, written `"1764000000.012345678"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timespec {
    /// Whole seconds since the epoch; before it, negative.
    pub sec: i64,
    /// Nanoseconds on top, below 1,000,000,000.
    pub nsec: u32,
}

impl Timespec {
    fn tail(self) -> Tail {
        let mut tail = Tail::new();
        tail.digits(self.nsec.into(), 10, 9);
        tail.push(b'.');
        tail.digits(self.sec.unsigned_abs(), 10, 1);
        if self.sec < 0 {
            tail.push(b'-');
        }
        tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_text_of_their_field() {
        for (given, wanted) in [
            (Decimal(0).tail(), "0"),
            (Decimal(u64::MAX).tail(), "18446744073709551615"),
            (Hex(0).tail(), "0x0"),
            (Hex(0xef53).tail(), "0xef53"),
            (Hex(u64::MAX).tail(), "0xffffffffffffffff"),
            (Octal(0o100_755).tail(), "0100755"),
            (Octal(u32::MAX).tail(), "037777777777"),
            (DeviceNumber { major: 8, minor: 1 }.tail(), "8:1"),
            (DeviceNumber { major: 0, minor: 0 }.tail(), "0:0"),
            (DeviceNumber { major: u32::MAX, minor: u32::MAX }.tail(), "4294967295:4294967295"),
            (Timespec { sec: 1_764_000_000, nsec: 12_345_678 }.tail(), "1764000000.012345678"),
            (Timespec { sec: 0, nsec: 0 }.tail(), "0.000000000"),
            (Timespec { sec: i64::MIN, nsec: u32::MAX }.tail(), "-9223372036854775808.4294967295"),
        ] {
            assert_eq!(given.text(), wanted);
        }
    }
}
