//! Which mounts the agent itself sees, by device: the text of `/proc/self/mountinfo`, kept small.
//!
//! Pure: bytes in, candidates out. A table may be out of date or a mount may be covered by another; whoever opens a
//! candidate compares what was found with the [`FileId`](crate::FileId). Format: `Documentation/filesystems/proc.rst`,
//! section 3.5.

use crate::identity::kernel_dev;

/// Mounts kept at most; a host with more loses the road over the rest, not the others.
const MAX_MOUNTS: usize = 16_384;
/// Candidates tried for one file.
const MAX_CANDIDATES: usize = 4;

/// File systems that hold nothing that is executed.
const WITHOUT_FILES: [&[u8]; 15] = [
    b"proc",
    b"sysfs",
    b"cgroup",
    b"cgroup2",
    b"devpts",
    b"mqueue",
    b"bpf",
    b"tracefs",
    b"debugfs",
    b"securityfs",
    b"pstore",
    b"configfs",
    b"autofs",
    b"nsfs",
    b"binfmt_misc",
];

/// One mount: positions in the arena.
#[derive(Clone, Copy, Debug)]
struct Mount {
    dev: u32,
    id: u32,
    start: u32,
    root_len: u16,
    point_len: u16,
}

/// Mounts by device.
#[derive(Debug, Default)]
pub(crate) struct MountTable {
    arena: Vec<u8>,
    /// Sorted by device; of one device, the shortest mount root first.
    mounts: Vec<Mount>,
}

/// A place where the file may be: a mount point and the path below it, both without symbolic links as the kernel wrote
/// them. `below` is empty when the file itself is the mount point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) mount_point: &'a [u8],
    pub(crate) below: &'a [u8],
}

impl MountTable {
    /// Reads the text; lines that are not understood are passed over.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut table = Self::default();
        for line in text.split(|&byte| byte == b'\n') {
            if table.mounts.len() >= MAX_MOUNTS {
                break;
            }
            table.add(line);
        }
        table.mounts.sort_by_key(|mount| (mount.dev, mount.root_len));
        table.mounts.shrink_to_fit();
        table.arena.shrink_to_fit();
        table
    }

    fn add(&mut self, line: &[u8]) -> Option<()> {
        let fields = Fields::of(line)?;
        if WITHOUT_FILES.contains(&fields.fs_type) || fields.root.ends_with(b"//deleted") {
            return None;
        }
        let start = self.arena.len();
        let root_len = unescape_into(fields.root, &mut self.arena);
        let point_len = unescape_into(fields.mount_point, &mut self.arena);
        let mount = || {
            Some(Mount {
                dev: fields.dev,
                id: fields.id,
                start: u32::try_from(start).ok()?,
                root_len: u16::try_from(root_len).ok()?,
                point_len: u16::try_from(point_len).ok()?,
            })
        };
        if let Some(mount) = mount() {
            self.mounts.push(mount);
            Some(())
        } else {
            self.arena.truncate(start);
            None
        }
    }

    /// Where a file of this device and path from the root of its superblock may be seen.
    pub(crate) fn candidates<'a>(&'a self, dev: u32, sb_path: &'a [u8]) -> Vec<Candidate<'a>> {
        if !is_clean(sb_path) {
            return Vec::new();
        }
        let first = self.mounts.partition_point(|mount| mount.dev < dev);
        let of_dev = self.mounts.iter().skip(first).take_while(|mount| mount.dev == dev);
        of_dev
            .filter_map(|mount| {
                let (root, mount_point) = self.names(mount)?;
                Some(Candidate { mount_point, below: strip_root(sb_path, root)? })
            })
            .take(MAX_CANDIDATES)
            .collect()
    }

    /// The device of a mount by its id.
    pub(crate) fn dev_of_mount(&self, id: u64) -> Option<u32> {
        self.mounts.iter().find(|mount| u64::from(mount.id) == id).map(|mount| mount.dev)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.arena.capacity() + self.mounts.capacity() * size_of::<Mount>()
    }

    fn names(&self, mount: &Mount) -> Option<(&[u8], &[u8])> {
        let names = self.arena.get(mount.start as usize..)?;
        let (root, rest) = names.split_at_checked(mount.root_len.into())?;
        Some((root, rest.get(..mount.point_len.into())?))
    }
}

/// The fields of a line that are used, still escaped.
struct Fields<'a> {
    id: u32,
    dev: u32,
    root: &'a [u8],
    mount_point: &'a [u8],
    fs_type: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let id = number(fields.next()?)?;
        let _parent = fields.next()?;
        let dev = fields.next()?;
        let colon = dev.iter().position(|&byte| byte == b':')?;
        let (major, minor) = (number(dev.get(..colon)?)?, number(dev.get(colon + 1..)?)?);
        let (root, mount_point) = (fields.next()?, fields.next()?);
        let _options = fields.next()?;
        let fs_type = fields.by_ref().skip_while(|&field| field != b"-").nth(1)?;
        (major < 1 << 12 && minor < 1 << 20 && !fs_type.is_empty()).then_some(Self {
            id,
            dev: kernel_dev(major, minor),
            root,
            mount_point,
            fs_type,
        })
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Appends the text with `\ooo` decoded, and gives the number of bytes appended.
fn unescape_into(escaped: &[u8], out: &mut Vec<u8>) -> usize {
    let before = out.len();
    let mut rest = escaped;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'\\'
            && let Some((octal, behind)) = after.split_at_checked(3)
            && let Some(decoded) = octal_byte(octal)
        {
            out.push(decoded);
            rest = behind;
        } else {
            out.push(byte);
            rest = after;
        }
    }
    out.len() - before
}

fn octal_byte(digits: &[u8]) -> Option<u8> {
    let value = digits.iter().try_fold(0u32, |value, &digit| {
        matches!(digit, b'0'..=b'7').then(|| value * 8 + u32::from(digit - b'0'))
    })?;
    u8::try_from(value).ok()
}

/// The part of `path` below `root`, without a leading slash; empty when they are equal. Both are absolute; whole
/// components are compared.
pub(crate) fn strip_root<'a>(path: &'a [u8], root: &[u8]) -> Option<&'a [u8]> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    match path.strip_prefix(root)? {
        [] if !root.is_empty() => Some(&[]),
        [b'/', below @ ..] => Some(below),
        _ => None,
    }
}

/// Whether a path is as the kernel writes a dentry's: absolute, no empty, `.` or `..` component, no NUL.
pub(crate) fn is_clean(path: &[u8]) -> bool {
    let Some(below) = path.strip_prefix(b"/") else { return false };
    !below.contains(&0)
        && below.split(|&byte| byte == b'/').all(|name| !name.is_empty() && name != b"." && name != b"..")
}

#[cfg(test)]
#[path = "mount_table_tests.rs"]
mod tests;
