//! One header block of a tar archive: plain ustar, or GNU's where nothing of GNU's is used.
//!
//! The layout is of POSIX.1-1988 (ustar interchange format): name 0, mode 100, uid 108, gid 116, size 124, mtime 136,
//! checksum 148, type 156, link name 157, magic 257, version 263, user 265, group 297, device 329 and 337, prefix 345.

use super::error::Refusal;

pub(crate) const BLOCK: usize = 512;

/// What is taken from a header.
#[derive(Debug)]
pub(crate) struct Header {
    /// The path as it stands there, without a directory's closing slash.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
}

impl Header {
    /// Reads a block that is not all zeros.
    pub(crate) fn parse(block: &[u8; BLOCK]) -> Result<Self, Refusal> {
        let damaged = |what| Err(Refusal::Header(what));
        if number(field(block, 148, 8))? != u64::from(checksum(block)) {
            return damaged("its checksum is wrong");
        }
        let kind = match byte(block, 156) {
            b'0' | 0 => Kind::File,
            b'5' => Kind::Directory,
            other => return Err(Refusal::Type(char::from(other))),
        };
        let gnu = match field(block, 257, 8) {
            b"ustar\x0000" => false,
            b"ustar  \0" => true,
            _ => return damaged("it is neither ustar nor GNU tar"),
        };
        let prefix = field(block, 345, 155);
        if gnu && prefix.iter().any(|&b| b != 0) {
            return damaged("it has GNU's extra fields");
        }
        if field(block, 157, 100).iter().any(|&b| b != 0) {
            return damaged("it has a link name");
        }
        let mut path = text(prefix)?.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(text(field(block, 0, 100))?);

        let mode = u32::try_from(number(field(block, 100, 8))?).unwrap_or(u32::MAX);
        if mode & 0o7000 != 0 {
            return Err(Refusal::Mode(mode & 0o7777));
        }
        let size = number(field(block, 124, 12))?;
        if kind == Kind::Directory {
            if size != 0 {
                return damaged("it is a directory with a content");
            }
            if path.last() == Some(&b'/') {
                path.pop();
            }
        }
        Ok(Self { path, kind, size })
    }
}

/// The name in a block, for messages only; nothing about the block was checked.
pub(crate) fn name_for_messages(block: &[u8; BLOCK]) -> String {
    let name = field(block, 0, 100);
    let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
    String::from_utf8_lossy(name.get(..end).unwrap_or_default()).into_owned()
}

/// The sum of all bytes, those of the checksum itself counted as spaces.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&b| u32::from(b)).sum::<u32>();
    sum(field(block, 0, 148)) + 8 * u32::from(b' ') + sum(field(block, 156, BLOCK - 156))
}

fn byte(block: &[u8; BLOCK], at: usize) -> u8 {
    block.get(at).copied().unwrap_or(0)
}

fn field(block: &[u8; BLOCK], at: usize, len: usize) -> &[u8] {
    block.get(at..at + len).unwrap_or_default()
}

/// Up to the first NUL. Bytes behind it would be read by one program and not by another.
fn text(field: &[u8]) -> Result<&[u8], Refusal> {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    let (text, rest) = field.split_at(end);
    if rest.iter().any(|&b| b != 0) {
        return Err(Refusal::Header("a name has bytes behind its NUL"));
    }
    Ok(text)
}

/// Octal digits, after leading spaces and before NULs and spaces. GNU's binary numbers are refused: nothing in a
/// package reaches 8 GiB.
fn number(field: &[u8]) -> Result<u64, Refusal> {
    let refused = Refusal::Header("a number is not octal");
    let start = field.iter().position(|&b| b != b' ').unwrap_or(field.len());
    let digits = field.get(start..).unwrap_or_default();
    let end = digits.iter().position(|&b| b == 0 || b == b' ').unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if digits.is_empty() || rest.iter().any(|&b| b != 0 && b != b' ') {
        return Err(refused);
    }
    digits
        .iter()
        .try_fold(0_u64, |value, &b| match b {
            b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(b - b'0')),
            _ => None,
        })
        .ok_or(refused)
}
