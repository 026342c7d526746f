//! The header: where types and strings lie.
//!
//! It checks that every section is inside the blob; it does not look into the sections, but for the two
//! zeros that close the string section in.

use crate::BtfError;

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
/// The header of version 1. Later kernels may append fields, which `hdr_len` tells.
const MIN_HEADER_BYTES: usize = 24;
/// The length from which a header tells the layout of the kinds (`layout_off`, `layout_len`).
const LAYOUT_HEADER_BYTES: usize = 32;

/// The sections of a blob, each inside its bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sections<'a> {
    pub types: &'a [u8],
    pub strings: &'a [u8],
    /// One record of four bytes for each kind; empty where the header has none.
    pub layout: &'a [u8],
}

pub(crate) fn sections(bytes: &[u8]) -> Result<Sections<'_>, BtfError> {
    let (magic, rest) = bytes.split_first_chunk::<2>().ok_or(BtfError::Header("shorter than its magic"))?;
    match u16::from_le_bytes(*magic) {
        MAGIC => {}
        swapped if swapped == MAGIC.swap_bytes() => return Err(BtfError::BigEndian),
        magic => return Err(BtfError::NotBtf { magic }),
    }
    let version = *rest.first().ok_or(BtfError::Header("shorter than its version"))?;
    if version != VERSION {
        return Err(BtfError::Version(version));
    }
    let header_len = word(bytes, 4)?;
    if header_len < MIN_HEADER_BYTES {
        return Err(BtfError::Header("hdr_len is under 24"));
    }
    let body = bytes.get(header_len..).ok_or(BtfError::Header("hdr_len is beyond the end"))?;
    let section = |at: usize, what| {
        let (offset, len) = (word(bytes, at)?, word(bytes, at + 4)?);
        let end = offset.checked_add(len).ok_or(BtfError::Header(what))?;
        body.get(offset..end).ok_or(BtfError::Header(what))
    };
    let types = section(8, "the type section is beyond the end")?;
    let strings = section(16, "the string section is beyond the end")?;
    if strings.first() != Some(&0) || strings.last() != Some(&0) {
        return Err(BtfError::Header("the string section does not begin and end with a zero"));
    }
    let layout = if header_len >= LAYOUT_HEADER_BYTES {
        section(24, "the layout section is beyond the end")?
    } else {
        &[]
    };
    Ok(Sections { types, strings, layout })
}

fn word(bytes: &[u8], at: usize) -> Result<usize, BtfError> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    let value = u32::from_le_bytes(*field.ok_or(BtfError::Header("shorter than 24 bytes"))?);
    usize::try_from(value).map_err(|_| BtfError::Header("a length is over the address space"))
}
