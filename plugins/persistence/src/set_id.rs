//! Looks for set-uid and set-gid programs: a walk over the local file systems of a root, a directory at a time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use linnet_plugin::rooted::Root;
use linnet_plugin::{Stop, Turn};
use rustix::fs::FileType;

use crate::Persistence;
use crate::catalogue::SET_ID;
use crate::places::Item;

/// `S_ISUID` and `S_ISGID`.
const SET_ID_BITS: u32 = 0o6000;
/// Any execute bit: without one, set-gid means mandatory locking.
const EXECUTE: u32 = 0o111;
/// Names in one directory.
const MAX_NAMES: usize = 100_000;
/// File systems that are none of a disk's, or not local: asking them costs others something, or never ends. From
/// `linux/magic.h`: nfs, smb, smb2, cifs, fuse, proc, sysfs, cgroup, cgroup2, debugfs, tracefs, 9p, ceph, afs, autofs.
const NOT_LOCAL: [i64; 15] = [
    0x6969,
    0x517b,
    0xfe53_4d42,
    0xff53_4d42,
    0x6573_5546,
    0x9fa0,
    0x6265_6572,
    0x27_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0x0102_1997,
    0x00c3_6400,
    0x5346_414f,
    0x0187,
];

/// Calls `take` for each of them below `start`.
pub(crate) fn each(
    turn: &mut Turn<'_, Persistence>,
    root: &Root,
    start: &Path,
    one_device: bool,
    mut take: impl FnMut(&mut Turn<'_, Persistence>, Item) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut pending = vec![start.to_owned()];
    let mut device = None;
    while let Some(path) = pending.pop() {
        turn.pace()?;
        if turn.settings().set_id_ignore.contains(&path) {
            continue;
        }
        let Ok(directory) = root.find(&path, false) else { continue };
        if directory.kind() != FileType::Directory {
            continue;
        }
        let own = directory.stat.st_dev;
        match device {
            Some(first) if one_device && first != own => continue,
            // Another file system begins here: is it one to walk?
            Some(first) if first == own => {}
            _ if directory.file_system().is_ok_and(|kind| NOT_LOCAL.contains(&(kind & 0xffff_ffff))) => {
                continue;
            }
            _ => {}
        }
        device.get_or_insert(own);
        let names: Vec<OsString> = directory.names(MAX_NAMES).unwrap_or_default();
        for name in names {
            turn.pace()?;
            let Ok(stat) = directory.stat_of(&name) else { continue };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => pending.push(path.join(&name)),
                FileType::RegularFile if stat.st_mode & SET_ID_BITS != 0 && stat.st_mode & EXECUTE != 0 => {
                    if let Ok(found) = directory.child(&name) {
                        take(turn, Item { category: SET_ID, path: path.join(&name), found })?;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Where the host is searched.
pub(crate) fn host_starts() -> Vec<PathBuf> {
    [
        "/usr", "/bin", "/sbin", "/opt", "/home", "/root", "/tmp", "/var", "/srv", "/dev/shm", "/run",
        "/etc", "/mnt", "/lib",
    ]
    .into_iter()
    .map(PathBuf::from)
    .collect()
}
