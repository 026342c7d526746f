//! Files: where BTF comes from, and the bytes of it for as long as they are needed.
//!
//! The kernel's own BTF is mapped, so that it costs the sensor no memory; kernels before 6.16 cannot map it,
//! and there it is read. A file that an operator names is always read: mapping it would let whoever
//! truncates the file kill the sensor with SIGBUS.
//!
//! Invariants: no more than [`MAX_BTF_BYTES`] are held; only regular files are opened, and a named pipe does
//! not block.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use memmap2::{Mmap, MmapOptions};
use rustix::fs::OFlags;

use crate::elf::{self, ElfError};
use crate::{Btf, BtfError};

/// The running kernel's BTF.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// The longest BTF that is read. A distribution's kernel has 3 to 7 MB.
pub const MAX_BTF_BYTES: u64 = 64 << 20;

/// `SYSFS_MAGIC` of linux/magic.h.
const SYSFS_MAGIC: u64 = 0x6265_6572;

/// The bytes of one BTF blob.
#[derive(Debug)]
pub struct BtfFile {
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl BtfFile {
    /// Opens the running kernel's BTF.
    ///
    /// # Errors
    /// As [`BtfFile::open`]; a kernel without BTF gives [`BtfError::Io`] with `NotFound`.
    pub fn kernel() -> Result<Self, BtfError> {
        Self::open(KERNEL_BTF)
    }

    /// Opens a file of raw BTF, or an ELF file with a section named `.BTF`, such as a kernel's `vmlinux`.
    ///
    /// # Errors
    /// When the file cannot be read, is not regular, is too large or is an ELF file without BTF. The BTF
    /// itself is not looked at; [`BtfFile::btf`] does that.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BtfError> {
        let path = path.as_ref();
        let error = |operation| move |source| BtfError::Io { operation, path: path.into(), source };
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let file =
            OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(error("open"))?;
        let metadata = file.metadata().map_err(error("stat"))?;
        if !metadata.is_file() {
            return Err(BtfError::NotRegular { path: path.into() });
        }
        if let Some(mapping) = map_kernel_btf(&file, path, metadata.len()) {
            return Ok(Self { bytes: Bytes::Mapped(mapping) });
        }
        let mut magic = [0; 4];
        let (offset, len_bytes) = match file.read_exact_at(&mut magic, 0) {
            Ok(()) if magic == elf::MAGIC => section(&file, path)?,
            Ok(()) => (0, metadata.len()),
            Err(short) if short.kind() == io::ErrorKind::UnexpectedEof => (0, metadata.len()),
            Err(source) => return Err(error("read")(source)),
        };
        let len = usize::try_from(len_bytes).ok().filter(|_| len_bytes <= MAX_BTF_BYTES);
        let len = len.ok_or_else(|| BtfError::TooLarge { path: path.into(), len_bytes })?;
        if offset.checked_add(len_bytes).is_none_or(|end| end > metadata.len()) {
            return Err(BtfError::Elf { path: path.into(), what: "its .BTF section is beyond the end" });
        }
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, offset).map_err(error("read"))?;
        Ok(Self { bytes: Bytes::Read(bytes) })
    }

    /// The blob.
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(mapping) => mapping,
            Bytes::Read(bytes) => bytes,
        }
    }

    /// Whether the blob is mapped from the kernel rather than held in memory of this process.
    pub fn is_mapped(&self) -> bool {
        matches!(self.bytes, Bytes::Mapped(_))
    }

    /// Checks the blob; see [`Btf::parse`].
    ///
    /// # Errors
    /// When it is not BTF that this sensor reads.
    pub fn btf(&self) -> Result<Btf<'_>, BtfError> {
        Btf::parse(self.bytes())
    }
}

fn section(file: &File, path: &Path) -> Result<(u64, u64), BtfError> {
    elf::btf_section(|buffer, at| file.read_exact_at(buffer, at)).map_err(|error| match error {
        ElfError::Malformed(what) => BtfError::Elf { path: path.into(), what },
        ElfError::Read(short) if short.kind() == io::ErrorKind::UnexpectedEof => {
            BtfError::Elf { path: path.into(), what: "it is cut off" }
        }
        ElfError::Read(source) => BtfError::Io { operation: "read", path: path.into(), source },
    })
}

/// Maps the file if it is the running kernel's BTF and the kernel lets it be mapped.
fn map_kernel_btf(file: &File, path: &Path, len: u64) -> Option<Mmap> {
    if path != Path::new(KERNEL_BTF) || len > MAX_BTF_BYTES {
        return None;
    }
    let stat = rustix::fs::fstatfs(file).ok()?;
    if u64::try_from(stat.f_type) != Ok(SYSFS_MAGIC) {
        return None;
    }
    // A private mapping, since the kernel refuses a shared one (btf_sysfs_vmlinux_mmap).
    #[expect(unsafe_code, reason = "a mapping is sound only while nobody changes the file")]
    // SAFETY: this file of sysfs is the kernel's own BTF, in its read-only data: it has the same bytes and
    // the same length until the machine stops.
    let mapping = unsafe { MmapOptions::new().len(usize::try_from(len).ok()?).map_copy_read_only(file) };
    mapping.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_of_an_elf_file_and_a_raw_file_give_the_same_bytes() {
        let raw = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/7.2.btf");
        let bytes = std::fs::read(&raw).unwrap();
        let image = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&image, elf::tests::image(&bytes)).unwrap();
        for path in [raw.as_path(), image.path()] {
            let file = BtfFile::open(path).unwrap();
            assert_eq!(file.bytes(), bytes);
            assert!(!file.is_mapped(), "a file that can be cut short must not be mapped");
            file.btf().unwrap();
        }
    }

    #[test]
    fn a_section_beyond_the_end_of_its_file_is_an_error() {
        let mut image = elf::tests::image(b"BTF");
        let len_at = image.len() - 2 * 64 + 32;
        for (len, expected) in [(1 << 20, "beyond the end"), (1u64 << 40, "over the limit")] {
            image[len_at..len_at + 8].copy_from_slice(&len.to_le_bytes());
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(&file, &image).unwrap();
            let error = BtfFile::open(file.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
