//! Paths as lists of names, leaf first, and the strings that they make.

use linnet_ebpf::{PATH_CUT, PATH_DETACHED};

/// A path as the kernel side walked it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path<'r> {
    /// Names from the leaf to the root of its mount.
    pub below: &'r [u8],
    /// Names from there to the root of the mount namespace.
    pub above: &'r [u8],
    /// Names from the mount's root to the file system's.
    pub bind: &'r [u8],
    /// `PATH_CUT`, `PATH_DETACHED`.
    pub flags: u16,
}

impl<'r> Path<'r> {
    /// Whether there is no path at all.
    pub fn is_empty(&self) -> bool {
        self.below.is_empty() && self.above.is_empty() && self.bind.is_empty()
    }

    /// Names above the leaf's own. A file that is the root of a mount without a place (runc runs its own binary from one) has no names but those in
    /// its file system.
    fn upper(&self) -> &'r [u8] {
        if self.below.is_empty() && self.above.is_empty() { self.bind } else { self.above }
    }

    /// Whether names near the root are missing.
    pub fn is_cut(&self) -> bool {
        self.flags & PATH_CUT != 0
    }

    /// Whether the file is in no mount namespace: anonymous, or lazily unmounted.
    pub fn is_detached(&self) -> bool {
        self.flags & PATH_DETACHED != 0
    }

    /// The name of the leaf.
    pub fn leaf(&self) -> Option<&'r [u8]> {
        names(self.below).next().or_else(|| names(self.upper()).next())
    }

    /// Appends the path in its mount namespace, from `/`. A cut path starts with `…/`, so that it can't be
    /// taken for a whole one; the names of a detached file stand as they are.
    pub fn write_in_namespace(&self, out: &mut Vec<u8>) {
        write_names(&[self.below, self.upper()], self.is_cut(), out);
    }

    /// Appends the path from the root of its file system, or nothing when the walk did not reach it.
    pub fn write_in_filesystem(&self, out: &mut Vec<u8>) {
        if !self.is_cut() && !self.is_detached() {
            write_names(&[self.below, self.bind], false, out);
        }
    }
}

/// The names of a list; what follows the last NUL is no name, since the kernel side always writes it.
fn names(list: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let whole =
        list.iter().rposition(|&byte| byte == 0).and_then(|last| list.get(..last)).unwrap_or_default();
    // An empty list has no name; an empty slice would split into one.
    (!whole.is_empty()).then(|| whole.split(|&byte| byte == 0)).into_iter().flatten()
}

fn write_names(lists_leaf_first: &[&[u8]], cut: bool, out: &mut Vec<u8>) {
    let start = out.len();
    if cut {
        out.extend_from_slice("…".as_bytes());
    }
    for list in lists_leaf_first.iter().rev() {
        for name in names(list).rev() {
            // A file system's own root is named "/", which is the separator already.
            if name != b"/" {
                out.push(b'/');
                out.extend_from_slice(name);
            }
        }
    }
    if out.len() == start {
        out.push(b'/');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_namespace(path: Path<'_>) -> String {
        let mut out = Vec::new();
        path.write_in_namespace(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_turned_around() {
        let path = Path { below: b"ls\0bin\0", above: b"merged\0docker\0", bind: b"", flags: 0 };
        assert_eq!(in_namespace(path), "/docker/merged/bin/ls");
        assert_eq!(path.leaf(), Some(&b"ls"[..]));
    }

    #[test]
    fn a_bind_mounts_file_has_another_path_in_its_file_system() {
        let path = Path { below: b"run\0", above: b"app\0", bind: b"volume\0srv\0", flags: 0 };
        let mut out = Vec::new();
        path.write_in_filesystem(&mut out);
        assert_eq!(out, b"/srv/volume/run");
        assert_eq!(in_namespace(path), "/app/run");
    }

    #[test]
    fn a_file_that_is_a_mount_without_a_place_keeps_its_name() {
        let path = Path { bind: b"runc\0sbin\0", ..Path::default() };
        assert_eq!(in_namespace(path), "/sbin/runc");
        assert_eq!(path.leaf(), Some(&b"runc"[..]));
    }

    #[test]
    fn the_root_is_a_slash_and_a_cut_path_says_so() {
        assert_eq!(in_namespace(Path::default()), "/");
        let cut = Path { below: b"c\0b\0", flags: PATH_CUT, ..Path::default() };
        assert_eq!(in_namespace(cut), "…/b/c");
        let mut out = Vec::new();
        cut.write_in_filesystem(&mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn a_list_without_its_nul_loses_only_the_unfinished_name() {
        assert_eq!(in_namespace(Path { below: b"a\0b", ..Path::default() }), "/a");
        assert_eq!(in_namespace(Path { below: b"ab", ..Path::default() }), "/");
    }
}
