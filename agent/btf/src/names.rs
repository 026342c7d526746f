//! Names: comparing strings of the string section with names that are asked for.
//!
//! No comparison reads further than the longest name asked for, so that a string without an end costs
//! nothing.

/// The string section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strings<'a>(pub &'a [u8]);

impl<'a> Strings<'a> {
    /// Whether the string at `offset` is exactly `name`. An offset out of bounds equals nothing.
    pub fn equals(self, offset: u32, name: &[u8]) -> bool {
        self.tail(offset)
            .and_then(|tail| tail.split_at_checked(name.len()))
            .is_some_and(|(string, rest)| string == name && rest.first() == Some(&0))
    }

    /// Whether the string at `offset` is empty, which is how BTF marks what has no name.
    pub fn is_empty(self, offset: u32) -> bool {
        offset == 0 || self.equals(offset, b"")
    }

    fn tail(self, offset: u32) -> Option<&'a [u8]> {
        self.0.get(usize::try_from(offset).ok()?..)
    }
}

/// A set of names, to be matched against one string after another.
#[derive(Debug)]
pub(crate) struct NameSet<'n> {
    sorted: Vec<&'n [u8]>,
    longest: usize,
}

impl<'n> NameSet<'n> {
    pub fn new(names: impl Iterator<Item = &'n str>) -> Self {
        let mut sorted: Vec<&[u8]> = names.map(str::as_bytes).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let longest = sorted.iter().map(|name| name.len()).max().unwrap_or(0);
        Self { sorted, longest }
    }

    /// The index of the name that the string at `offset` equals.
    pub fn find(&self, strings: Strings<'_>, offset: u32) -> Option<usize> {
        let tail = strings.tail(offset)?;
        let window = tail.get(..=self.longest).unwrap_or(tail);
        let end = window.iter().position(|&byte| byte == 0)?;
        self.index_of(window.get(..end)?)
    }

    /// The index of `name`.
    pub fn index_of(&self, name: &[u8]) -> Option<usize> {
        self.sorted.binary_search(&name).ok()
    }

    pub fn len(&self) -> usize {
        self.sorted.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRINGS: Strings<'static> = Strings(b"\0file\0files\0\0open");

    #[test]
    fn a_string_equals_only_its_whole_name() {
        for (offset, name, equal) in [
            (1, "file", true),
            (1, "fil", false),
            (1, "files", false),
            (6, "files", true),
            (7, "iles", true),
            (0, "", true),
            (12, "", true),
            (13, "open", false),
            (17, "", false),
            (u32::MAX, "file", false),
        ] {
            assert_eq!(STRINGS.equals(offset, name.as_bytes()), equal, "{offset} {name}");
        }
    }

    #[test]
    fn a_set_finds_the_name_at_an_offset() {
        let set = NameSet::new(["files", "file", "file", "inode"].into_iter());
        assert_eq!(set.len(), 3);
        assert_eq!(set.find(STRINGS, 1), set.index_of(b"file"));
        assert_eq!(set.find(STRINGS, 6), set.index_of(b"files"));
        assert_eq!(set.find(STRINGS, 0), None);
        assert_eq!(set.find(STRINGS, 13), None);
        assert_eq!(set.find(STRINGS, 99), None);
    }
}
