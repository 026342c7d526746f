//! Types: walking the type section, and finding a type by its id.
//!
//! Records have no fixed length, so an id says nothing about an offset. The index keeps the offset of each
//! 32nd type: some 16 KB for a kernel, where a full index would be 500 KB. [`Btf::parse`] walks the whole
//! section once, so that every record is known to lie inside it.

use crate::BtfError;
use crate::header::{self, Sections};
use crate::names::Strings;

/// How many types one entry of the index stands for.
const INDEX_STEP: usize = 32;
const RECORD_BYTES: usize = 12;

/// What a type is. Kinds whose content nobody asks for are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Pointer,
    Array,
    Struct,
    Union,
    Enum,
    Enum64,
    Float,
    /// Typedef.
    Alias,
    /// Const, volatile, restrict or a type tag.
    Qualifier,
    /// Forward declaration, function, variable, section, declaration tag, or a kind that is newer than this
    /// code and that the layout section describes.
    Other,
}

/// One record of the type section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Type<'a> {
    pub id: u32,
    pub name: u32,
    pub kind: Kind,
    pub kind_flag: bool,
    /// Size in bytes, or the id of the type that this one refers to: which of them, the kind says.
    pub size_or_type: u32,
    /// What follows the record: members, enumerators, ...
    pub tail: &'a [u8],
}

/// One member of a struct or union.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub name: u32,
    pub type_id: u32,
    pub bit_offset: u32,
    /// 0 unless the struct's kind flag marks the member as a bitfield.
    pub bit_size: u32,
}

impl<'a> Type<'a> {
    pub fn error(&self, what: &'static str) -> BtfError {
        BtfError::Type { id: self.id, what }
    }

    pub fn is_aggregate(&self) -> bool {
        matches!(self.kind, Kind::Struct | Kind::Union)
    }

    /// The members of a struct or union; of another kind, none.
    pub fn members(&self) -> impl Iterator<Item = Member> + use<'a> {
        let tail: &'a [u8] = if self.is_aggregate() { self.tail } else { &[] };
        let kind_flag = self.kind_flag;
        tail.as_chunks::<12>().0.iter().map(move |record| {
            let [name, type_id, offset] = words(*record);
            // With the kind flag, the upper eight bits of the offset are the size of a bitfield.
            let (bit_offset, bit_size) =
                if kind_flag { (offset & 0x00ff_ffff, offset >> 24) } else { (offset, 0) };
            Member { name, type_id, bit_offset, bit_size }
        })
    }

    /// Name and value of each enumerator. The kind flag says whether values are signed; an unsigned value
    /// over `i64::MAX` is given as its two's complement.
    pub fn enumerators(&self) -> impl Iterator<Item = (u32, i64)> + use<'a> {
        let (narrow, wide): (&'a [u8], &'a [u8]) = match self.kind {
            Kind::Enum => (self.tail, &[]),
            Kind::Enum64 => (&[], self.tail),
            _ => (&[], &[]),
        };
        let signed = self.kind_flag;
        let narrow = narrow.as_chunks::<8>().0.iter().map(move |record| {
            let [name, value] = words(*record);
            (name, if signed { i64::from(value.cast_signed()) } else { i64::from(value) })
        });
        let wide = wide.as_chunks::<12>().0.iter().map(|record| {
            let [name, low, high] = words(*record);
            (name, (u64::from(high) << 32 | u64::from(low)).cast_signed())
        });
        narrow.chain(wide)
    }

    /// Type of the elements and their count.
    pub fn array(&self) -> Option<(u32, u32)> {
        let record = self.tail.first_chunk::<12>().filter(|_| self.kind == Kind::Array)?;
        let [element, _index, count] = words(*record);
        Some((element, count))
    }

    /// Offset and size in bits where an integer is narrower than its bytes, as bitfields were written
    /// before the kind flag.
    pub fn int_bits(&self) -> Option<(u32, u32)> {
        let encoding = u32::from_le_bytes(*self.tail.first_chunk::<4>().filter(|_| self.kind == Kind::Int)?);
        let (offset, size) = (encoding >> 16 & 0xff, encoding & 0xff);
        (size != 0 && u64::from(size) < u64::from(self.size_or_type) * 8).then_some((offset, size))
    }
}

/// BTF, borrowed from the bytes that hold it, with its header and the bounds of all its types checked.
#[derive(Debug)]
pub struct Btf<'a> {
    pub(crate) strings: Strings<'a>,
    types: &'a [u8],
    layout: &'a [u8],
    /// The offset of type 1 and of each 32nd after it.
    index: Vec<u32>,
    count: u32,
}

