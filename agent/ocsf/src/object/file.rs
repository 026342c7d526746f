//! A file, with the facts that tell it from another of the same name.

use serde::{Serialize, Serializer};

use super::{Fingerprint, User, is_false};
use crate::number::{Decimal, DeviceNumber, Hex, Octal, Timespec};
use crate::text::Base64;

/// OCSF `file`.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct File<'a> {
    /// The last component of its path.
    pub name: &'a str,
    /// The path as the process saw it, within its mount namespace and root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'a str>,
    /// What it is.
    #[serde(rename = "type_id")]
    pub kind: FileKind,
    /// Inode number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Decimal>,
    /// Size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Modification time in milliseconds since the epoch.
    #[serde(rename = "modified_time", skip_serializing_if = "Option::is_none")]
    pub modified_time_ms: Option<i64>,
    /// Owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<User<'a>>,
    /// Whether it had no name left when it was executed.
    #[serde(skip_serializing_if = "is_false")]
    pub is_deleted: bool,
    /// Hashes of its content.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub hashes: &'a [Fingerprint<'a>],
    /// What OCSF has no name for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xattributes: Option<FileAttributes<'a>>,
}

impl<'a> File<'a> {
    /// A regular file at `path`, named by its last component.
    #[must_use]
    pub fn at(path: &'a str) -> Self {
        let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path);
        Self { name, path: Some(path), kind: FileKind::Regular, ..Self::default() }
    }
}

/// OCSF `file.type_id`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileKind {
    /// Not known.
    #[default]
    Unknown,
    /// Regular file.
    Regular,
    /// Directory.
    Folder,
    /// Character device.
    CharacterDevice,
    /// Block device.
    BlockDevice,
    /// Unix socket.
    LocalSocket,
    /// FIFO.
    NamedPipe,
    /// Symbolic link.
    SymbolicLink,
}

impl Serialize for FileKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match self {
            Self::Unknown => 0,
            Self::Regular => 1,
            Self::Folder => 2,
            Self::CharacterDevice => 3,
            Self::BlockDevice => 4,
            Self::LocalSocket => 5,
            Self::NamedPipe => 6,
            Self::SymbolicLink => 7,
        })
    }
}

/// `file.xattributes`: the file's identity, and how its hash came about or why there is none.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct FileAttributes<'a> {
    /// Device of the inode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev: Option<DeviceNumber>,
    /// Change time of the inode; with device and inode it names one state of one file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctime: Option<Timespec>,
    /// Type and permission bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Octal>,
    /// Owning group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Number of links; 0 is a deleted file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nlink: Option<u32>,
    /// Magic number of the file system, as in `linux/magic.h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_magic: Option<Hex>,
    /// Whether it lives in memory only (`memfd_create`).
    #[serde(skip_serializing_if = "is_false")]
    pub memfd: bool,
    /// The path's true bytes, where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_raw: Option<Base64<'a>>,
    /// By which road the content was reached that the hash is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_road: Option<&'a str>,
    /// Whether ctime had moved by the time of hashing (a rename, a link) while the process still ran this very file.
    #[serde(skip_serializing_if = "is_false")]
    pub hash_ctime_moved: bool,
    /// Why there is no hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_missing: Option<&'a str>,
    /// Why a script that was hashed is without its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_missing: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_last_component() {
        for (path, name) in [
            ("/usr/bin/ls", "ls"),
            ("ls", "ls"),
            ("/opt/app/", "app"),
            ("/", "/"),
            ("", ""),
            ("memfd:payload", "memfd:payload"),
        ] {
            assert_eq!(File::at(path).name, name, "{path:?}");
        }
    }
}
