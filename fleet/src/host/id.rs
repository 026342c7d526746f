//! Ids of the boot and of the installation.

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Keeps Linnet's ids apart from those that other programs derive from the same machine id.
const DERIVATION: &[u8] = b"linnet host id v1";

/// The kernel's random id of one boot, a uuid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BootId(String);

impl BootId {
    /// The id of the running boot.
    #[must_use]
    pub fn read() -> Option<Self> {
        Self::read_at(Path::new("/"))
    }

    pub(super) fn read_at(root: &Path) -> Option<Self> {
        let text = super::small_text(root, "proc/sys/kernel/random/boot_id")?;
        let id = text.trim();
        let groups: Vec<_> = id.split('-').map(str::len).collect();
        let digits = id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
        (digits && groups == [8, 4, 4, 4, 12]).then(|| Self(id.to_owned()))
    }

    /// The uuid as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of this installation: the first 16 bytes of SHA-256 over the machine id's 32 digits and
/// `linnet host id v1`, with the bits that mark a uuid of version 8 (RFC 9562, the version for such own making).
///
/// It stays the same over reboots and upgrades, and does not tell the machine id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId([u8; 16]);

impl HostId {
    /// The id of this installation; `None` where the machine id is missing, empty, all zeros or `uninitialized`.
    #[must_use]
    pub fn read() -> Option<Self> {
        Self::read_at(Path::new("/"))
    }

    pub(super) fn read_at(root: &Path) -> Option<Self> {
        Self::derive(super::small_text(root, "etc/machine-id")?.trim())
    }

    /// From a machine id, 32 lower-case hexadecimal digits by machine-id(5).
    #[must_use]
    pub fn derive(machine_id: &str) -> Option<Self> {
        let digits = machine_id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if machine_id.len() != 32 || !digits || machine_id.bytes().all(|b| b == b'0') {
            return None;
        }
        let mut hash = Sha256::new();
        hash.update(machine_id.as_bytes());
        hash.update(DERIVATION);
        let mut id: [u8; 16] = *hash.finalize().first_chunk()?;
        let [.., version, _, variant, _, _, _, _, _, _, _] = &mut id;
        *version = (*version & 0x0f) | 0x80;
        *variant = (*variant & 0x3f) | 0x80;
        Some(Self(id))
    }

    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A text that is no host id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host id: give it as `device.uid` in the host's events has it")]
pub struct NotAHostId(String);

impl std::str::FromStr for HostId {
    type Err = NotAHostId;

    fn from_str(text: &str) -> Result<Self, NotAHostId> {
        let refused = || NotAHostId(text.chars().take(64).collect());
        let mut id = [0; 16];
        let mut digits = text.bytes().filter(|b| *b != b'-');
        let mut nibble = || {
            digits.next().and_then(|digit| char::from(digit).to_digit(16)).and_then(|n| u8::try_from(n).ok())
        };
        for byte in &mut id {
            *byte = nibble().zip(nibble()).map(|(high, low)| high << 4 | low).ok_or_else(refused)?;
        }
        let id = Self(id);
        // Only the one form: what is written in another was not copied from where ids are written.
        if id.to_string() == text { Ok(id) } else { Err(refused()) }
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE_ID: &str = "0c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b";

    #[test]
    fn the_host_id_is_stable_and_does_not_tell_the_machine_id() {
        // printf %s '0c9a…4e3blinnet host id v1' | sha256sum
        let id = HostId::derive(MACHINE_ID).unwrap().to_string();
        assert_eq!(id, "ec524ab2-d1ff-8b95-9222-eefe721e0c6c");
        assert!(!id.replace('-', "").contains(MACHINE_ID));
        assert_ne!(HostId::derive("1c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b").unwrap().to_string(), id);
    }

    #[test]
    fn an_id_is_read_as_it_is_written_and_in_no_other_form() {
        let id = HostId::derive(MACHINE_ID).unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "ec524ab2",
            "EC524AB2-D1FF-8B95-9222-EEFE721E0C6C",
            "ec524ab2d1ff8b959222eefe721e0c6c",
            "ec524ab2-d1ff-8b95-9222-eefe721e0c6c0",
            "ec524ab2-d1ff-8b95-9222-eefe721e0c6é",
        ] {
            assert!(text.parse::<HostId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_machine_id_that_is_none_gives_no_host_id() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        for content in [
            "",
            "\n",
            "uninitialized\n",
            "00000000000000000000000000000000\n",
            "0C9A6B1F3E8D4A5C9B7E2D1F6A8C4E3B\n",
            "0c9a6b1f\n",
            "0c9a6b1f-3e8d-4a5c-9b7e-2d1f6a8c4e3b\n",
        ] {
            std::fs::write(root.path().join("etc/machine-id"), content).unwrap();
            assert_eq!(HostId::read_at(root.path()), None, "{content:?}");
        }
        std::fs::write(root.path().join("etc/machine-id"), format!("{MACHINE_ID}\n")).unwrap();
        assert_eq!(HostId::read_at(root.path()), HostId::derive(MACHINE_ID));
    }

    #[test]
    fn a_boot_id_is_a_uuid_or_nothing() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("proc/sys/kernel/random");
        std::fs::create_dir_all(&directory).unwrap();
        for (content, expected) in [
            ("d0c5ad5e-95e8-4a22-8ea7-53d27fa5a0e4\n", Some("d0c5ad5e-95e8-4a22-8ea7-53d27fa5a0e4")),
            ("", None),
            ("d0c5ad5e95e84a228ea753d27fa5a0e4\n", None),
            ("d0c5ad5e-95e8-4a22-8ea7-53d27fa5a0eé\n", None),
        ] {
            std::fs::write(directory.join("boot_id"), content).unwrap();
            assert_eq!(BootId::read_at(root.path()).as_ref().map(BootId::as_str), expected);
        }
    }
}