impl<'a> Btf<'a> {
    /// Checks the header and walks the types once.
    ///
    /// # Errors
    /// When the bytes are not little-endian BTF of version 1, or a type does not lie inside its section.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let Sections { types, strings, layout } = header::sections(bytes)?;
        let mut btf = Self { strings: Strings(strings), types, layout, index: Vec::new(), count: 0 };
        let mut walk = btf.walk();
        let mut index = Vec::with_capacity(types.len() / (INDEX_STEP * 16));
        let mut ids = 0u32;
        loop {
            let at = walk.at;
            let Some(found) = walk.next() else { break };
            let found = found?;
            if (found.id as usize - 1).is_multiple_of(INDEX_STEP) {
                index.push(u32::try_from(at).map_err(|_| found.error("lies beyond 4 GiB"))?);
            }
            ids = found.id;
        }
        index.shrink_to_fit();
        (btf.index, btf.count) = (index, ids);
        Ok(btf)
    }

    /// How many types there are; ids run from 1 to it.
    pub fn type_count(&self) -> u32 {
        self.count
    }

    /// All types in order of their ids. After an error the walk is over.
    pub(crate) fn walk(&self) -> Walk<'_, 'a> {
        Walk { btf: self, at: 0, id: 1 }
    }

    /// The type with this id; `None` is void.
    pub(crate) fn by_id(&self, id: u32) -> Result<Option<Type<'a>>, BtfError> {
        let Some(place) = id.checked_sub(1) else { return Ok(None) };
        let unknown = BtfError::Type { id, what: "is referred to, but does not exist" };
        let place = place as usize;
        let Some(&at) = self.index.get(place / INDEX_STEP) else { return Err(unknown) };
        let skipped = place % INDEX_STEP;
        let mut walk = Walk { btf: self, at: at as usize, id: id - skipped as u32 };
        walk.nth(skipped).unwrap_or(Err(unknown)).map(Some)
    }

    /// The record at an offset of the type section, and the offset of the next one.
    fn record(&self, id: u32, at: usize) -> Result<(Type<'a>, usize), BtfError> {
        let cut = BtfError::Type { id, what: "is cut off by the end of the type section" };
        let rest = self.types.get(at..).unwrap_or_default();
        let Some((head, rest)) = rest.split_first_chunk::<RECORD_BYTES>() else { return Err(cut) };
        let [name, info, size_or_type] = words(*head);
        // Up to 7.0 a type has at most 0xffff members and 5 bits of kind, and the bits above are zero; 7.1
        // made the count 24 bits and the kind 7.
        let count = (info & 0x00ff_ffff) as usize;
        let kind_number = info >> 24 & 0x7f;
        let (kind, fixed, each) = match kind_number {
            1 => (Kind::Int, 4, 0),
            2 => (Kind::Pointer, 0, 0),
            3 => (Kind::Array, 12, 0),
            4 => (Kind::Struct, 0, 12),
            5 => (Kind::Union, 0, 12),
            6 => (Kind::Enum, 0, 8),
            8 => (Kind::Alias, 0, 0),
            9..=11 | 18 => (Kind::Qualifier, 0, 0),
            // Forward declaration, function.
            7 | 12 => (Kind::Other, 0, 0),
            // Function prototype.
            13 => (Kind::Other, 0, 8),
            // Variable, declaration tag.
            14 | 17 => (Kind::Other, 4, 0),
            // Section of variables.
            15 => (Kind::Other, 0, 12),
            16 => (Kind::Float, 0, 0),
            19 => (Kind::Enum64, 0, 12),
            newer => {
                let record = self.layout.as_chunks::<4>().0.get(newer as usize).filter(|_| newer != 0);
                let unknown = BtfError::Type { id, what: "is of a kind that this sensor does not know" };
                let Some(&[fixed, each, _, _]) = record else { return Err(unknown) };
                (Kind::Other, usize::from(fixed), usize::from(each))
            }
        };
        // 24 bits times 8 bits: no overflow, even where a pointer has 32 bits.
        let tail_len = fixed + count * each;
        let Some(tail) = rest.get(..tail_len) else { return Err(cut) };
        let kind_flag = info >> 31 != 0;
        Ok((Type { id, name, kind, kind_flag, size_or_type, tail }, at + RECORD_BYTES + tail_len))
    }
}

/// The types from one on, in order of their ids.
#[derive(Debug)]
pub(crate) struct Walk<'b, 'a> {
    btf: &'b Btf<'a>,
    at: usize,
    id: u32,
}

impl<'a> Iterator for Walk<'_, 'a> {
    type Item = Result<Type<'a>, BtfError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.btf.types.len() {
            return None;
        }
        let found = self.btf.record(self.id, self.at);
        // A record is at least 12 bytes of a section of at most 4 GiB: ids do not overflow.
        (self.at, self.id) = match &found {
            Ok((_, next)) => (*next, self.id + 1),
            Err(_) => (usize::MAX, self.id),
        };
        Some(found.map(|(found, _)| found))
    }
}

/// Little-endian words of a record: `N` words from `4 * N` bytes.
fn words<const BYTES: usize, const N: usize>(record: [u8; BYTES]) -> [u32; N] {
    const { assert!(BYTES == N * 4) };
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(record.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}
