//! ELF: where the .BTF section of a kernel image lies.
//!
//! It reads the headers it needs, one at a time, through `read_at`; a kernel image with debug information is
//! far too large to be held. Format: System V ABI, chapter 4; only ELF64, little endian.

use std::io;

pub(crate) const MAGIC: [u8; 4] = *b"\x7fELF";

const SECTION_NAME: [u8; 5] = *b".BTF\0";
const HEADER_BYTES: usize = 64;
const SECTION_HEADER_BYTES: usize = 64;
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const SHT_PROGBITS: u32 = 1;
const SHF_COMPRESSED: u64 = 1 << 11;

/// Why there is no section.
#[derive(Debug)]
pub(crate) enum ElfError {
    Malformed(&'static str),
    Read(io::Error),
}

impl From<io::Error> for ElfError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Offset and length of the .BTF section. `read_at` fills the whole buffer from an offset of the file, or
/// fails. That the section lies inside the file is for the caller to find out by reading it.
pub(crate) fn btf_section(
    mut read_at: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> Result<(u64, u64), ElfError> {
    let mut header = [0; HEADER_BYTES];
    read_at(&mut header, 0)?;
    if !header.starts_with(&MAGIC) {
        return Err(ElfError::Malformed("no ELF magic"));
    }
    if header.get(4..6) != Some(&[CLASS_64, LITTLE_ENDIAN]) {
        return Err(ElfError::Malformed("not a 64-bit little-endian ELF file"));
    }
    let table = u64::from_le_bytes(field(&header, 40));
    let entry_bytes = u16::from_le_bytes(field(&header, 58));
    let count = u64::from(u16::from_le_bytes(field(&header, 60)));
    let names = u64::from(u16::from_le_bytes(field(&header, 62)));
    if usize::from(entry_bytes) != SECTION_HEADER_BYTES || names >= count {
        return Err(ElfError::Malformed("no usable table of sections"));
    }
    let mut section = |number: u64| -> Result<[u8; SECTION_HEADER_BYTES], ElfError> {
        let at = table.checked_add(number * SECTION_HEADER_BYTES as u64);
        let mut header = [0; SECTION_HEADER_BYTES];
        read_at(&mut header, at.ok_or(ElfError::Malformed("the table of sections is beyond any file"))?)?;
        Ok(header)
    };
    let names_at = u64::from_le_bytes(field(&section(names)?, 24));
    let mut candidates = Vec::new();
    for number in 0..count {
        let header = section(number)?;
        if u32::from_le_bytes(field(&header, 4)) == SHT_PROGBITS {
            candidates.push(header);
        }
    }
    for header in candidates {
        let name_at = names_at.checked_add(u64::from(u32::from_le_bytes(field(&header, 0))));
        let mut name = [0; SECTION_NAME.len()];
        // A name shorter than this at the very end of the file cannot be read, and is another one.
        if name_at.is_none_or(|at| read_at(&mut name, at).is_err()) || name != SECTION_NAME {
            continue;
        }
        if u64::from_le_bytes(field(&header, 8)) & SHF_COMPRESSED != 0 {
            return Err(ElfError::Malformed("its .BTF section is compressed"));
        }
        return Ok((u64::from_le_bytes(field(&header, 24)), u64::from_le_bytes(field(&header, 32))));
    }
    Err(ElfError::Malformed("it has no .BTF section"))
}

/// `N` bytes of a header of 64, at an offset that this file gives.
fn field<const N: usize>(header: &[u8; 64], at: usize) -> [u8; N] {
    header.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    /// An ELF file with the sections null, .BTF, .BTF_ids and .shstrtab.
    pub(crate) fn image(btf: &[u8]) -> Vec<u8> {
        let names = b"\0.BTF_ids\0.BTF\0.shstrtab\0";
        let names_at = HEADER_BYTES + btf.len();
        let table_at = names_at + names.len();
        let mut header = [0u8; HEADER_BYTES];
        header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', CLASS_64, LITTLE_ENDIAN]);
        header[40..48].copy_from_slice(&(table_at as u64).to_le_bytes());
        header[58..60].copy_from_slice(&64u16.to_le_bytes());
        header[60..62].copy_from_slice(&4u16.to_le_bytes());
        header[62..64].copy_from_slice(&3u16.to_le_bytes());
        let section = |name: u32, kind: u32, at: usize, len: usize| {
            let mut header = [0u8; SECTION_HEADER_BYTES];
            header[0..4].copy_from_slice(&name.to_le_bytes());
            header[4..8].copy_from_slice(&kind.to_le_bytes());
            header[24..32].copy_from_slice(&(at as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(len as u64).to_le_bytes());
            header
        };
        [
            header.as_slice(),
            btf,
            names,
            &section(0, 0, 0, 0),
            &section(1, SHT_PROGBITS, 64, 1),
            &section(10, SHT_PROGBITS, 64, btf.len()),
            &section(15, 3, names_at, names.len()),
        ]
        .concat()
    }

    fn find(image: &[u8]) -> Result<(u64, u64), ElfError> {
        btf_section(|buffer, at| {
            let at = usize::try_from(at).unwrap();
            let end = at.checked_add(buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(image.get(at..end).ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    #[test]
    fn the_section_is_found_by_its_whole_name() {
        assert_eq!(find(&image(b"0123456789")).unwrap(), (64, 10));
    }

    #[test]
    fn a_cut_image_is_an_error() {
        let whole = image(b"0123456789");
        for len in 0..whole.len() {
            find(&whole[..len]).unwrap_err();
        }
    }

    #[test]
    fn a_compressed_section_is_refused() {
        let mut image = image(b"0123456789");
        let flags_at = image.len() - 2 * SECTION_HEADER_BYTES + 8;
        image[flags_at + 1] = 8;
        assert!(matches!(find(&image), Err(ElfError::Malformed("its .BTF section is compressed"))));
    }

    proptest! {
        #[test]
        fn no_image_panics(flips in vec((any::<Index>(), any::<u8>()), 1..8)) {
            let mut image = image(b"0123456789");
            for (index, byte) in flips {
                *index.get_mut(&mut image) = byte;
            }
            let _ = find(&image);
        }
    }
}
