//! An rpm header as databases have it: two counts, an index of tags, their data. All numbers are big-endian.
//!
//! `il: u32, dl: u32, il * (tag: u32, type: u32, offset: u32, count: u32), dl bytes`; rpm's `lib/header.c`.

use crate::Package;

use super::paged::be32;

/// More tags than any header has.
const MAX_TAGS: usize = 64 * 1024;
/// Longest text that is taken.
const MAX_TEXT_BYTES: usize = 1024;

const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const VENDOR: u32 = 1011;
const ARCH: u32 = 1022;
const SOURCE_RPM: u32 = 1044;

/// A header, or its beginning: tags whose data was cut off are taken for missing.
#[derive(Debug)]
pub(super) struct Header<'b> {
    index: &'b [u8],
    data: &'b [u8],
}

impl<'b> Header<'b> {
    pub(super) fn parse(bytes: &'b [u8]) -> Result<Self, &'static str> {
        let count = be32(bytes, 0).ok_or("a header without a beginning")? as usize;
        if count > MAX_TAGS {
            return Err("a header with more tags than there can be");
        }
        let index = bytes.get(8..8 + count * 16).ok_or("a header whose index is cut off")?;
        Ok(Self { index, data: bytes.get(8 + count * 16..).unwrap_or_default() })
    }

    /// Type and data of a tag.
    fn tag(&self, wanted: u32) -> Option<(u32, &'b [u8])> {
        let entry = self.index.chunks_exact(16).find(|entry| be32(entry, 0) == Some(wanted))?;
        Some((be32(entry, 4)?, self.data.get(be32(entry, 8)? as usize..)?))
    }

    fn text(&self, wanted: u32) -> Option<String> {
        let (kind, data) = self.tag(wanted)?;
        if !matches!(kind, STRING | STRING_ARRAY | I18N_STRING) {
            return None;
        }
        let data = data.get(..data.len().min(MAX_TEXT_BYTES))?;
        let end = data.iter().position(|byte| *byte == 0)?;
        let text = String::from_utf8_lossy(data.get(..end)?).into_owned();
        (!text.is_empty()).then_some(text)
    }

    fn number(&self, wanted: u32) -> Option<u32> {
        let (kind, data) = self.tag(wanted)?;
        (kind == INT32).then(|| be32(data, 0))?
    }

    /// The package, where it has a name and a version.
    pub(super) fn package(&self) -> Option<Package> {
        let name = self.text(NAME)?;
        // name-version-release.src.rpm: the name of the source package is what is left of two dashes.
        let source = self.text(SOURCE_RPM).and_then(|file| {
            let mut parts = file.rsplitn(3, '-');
            let name = parts.nth(2)?;
            (!name.is_empty()).then(|| name.to_owned())
        });
        Some(Package {
            manager: "rpm",
            version: self.text(VERSION)?,
            release: self.text(RELEASE),
            epoch: self.number(EPOCH),
            architecture: self.text(ARCH).unwrap_or_else(|| "(none)".to_owned()),
            vendor: self.text(VENDOR),
            source: source.filter(|source| *source != name),
            name,
        })
    }
}
