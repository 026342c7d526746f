//! Cuts a kernel's BTF down to the structs that the sensor asks for: the fixtures of this crate.
//!
//! `cargo run --release -p linnet-btf --example btf-cut FULL CUT`, where FULL is raw BTF or a vmlinux.
//!
//! Each struct of the table keeps all members, with names, offsets and sizes, and so does each struct that is
//! embedded in one. A pointer keeps only the name of what it points to, and an enum that nobody asks for only
//! its size. The cut file is checked against the full one, field by field, before it is written.

#![expect(
    clippy::indexing_slicing,
    reason = "this tool of the developers may stop on what it does not expect"
)]

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use linnet_btf::{Btf, BtfFile, Field};

#[path = "../tests/table/mod.rs"]
mod table;

const INT: u32 = 1;
const POINTER: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FORWARD: u32 = 7;
const TYPEDEF: u32 = 8;
const FLOAT: u32 = 16;
const ENUM64: u32 = 19;

/// One type: `flag` and `kind` as in its info word, and what follows it as words.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Type {
    name: String,
    kind: u32,
    flag: bool,
    size_or_type: u32,
    /// Names in `tail` are not resolved: see [`Type::names_at`].
    tail: Vec<u32>,
    tail_names: Vec<String>,
}

impl Type {
    /// Words of each element of the tail whose first word is a name.
    fn element_words(kind: u32) -> Option<usize> {
        match kind {
            STRUCT | UNION | ENUM64 => Some(3),
            ENUM => Some(2),
            _ => None,
        }
    }

    fn is_qualifier(&self) -> bool {
        matches!(self.kind, TYPEDEF | 9..=11 | 18)
    }
}

/// All types of a blob that the crate has checked already.
fn read_all(bytes: &[u8]) -> anyhow::Result<Vec<Type>> {
    let word = |at: usize| -> anyhow::Result<u32> {
        let field = bytes.get(at..).and_then(|rest| rest.first_chunk()).context("beyond the end")?;
        Ok(u32::from_le_bytes(*field))
    };
    let header_len = word(4)? as usize;
    let (mut at, strings) = (header_len + word(8)? as usize, header_len + word(16)? as usize);
    let end = at + word(12)? as usize;
    let string = |offset: u32| -> anyhow::Result<String> {
        let tail = bytes.get(strings + offset as usize..).context("a name beyond the end")?;
        let name = tail.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8(name.to_vec())?)
    };
    let mut types = Vec::new();
    while at < end {
        let info = word(at + 4)?;
        let (kind, count) = (info >> 24 & 0x7f, (info & 0x00ff_ffff) as usize);
        let words = match kind {
            INT | 14 | 17 => 1,
            ARRAY => 3,
            STRUCT | UNION | ENUM64 | 15 => count * 3,
            ENUM | 13 => count * 2,
            _ => 0,
        };
        let tail = (0..words).map(|index| word(at + 12 + index * 4)).collect::<Result<Vec<_>, _>>()?;
        let step = Type::element_words(kind).unwrap_or(usize::MAX);
        let tail_names = match Type::element_words(kind) {
            Some(_) => tail.iter().step_by(step).map(|&name| string(name)).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        types.push(Type {
            name: string(word(at)?)?,
            kind,
            flag: info >> 31 != 0,
            size_or_type: word(at + 8)?,
            tail,
            tail_names,
        });
        at += 12 + words * 4;
    }
    Ok(types)
}

/// The types that are kept, under new ids.
struct Cut<'a> {
    full: &'a [Type],
    ids: HashMap<u32, u32>,
    kept: Vec<Type>,
}

