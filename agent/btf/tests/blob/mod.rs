//! Blobs written by hand, word by word.

#![allow(dead_code, clippy::allow_attributes, reason = "each user of this module takes a part of it")]
#![expect(clippy::indexing_slicing, reason = "the header has as many words as this module writes")]

pub const INT: u32 = 1;
pub const POINTER: u32 = 2;
pub const ARRAY: u32 = 3;
pub const STRUCT: u32 = 4;
pub const UNION: u32 = 5;
pub const ENUM: u32 = 6;
pub const TYPEDEF: u32 = 8;
pub const CONST: u32 = 10;
pub const ENUM64: u32 = 19;

/// The kind flag of an info word.
pub const FLAG: u32 = 1 << 31;

/// The info word of a type.
pub const fn info(kind: u32, count: u32) -> u32 {
    kind << 24 | count
}

#[derive(Debug, Clone, Default)]
pub struct Blob {
    pub types: Vec<u8>,
    pub strings: Vec<u8>,
    pub layout: Option<Vec<u8>>,
}

impl Blob {
    /// With a string section of these names; the first is at offset 1, and each takes its length and one.
    pub fn new(names: &[&str]) -> Self {
        let strings = names.iter().flat_map(|name| [name.as_bytes(), b"\0"].concat());
        Self { strings: [0].into_iter().chain(strings).collect(), ..Self::default() }
    }

    pub fn with<const N: usize>(mut self, words: [u32; N]) -> Self {
        self.types.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut header = vec![0x0001_eb9f, 24, 0, types, types, strings];
        if let Some(layout) = &self.layout {
            header[1] = 32;
            header.extend([types + strings, layout.len() as u32]);
        }
        let header: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        [&header, &self.types, &self.strings, self.layout.as_deref().unwrap_or_default()].concat()
    }
}
