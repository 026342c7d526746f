//! The kernel's own device and inode number of a file, where `stat(2)` shows others.
//!
//! btrfs gives each subvolume an anonymous `st_dev`; an overlay over several file systems gives files the device of
//! their layer (or, with xino, another inode number). The kernel's own `s_dev` and `i_ino` of an inode are printed for
//! an inotify watch (`inotify_fdinfo` in `fs/notify/fdinfo.c`), in any mount namespace and on any kernel. Where inotify
//! is refused (`fs.inotify.max_user_instances`), the device of the mount is looked up in `/proc/self/mountinfo`, which
//! does for files that the agent sees through its own mounts.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::host_mounts::MAX_MOUNTINFO_BYTES;
use crate::mount_table::MountTable;
use crate::small_file::read_small;

/// One inotify instance, made when first needed; each thread has its own.
#[derive(Debug, Default)]
pub(crate) struct KernelNumbers {
    inotify: Option<OwnedFd>,
}

impl KernelNumbers {
    /// `(s_dev, i_ino)` of what the descriptor (`O_PATH` is enough) refers to.
    pub(crate) fn of(&mut self, fd: impl AsFd, mount_id: u64, stat_inode: u64) -> Option<(u32, u64)> {
        self.by_inotify(fd).or_else(|| Some((dev_of_own_mount(mount_id)?, stat_inode)))
    }

    fn by_inotify(&mut self, fd: impl AsFd) -> Option<(u32, u64)> {
        if self.inotify.is_none() {
            self.inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        }
        let inotify = self.inotify.as_ref()?;
        let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
        // IN_DELETE_SELF comes at most once, and the watch is gone by then.
        let watch = inotify::add_watch(inotify, path.as_str(), WatchFlags::DELETE_SELF).ok()?;
        let text = read_small(&format!("/proc/self/fdinfo/{}", inotify.as_raw_fd()), 4096);
        if inotify::remove_watch(inotify, watch).is_err() {
            self.inotify = None;
            return None;
        }
        // Takes IN_IGNORED out of the queue. The instance is kept: closing one waits for an SRCU grace period.
        let _ = rustix::io::read(inotify, &mut [0u8; 512]);
        watch_numbers(&text.ok()?)
    }
}

/// The device of one of the agent's own mounts.
fn dev_of_own_mount(mount_id: u64) -> Option<u32> {
    let text = read_small("/proc/self/mountinfo", MAX_MOUNTINFO_BYTES).ok()?;
    MountTable::parse(&text).dev_of_mount(mount_id)
}

/// The numbers of the only watch in an inotify descriptor's `fdinfo`: `inotify wd:1 ino:3c6c9 sdev:fe00000 …`, in hex.
fn watch_numbers(fdinfo: &[u8]) -> Option<(u32, u64)> {
    let text = std::str::from_utf8(fdinfo).ok()?;
    let mut watches = text.lines().filter_map(|line| line.strip_prefix("inotify "));
    let watch = watches.next()?;
    if watches.next().is_some() {
        return None;
    }
    let field = |name: &str| watch.split(' ').find_map(|field| field.strip_prefix(name));
    let dev = u32::from_str_radix(field("sdev:")?, 16).ok()?;
    let inode = u64::from_str_radix(field("ino:")?, 16).ok()?;
    Some((dev, inode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::found_file::look_at;
    use proptest::prelude::*;

    #[test]
    fn only_a_single_watch_is_believed() {
        let own = b"pos:\t0\nflags:\t02000000\nmnt_id:\t17\nino:\t1044\n";
        let watch =
            b"inotify wd:1 ino:3c6c9 sdev:fe00000 mask:2 ignored_mask:0 fhandle-bytes:8 f_handle:c9c6\n";
        assert_eq!(watch_numbers(&[&own[..], watch].concat()), Some((0xfe0_0000, 0x3c6c9)));
        assert_eq!(watch_numbers(own), None);
        assert_eq!(watch_numbers(&[&watch[..], watch].concat()), None);
        assert_eq!(watch_numbers(b"inotify wd:1 ino:zz sdev:1\n"), None);
    }

    #[test]
    fn inotify_and_stat_agree_on_an_ordinary_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"x").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let seen = look_at(&file).unwrap();
        let mut numbers = KernelNumbers::default();
        for _ in 0..3 {
            assert_eq!(numbers.by_inotify(&file), Some((seen.dev, seen.inode)));
        }
        assert_eq!(dev_of_own_mount(seen.mount_id), Some(seen.dev));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = watch_numbers(&text);
        }
    }
}
