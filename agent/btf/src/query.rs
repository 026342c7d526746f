//! Queries: many names resolved in one walk over all types.

use crate::BtfError;
use crate::lookup::Lookup;
use crate::names::NameSet;
use crate::types::{Btf, Kind, Type};

/// Definitions of one name that are kept. A kernel has one, or a few where two files use the same name.
const MAX_DEFINITIONS: usize = 16;

/// A field that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Field<'n> {
    /// Name of a struct, a union, or a typedef of one.
    pub structure: &'n str,
    /// Alternatives for the member, best first. A member may live in anonymous structs and unions; a dot
    /// leads into an embedded struct (`d_name.name`), never through a pointer.
    pub members: &'n [&'n str],
}

/// Where a field lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Offset of the byte that holds the field's first bit.
    pub offset_bytes: u32,
    /// Size of the member's type, for a bitfield that of its declared type; 0 if unknown or a flexible array.
    pub size_bytes: u32,
    /// The whole offset in bits, from the beginning of the struct.
    pub bit_offset: u32,
    /// 0 unless a bitfield.
    pub bit_size: u32,
    /// Which alternative it is.
    pub member: usize,
}

/// The ids of definitions, by index of their name.
struct Definitions<'n> {
    names: NameSet<'n>,
    /// Structs and unions.
    tagged: Vec<Vec<u32>>,
    /// Typedefs.
    aliases: Vec<Vec<u32>>,
}

impl Definitions<'_> {
    /// Definitions of `name` in order of their ids, structs and unions before typedefs.
    fn of(&self, name: &str) -> impl Iterator<Item = u32> {
        let index = self.names.index_of(name.as_bytes());
        let lists = [&self.tagged, &self.aliases];
        lists.into_iter().filter_map(move |lists| lists.get(index?)).flatten().copied()
    }
}

impl<'a> Btf<'a> {
    /// Resolves fields; result *i* belongs to want *i*, and `None` means that no definition of the struct
    /// has any of the members. Where several structs have the name, the first with one of the members counts.
    ///
    /// # Errors
    /// When the types on the way to a member contradict the format.
    pub fn fields(&self, wants: &[Field<'_>]) -> Result<Vec<Option<Place>>, BtfError> {
        let definitions = self.definitions(wants.iter().map(|want| want.structure))?;
        let mut lookup = Lookup::new(self);
        wants.iter().map(|want| field(&mut lookup, &definitions, want)).collect()
    }

    /// Values of enumerators, each given as name of the enum and name of the enumerator, such as
    /// `("cgroup_subsys_id", "pids_cgrp_id")`. An empty name of the enum means any enum without a name.
    ///
    /// Whether a value is signed, the kind flag says; BTF of kernels before 6.0 has none, so a negative value
    /// of theirs appears as `2^32` more.
    ///
    /// # Errors
    /// When the types contradict the format.
    pub fn enumerators(&self, wants: &[(&str, &str)]) -> Result<Vec<Option<i64>>, BtfError> {
        let enums = NameSet::new(wants.iter().map(|want| want.0));
        let enumerators = NameSet::new(wants.iter().map(|want| want.1));
        let mut values = vec![None; wants.len()];
        for found in self.walk() {
            let found = found?;
            if !matches!(found.kind, Kind::Enum | Kind::Enum64) {
                continue;
            }
            let Some(outer) = enums.find(self.strings, found.name) else { continue };
            for (name, value) in found.enumerators() {
                let Some(inner) = enumerators.find(self.strings, name) else { continue };
                for (want, slot) in wants.iter().zip(&mut values) {
                    let wanted = enums.index_of(want.0.as_bytes()) == Some(outer)
                        && enumerators.index_of(want.1.as_bytes()) == Some(inner);
                    if wanted && slot.is_none() {
                        *slot = Some(value);
                    }
                }
            }
        }
        Ok(values)
    }

    /// Sizes in bytes of structs, unions or typedefs. Of several definitions the first that has members
    /// counts.
    ///
    /// # Errors
    /// When the types contradict the format.
    pub fn struct_sizes(&self, names: &[&str]) -> Result<Vec<Option<u32>>, BtfError> {
        let definitions = self.definitions(names.iter().copied())?;
        let mut lookup = Lookup::new(self);
        let mut size = |name: &str| {
            let mut empty = None;
            for id in definitions.of(name) {
                let size = lookup.size_bytes(id)?;
                if self.by_id(id)?.is_some_and(|found| found.is_aggregate() && found.tail.is_empty()) {
                    empty = empty.or(Some(size));
                } else {
                    return Ok(Some(size));
                }
            }
            Ok(empty)
        };
        names.iter().map(|name| size(name)).collect()
    }

    fn definitions<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<Definitions<'n>, BtfError> {
        let names = NameSet::new(names.filter(|name| !name.is_empty()));
        let mut tagged = vec![Vec::new(); names.len()];
        let mut aliases = vec![Vec::new(); names.len()];
        for found in self.walk() {
            let Type { id, name, kind, .. } = found?;
            let lists = match kind {
                Kind::Struct | Kind::Union => &mut tagged,
                Kind::Alias => &mut aliases,
                _ => continue,
            };
            let list = names.find(self.strings, name).and_then(|index| lists.get_mut(index));
            if let Some(list) = list.filter(|list| list.len() < MAX_DEFINITIONS) {
                list.push(id);
            }
        }
        Ok(Definitions { names, tagged, aliases })
    }
}

fn field(
    lookup: &mut Lookup<'_, '_>,
    definitions: &Definitions<'_>,
    want: &Field<'_>,
) -> Result<Option<Place>, BtfError> {
    for id in definitions.of(want.structure) {
        let Some(outer) = lookup.aggregate(id)? else { continue };
        for (member, path) in want.members.iter().enumerate() {
            let Some(located) = lookup.path(&outer, path)? else { continue };
            let bit_offset = u32::try_from(located.bit_offset)
                .map_err(|_| BtfError::Type { id, what: "has a member beyond 512 MiB" })?;
            return Ok(Some(Place {
                offset_bytes: bit_offset / 8,
                size_bytes: located.size_bytes,
                bit_offset,
                bit_size: located.bit_size,
                member,
            }));
        }
    }
    Ok(None)
}