impl Cut<'_> {
    fn full(&self, id: u32) -> anyhow::Result<&Type> {
        self.full.get(id as usize - 1).context("an id beyond the end")
    }

    fn is_asked(found: &Type) -> bool {
        match found.kind {
            STRUCT | UNION | TYPEDEF => table::STRUCTS.contains(&found.name.as_str()),
            ENUM | ENUM64 => table::ENUMERATORS.iter().any(|(name, _)| *name == found.name),
            _ => false,
        }
    }

    /// The new id of a type; keeps the type, and what it needs, when it is met first.
    fn keep(&mut self, id: u32) -> anyhow::Result<u32> {
        if id == 0 {
            return Ok(0);
        }
        if let Some(&new) = self.ids.get(&id) {
            return Ok(new);
        }
        let mut copy = self.full(id)?.clone();
        match copy.kind {
            POINTER => {
                copy.size_or_type = self.pointee(copy.size_or_type)?;
                return Ok(self.push_once(id, copy));
            }
            INT | FLOAT | FORWARD => return Ok(self.push_once(id, copy)),
            ENUM | ENUM64 => {
                if !Self::is_asked(&copy) {
                    copy.tail.clear();
                    copy.tail_names.clear();
                }
                return Ok(self.push_once(id, copy));
            }
            ARRAY => {
                for word in copy.tail.iter_mut().take(2) {
                    *word = self.keep(*word)?;
                }
                return Ok(self.push_once(id, copy));
            }
            STRUCT | UNION => {}
            _ if copy.is_qualifier() => {
                copy.size_or_type = self.keep(copy.size_or_type)?;
                return Ok(self.push_once(id, copy));
            }
            other => anyhow::bail!("type {id} of kind {other} is embedded in a struct"),
        }
        // A struct gets its id before its members, since they may point back to it.
        self.kept.push(copy.clone());
        let new = self.kept.len();
        self.ids.insert(id, new as u32);
        for member in copy.tail.chunks_exact_mut(3) {
            member[1] = self.keep(member[1])?;
        }
        self.kept[new - 1] = copy;
        Ok(new as u32)
    }

    /// What a pointer leads to: a struct that is asked for, the name of another one, or void.
    fn pointee(&mut self, id: u32) -> anyhow::Result<u32> {
        let mut next = id;
        while next != 0 {
            let target = self.full(next)?.clone();
            match target.kind {
                STRUCT | UNION if Self::is_asked(&target) => return self.keep(next),
                STRUCT | UNION if !target.name.is_empty() => {
                    let forward = Type {
                        kind: FORWARD,
                        flag: target.kind == UNION,
                        size_or_type: 0,
                        tail: Vec::new(),
                        tail_names: Vec::new(),
                        ..target
                    };
                    return Ok(self.push_once(0, forward));
                }
                _ if target.is_qualifier() => next = target.size_or_type,
                _ => break,
            }
        }
        Ok(0)
    }

    /// Keeps a type that equals another one only once. Id 0 is a type that the full blob does not have.
    fn push_once(&mut self, id: u32, found: Type) -> u32 {
        let place = self.kept.iter().position(|kept| *kept == found).unwrap_or_else(|| {
            self.kept.push(found);
            self.kept.len() - 1
        });
        let new = place as u32 + 1;
        if id != 0 {
            self.ids.insert(id, new);
        }
        new
    }
}

fn write_all(types: &[Type]) -> Vec<u8> {
    let (mut strings, mut offsets) = (vec![0u8], HashMap::from([(String::new(), 0u32)]));
    let mut string = |name: &String| {
        *offsets.entry(name.clone()).or_insert_with(|| {
            let offset = strings.len() as u32;
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
            offset
        })
    };
    let mut section: Vec<u32> = Vec::new();
    for found in types {
        let count = Type::element_words(found.kind).map_or(0, |words| found.tail.len() / words);
        let info = u32::from(found.flag) << 31 | found.kind << 24 | count as u32;
        section.extend([string(&found.name), info, found.size_or_type]);
        let mut tail = found.tail.clone();
        if let Some(words) = Type::element_words(found.kind) {
            for (element, name) in tail.chunks_exact_mut(words).zip(&found.tail_names) {
                element[0] = string(name);
            }
        }
        section.extend(tail);
    }
    let types_len = section.len() as u32 * 4;
    let header = [0x0001_eb9f, 24, 0, types_len, types_len, strings.len() as u32];
    header.iter().chain(&section).flat_map(|word| word.to_le_bytes()).chain(strings).collect()
}

/// Checks that every member of every struct asked for has the same place in both.
fn compare(full: &Btf<'_>, cut: &Btf<'_>, types: &[Type]) -> anyhow::Result<usize> {
    let asked = types.iter().filter(|found| matches!(found.kind, STRUCT | UNION) && Cut::is_asked(found));
    let members: Vec<(&str, [&str; 1])> = asked
        .flat_map(|found| found.tail_names.iter().map(|member| (found.name.as_str(), [member.as_str()])))
        .collect();
    let mut wants: Vec<Field<'_>> =
        members.iter().map(|(structure, members)| Field { structure, members }).collect();
    wants.extend(table::FIELDS);
    let (whole, part) = (full.fields(&wants)?, cut.fields(&wants)?);
    for ((want, whole), part) in wants.iter().zip(whole).zip(part) {
        ensure!(whole == part, "{want:?} is at {whole:?} in full, at {part:?} when cut");
    }
    ensure!(
        full.enumerators(table::ENUMERATORS)? == cut.enumerators(table::ENUMERATORS)?,
        "an enumerator differs"
    );
    ensure!(full.struct_sizes(table::STRUCTS)? == cut.struct_sizes(table::STRUCTS)?, "a size differs");
    Ok(wants.len())
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: btf-cut FULL CUT");
    };
    let file = BtfFile::open(&from)?;
    let full = file.btf()?;
    let types = read_all(file.bytes())?;
    let mut cut = Cut { full: &types, ids: HashMap::new(), kept: Vec::new() };
    for (index, found) in types.iter().enumerate() {
        if Cut::is_asked(found) {
            cut.keep(index as u32 + 1)?;
        }
    }
    let bytes = write_all(&cut.kept);
    let compared = compare(&full, &Btf::parse(&bytes)?, &types)?;
    std::fs::write(&to, &bytes).with_context(|| format!("write {}", to.display()))?;
    println!(
        "{} of {} types, {} bytes, {compared} fields compared",
        cut.kept.len(),
        types.len(),
        bytes.len()
    );
    Ok(())
}
