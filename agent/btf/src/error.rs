//! What can be wrong with BTF or with the file that holds it.

use std::io;
use std::path::PathBuf;

use crate::MAX_BTF_BYTES;

/// Why BTF could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BtfError {
    /// An operation on the file itself.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// The system call, as a verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path names something that cannot hold BTF.
    #[error("{} is not a regular file: give raw BTF or an ELF file with a .BTF section", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// The blob is over [`MAX_BTF_BYTES`].
    #[error("{}: {len_bytes} bytes of BTF are over the limit of {MAX_BTF_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length, or that of its section.
        len_bytes: u64,
    },
    /// An ELF file whose .BTF section cannot be found or read.
    #[error("{}: {what}; give a kernel built with CONFIG_DEBUG_INFO_BTF", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The bytes do not begin like BTF.
    #[error(
        "not BTF: the first bytes are {magic:#06x}, not 0xeb9f; a compressed file has to be unpacked first"
    )]
    NotBtf {
        /// The first two bytes, little endian.
        magic: u16,
    },
    /// BTF of a big-endian kernel.
    #[error("big-endian BTF is not supported: this sensor runs on little-endian kernels only")]
    BigEndian,
    /// A version of the format other than 1.
    #[error("BTF version {0} is not supported: only version 1 is known")]
    Version(u8),
    /// A header that contradicts itself or the length of the blob.
    #[error("malformed BTF header: {0}")]
    Header(&'static str),
    /// A type that contradicts the format.
    #[error("malformed BTF: type {id}: {what}")]
    Type {
        /// The type's id.
        id: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A query took more steps than any kernel's types need.
    #[error("malformed BTF: its types are nested beyond what a kernel has")]
    TooComplex,
}
