//! Lookup: one member in one struct, through anonymous structs and unions, and the size of a type.
//!
//! Types of a hostile blob can be nested in a circle or in a tree that doubles at each level, so depth,
//! chains and the steps of a whole query are bounded.

use crate::BtfError;
use crate::types::{Btf, Kind, Member, Type};

/// Anonymous structs and unions inside each other; the kernel's deepest nesting is about five.
const MAX_DEPTH: u32 = 16;
/// Qualifiers, typedefs and array dimensions in a row.
const MAX_CHAIN: u32 = 32;
/// Members looked at and types fetched by one query. All 137 fields of the tests' table take 4,000 to 4,400
/// on a real kernel.
const MAX_STEPS: u32 = 1 << 17;
/// Only 64-bit kernels run this sensor.
const POINTER_BYTES: u64 = 8;

/// A member, with its offset from the struct that the search began in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located {
    pub bit_offset: u64,
    pub bit_size: u32,
    pub size_bytes: u32,
    type_id: u32,
}

/// The steps that a query has left.
#[derive(Debug)]
pub(crate) struct Lookup<'b, 'a> {
    btf: &'b Btf<'a>,
    steps_left: u32,
}

impl<'b, 'a> Lookup<'b, 'a> {
    pub fn new(btf: &'b Btf<'a>) -> Self {
        Self { btf, steps_left: MAX_STEPS }
    }

    /// The member at a path such as `d_name.name`; each part but the last is a struct or union embedded in
    /// the one before.
    pub fn path(&mut self, outer: &Type<'a>, path: &str) -> Result<Option<Located>, BtfError> {
        let mut inner = *outer;
        let mut found: Option<Located> = None;
        for part in path.split('.') {
            if let Some(before) = &found {
                let Some(next) = self.aggregate(before.type_id)?.filter(|_| before.bit_size == 0) else {
                    return Ok(None);
                };
                inner = next;
            }
            let Some(located) = self.member(&inner, part.as_bytes(), 0)? else { return Ok(None) };
            let base = found.map_or(0, |before| before.bit_offset);
            found = Some(Located { bit_offset: base + located.bit_offset, ..located });
        }
        found.map(|located| self.measure(outer, located)).transpose()
    }

    /// The size of a type: 0 for void, functions and what is only declared.
    pub fn size_bytes(&mut self, id: u32) -> Result<u32, BtfError> {
        let (mut next, mut factor) = (id, 1u64);
        for _ in 0..MAX_CHAIN {
            let Some(found) = self.fetch(next)? else { return Ok(0) };
            let size = match found.kind {
                Kind::Alias | Kind::Qualifier => {
                    next = found.size_or_type;
                    continue;
                }
                Kind::Array => {
                    let (element, count) = found.array().unwrap_or_default();
                    let product = factor.checked_mul(u64::from(count));
                    factor = product.ok_or(found.error("is an array beyond all memory"))?;
                    next = element;
                    continue;
                }
                Kind::Pointer => POINTER_BYTES,
                Kind::Other => 0,
                Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Float => {
                    u64::from(found.size_or_type)
                }
            };
            let total = factor.checked_mul(size).and_then(|total| u32::try_from(total).ok());
            return total.ok_or(found.error("is larger than 4 GiB"));
        }
        Err(BtfError::Type { id, what: "leads through too many typedefs, qualifiers or arrays" })
    }

    /// The struct or union behind typedefs and qualifiers.
    pub fn aggregate(&mut self, id: u32) -> Result<Option<Type<'a>>, BtfError> {
        Ok(self.unqualified(id)?.filter(Type::is_aggregate))
    }

    fn unqualified(&mut self, id: u32) -> Result<Option<Type<'a>>, BtfError> {
        let mut next = id;
        for _ in 0..MAX_CHAIN {
            match self.fetch(next)? {
                Some(found) if matches!(found.kind, Kind::Alias | Kind::Qualifier) => {
                    next = found.size_or_type;
                }
                found => return Ok(found),
            }
        }
        Err(BtfError::Type { id, what: "leads through too many typedefs or qualifiers" })
    }

    fn member(&mut self, outer: &Type<'a>, name: &[u8], depth: u32) -> Result<Option<Located>, BtfError> {
        if name.is_empty() {
            return Ok(None);
        }
        if depth > MAX_DEPTH {
            return Err(outer.error("is nested too deep"));
        }
        for member in outer.members() {
            self.step()?;
            let Member { type_id, bit_size, .. } = member;
            let bit_offset = u64::from(member.bit_offset);
            if self.btf.strings.equals(member.name, name) {
                return Ok(Some(Located { bit_offset, bit_size, size_bytes: 0, type_id }));
            }
            if bit_size == 0
                && self.btf.strings.is_empty(member.name)
                && let Some(inner) = self.aggregate(type_id)?
                && let Some(located) = self.member(&inner, name, depth + 1)?
            {
                return Ok(Some(Located { bit_offset: bit_offset + located.bit_offset, ..located }));
            }
        }
        Ok(None)
    }

    /// Adds the size, and the bits of a bitfield in the old manner; checks that all lies inside `outer`.
    fn measure(&mut self, outer: &Type<'a>, mut located: Located) -> Result<Located, BtfError> {
        located.size_bytes = self.size_bytes(located.type_id)?;
        if located.bit_size == 0
            && let Some((bit_offset, bit_size)) =
                self.unqualified(located.type_id)?.and_then(|int| int.int_bits())
        {
            located.bit_offset += u64::from(bit_offset);
            located.bit_size = bit_size;
        }
        let bits =
            if located.bit_size == 0 { u64::from(located.size_bytes) * 8 } else { located.bit_size.into() };
        if located.bit_offset + bits > u64::from(outer.size_or_type) * 8 {
            return Err(outer.error("has a member beyond its end"));
        }
        Ok(located)
    }

    fn fetch(&mut self, id: u32) -> Result<Option<Type<'a>>, BtfError> {
        self.step()?;
        self.btf.by_id(id)
    }

    fn step(&mut self) -> Result<(), BtfError> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or(BtfError::TooComplex)?;
        Ok(())
    }
}
