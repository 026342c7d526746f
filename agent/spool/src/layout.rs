//! The bytes of a segment's and a record's header. Pure; the format is in the crate's documentation.

use crate::counts::{Counts, KINDS};

/// Bytes before the first record.
pub(crate) const SEGMENT_HEADER: usize = 16 + 84;
/// Bytes before a record's payload.
pub(crate) const RECORD_HEADER: usize = 92;
/// Longest payload: an event with a script of the greatest size, each byte of it escaped, fits some times over.
pub(crate) const MAX_PAYLOAD: usize = 16 << 20;
/// The version that is written and read.
pub(crate) const VERSION: u32 = 1;

const SEGMENT_MAGIC: &[u8; 8] = b"LNTSPOOL";
/// What a record begins with.
pub(crate) const RECORD_MAGIC: &[u8; 4] = b"LREC";

/// What a segment says at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub number: u64,
    pub opened_ms: i64,
    pub base: Counts,
}

/// What the first bytes of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preface {
    /// Readable.
    Good(SegmentHeader),
    /// Of another version, undamaged as far as can be told.
    Version(u32),
    /// Neither. Its records may be good all the same.
    Damaged,
}

/// What a record says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub payload_len: u32,
    pub events: u32,
    pub payload_crc: u32,
    pub time_ms: i64,
    pub after: Counts,
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = Out::<SEGMENT_HEADER>::new();
        out.put(SEGMENT_MAGIC);
        out.put(&VERSION.to_le_bytes());
        out.checksum(0);
        out.put(&self.number.to_le_bytes());
        out.put(&self.opened_ms.to_le_bytes());
        out.counts(&self.base);
        out.checksum(16);
        out.bytes
    }
}

/// Reads the beginning of a segment.
pub(crate) fn preface(bytes: &[u8]) -> Preface {
    let mut input = In { bytes, at: 0 };
    let read = |input: &mut In<'_>| {
        (input.take(8)? == SEGMENT_MAGIC).then_some(())?;
        let version = input.u32()?;
        input.checked(0)?;
        Some(version)
    };
    match read(&mut input) {
        None => return Preface::Damaged,
        Some(VERSION) => {}
        Some(other) => return Preface::Version(other),
    }
    let read = |input: &mut In<'_>| {
        let header = SegmentHeader { number: input.u64()?, opened_ms: input.i64()?, base: input.counts()? };
        input.checked(16)?;
        header.base.is_possible().then_some(header)
    };
    read(&mut input).map_or(Preface::Damaged, Preface::Good)
}

impl RecordHeader {
    pub fn encode(&self) -> [u8; RECORD_HEADER] {
        let mut out = Out::<RECORD_HEADER>::new();
        out.put(RECORD_MAGIC);
        out.put(&self.payload_len.to_le_bytes());
        out.put(&self.events.to_le_bytes());
        out.put(&self.payload_crc.to_le_bytes());
        out.put(&self.time_ms.to_le_bytes());
        out.counts(&self.after);
        out.checksum(0);
        out.bytes
    }

    /// None for what is no header, or was damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = In { bytes, at: 0 };
        (input.take(4)? == RECORD_MAGIC).then_some(())?;
        let header = Self {
            payload_len: input.u32()?,
            events: input.u32()?,
            payload_crc: input.u32()?,
            time_ms: input.i64()?,
            after: input.counts()?,
        };
        input.checked(0)?;
        let len = usize::try_from(header.payload_len).ok()?;
        let is_possible =
            len <= MAX_PAYLOAD && header.events <= header.payload_len && header.after.is_possible();
        is_possible.then_some(header)
    }

    /// Bytes of header and payload.
    pub fn len(&self) -> u64 {
        RECORD_HEADER as u64 + u64::from(self.payload_len)
    }
}

struct Out<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Out<N> {
    fn new() -> Self {
        Self { bytes: [0; N], at: 0 }
    }

    fn put(&mut self, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.at..self.at + value.len()) {
            place.copy_from_slice(value);
        }
        self.at += value.len();
    }

    fn counts(&mut self, counts: &Counts) {
        for one in counts.0 {
            self.put(&one.to_le_bytes());
        }
    }

    fn checksum(&mut self, from: usize) {
        let sum = crc32fast::hash(self.bytes.get(from..self.at).unwrap_or_default());
        self.put(&sum.to_le_bytes());
    }
}

struct In<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> In<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let part = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(part)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn i64(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn counts(&mut self) -> Option<Counts> {
        let mut counts = [0; KINDS];
        for one in &mut counts {
            *one = self.u64()?;
        }
        Some(Counts(counts))
    }

    /// The checksum that stands here, of what came since `from`.
    fn checked(&mut self, from: usize) -> Option<()> {
        let sum = crc32fast::hash(self.bytes.get(from..self.at)?);
        (self.u32()? == sum).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::counts::BEYOND;

    fn header() -> SegmentHeader {
        SegmentHeader { number: 7, opened_ms: 1_795_000_000_000, base: Counts([1, 2, 3, 4, 5, 6, 7, 8]) }
    }

    #[test]
    fn every_flipped_bit_of_a_segment_s_header_is_noticed_and_none_makes_a_newer_version() {
        let good = header().encode();
        assert_eq!(preface(&good), Preface::Good(header()));
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(preface(&bad), Preface::Damaged, "bit {bit}");
        }
        for len in 0..good.len() {
            assert_eq!(preface(&good[..len]), Preface::Damaged, "{len} bytes");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = b"LNTSPOOL\x02\0\0\0".to_vec();
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        assert_eq!(preface(&bytes), Preface::Version(2));
    }

    proptest! {
        #[test]
        fn a_record_s_header_comes_back_and_every_flipped_bit_is_noticed(
            payload_len in 0..=MAX_PAYLOAD as u32, payload_crc: u32, time_ms: i64, after in prop::array::uniform8(0..BEYOND),
            bit in 0..RECORD_HEADER * 8,
        ) {
            let header = RecordHeader { payload_len, events: payload_len / 2, payload_crc, time_ms, after: Counts(after) };
            let mut bytes = header.encode();
            prop_assert_eq!(RecordHeader::decode(&bytes), Some(header));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(RecordHeader::decode(&bytes), None);
        }

        #[test]
        fn garbage_is_no_header(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(RecordHeader::decode(&bytes), None);
            prop_assert_eq!(preface(&bytes), Preface::Damaged);
        }
    }
}
