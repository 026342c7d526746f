//! Steps that change where the process is: namespaces, mounts, root, directory, cgroup.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use rustix::process::{chdir, chroot, pivot_root as pivot};
use rustix::thread::UnshareFlags;

use crate::sys;
use crate::trouble::{Doing, Result, not_here, wrong};

/// New namespaces by a list such as `mnt,pid`. A new mount namespace gets no more mounts from the old one.
pub fn unshare(list: &str) -> Result {
    let mut flags = UnshareFlags::empty();
    for name in list.split(',') {
        flags |= match name {
            "mnt" => UnshareFlags::NEWNS,
            "pid" => UnshareFlags::NEWPID,
            "net" => UnshareFlags::NEWNET,
            "user" => UnshareFlags::NEWUSER,
            "cgroup" => UnshareFlags::NEWCGROUP,
            other => return wrong(format!("there is no namespace {other}")),
        };
    }
    sys::unshare(flags).or_else(|error| not_here(format!("unshare {list}: {error}")))?;
    if flags.contains(UnshareFlags::NEWNS) {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).doing("make the mounts private")?;
    }
    Ok(())
}

pub fn mount_tmpfs(on: &Path) -> Result {
    mount("tmpfs", on, "tmpfs", MountFlags::empty(), c"mode=0755").doing("mount tmpfs")
}

/// Lets go of a mount and of all below it.
pub fn unmount_tree(at: &Path) -> Result {
    unmount(at, UnmountFlags::DETACH).doing("unmount")
}

pub fn bind(what: &Path, on: &Path) -> Result {
    mount_bind(what, on).doing("bind mount")
}

pub fn mount_overlay(lower: &Path, upper: &Path, work: &Path, on: &Path) -> Result {
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let options = super::for_kernel(options.as_ref())?;
    match mount("overlay", on, "overlay", MountFlags::empty(), options.as_c_str()) {
        Err(Errno::NODEV) => not_here("this kernel has no overlayfs"),
        Err(Errno::INVAL) => not_here("overlayfs does not take this file system as its upper layer"),
        answer => answer.doing("mount overlay"),
    }
}

/// Copies a file, with its mode, into a directory that is made where it is missing.
pub fn copy(from: &Path, to: &Path) -> Result {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory).doing("make the directory of a copy")?;
    }
    fs::copy(from, to).map(drop).doing("copy")
}

pub fn unlink(file: &Path) -> Result {
    fs::remove_file(file).doing(format_args!("unlink {}", file.display()))
}

pub fn change_root(to: &Path) -> Result {
    chroot(to).doing("chroot")?;
    chdir("/").doing("chdir")
}

/// Makes a mount the root and lets go of the old one.
pub fn pivot_root(to: &Path) -> Result {
    chdir(to).doing("chdir")?;
    match pivot(".", ".") {
        Err(Errno::INVAL) => return not_here("pivot_root is refused here: the root is no mount of its own"),
        answer => answer.doing("pivot_root")?,
    }
    unmount(".", UnmountFlags::DETACH).doing("let go of the old root")?;
    chdir("/").doing("chdir")
}

pub fn change_directory(to: &Path) -> Result {
    chdir(to).doing("chdir")
}

pub fn enter_cgroup(group: &Path) -> Result {
    fs::write(group.join("cgroup.procs"), "0").doing(format_args!("enter {}", group.display()))
}

/// Makes `levels` cgroups, one within the other, and enters the innermost. No path is long enough for them, so each is
/// opened from the one above.
pub fn enter_deep_cgroup(top: &Path, levels: u32) -> Result {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |at: &OwnedFd| openat(at, "d", flags, Mode::empty());
    let mut group = openat(CWD, top, flags, Mode::empty()).doing("open the topmost group")?;
    let mut made = 0;
    while made < levels {
        if mkdirat(&group, "d", Mode::from_raw_mode(0o755)).is_err() {
            break;
        }
        group = open(&group).doing("open a group")?;
        made += 1;
    }
    let procs = openat(&group, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    let mut procs = fs::File::from(procs.doing("open the innermost group")?);
    procs.write_all(b"0").doing("enter the innermost group")?;
    super::say("levels", made)
}
