//! Steps that change who the process is, and the one that says who it is.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, IntoRawFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::process::{Gid, Uid, ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::thread::{
    CapabilitySet, remove_capability_from_bounding_set, set_name, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::{for_kernel, say};
use crate::trouble::{Doing, Result, not_here};

pub fn set_uid(uid: u32) -> Result {
    let uid = Uid::from_raw(uid);
    set_thread_res_uid(uid, uid, uid).doing("setresuid")
}

/// The group, and no supplementary ones.
pub fn set_gid(gid: u32) -> Result {
    let gid = Gid::from_raw(gid);
    set_thread_groups(&[]).doing("setgroups")?;
    set_thread_res_gid(gid, gid, gid).doing("setresgid")
}

/// Takes all capabilities but those of the mask out of the bounding set, so that the next exec loses them.
pub fn bound_capabilities(keep: u64) -> Result {
    for capability in CapabilitySet::all().iter().filter(|one| one.bits() & keep == 0) {
        // A capability that this kernel does not know yet is not there to be lost.
        let _ = remove_capability_from_bounding_set(capability);
    }
    Ok(())
}

pub fn set_login_uid(uid: u32) -> Result {
    const FILE: &str = "/proc/self/loginuid";
    if !fs::exists(FILE).doing(FILE)? {
        return not_here("this kernel has no login uid (CONFIG_AUDIT)");
    }
    fs::write(FILE, uid.to_string()).or_else(|error| not_here(format!("{FILE}: {error}")))
}

/// Opens a terminal, becomes a session leader and takes the terminal as the controlling one.
pub fn take_terminal() -> Result {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)
        .or_else(|error| not_here(format!("open a terminal: {error}")))?;
    grantpt(&controller).doing("grantpt")?;
    unlockpt(&controller).doing("unlockpt")?;
    let name = ptsname(&controller, Vec::new()).doing("ptsname")?;
    let name = name.to_string_lossy().into_owned();
    let terminal = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(&name)
        .doing(&name)?;
    setsid().doing("setsid")?;
    ioctl_tiocsctty(terminal.as_fd()).doing("TIOCSCTTY")?;
    // Both stay open over the exec: when the controlling side closes, the session is hung up.
    let _ = (controller.into_raw_fd(), terminal.into_raw_fd());
    say("terminal", name)
}

pub fn rename(name: &OsStr) -> Result {
    set_name(&for_kernel(name)?).doing("PR_SET_NAME")
}

/// Says what `/proc` says of this process.
pub fn say_all() -> Result {
    let status = fs::read_to_string("/proc/self/status").doing("/proc/self/status")?;
    for (field, key) in [("CapEff:", "capabilities"), ("PPid:", "parent"), ("NSpid:", "pids")] {
        if let Some(value) = status.lines().find_map(|line| line.strip_prefix(field)) {
            say(key, value.trim())?;
        }
    }
    for namespace in ["pid", "mnt", "net", "user", "cgroup"] {
        let link = fs::read_link(format!("/proc/self/ns/{namespace}")).doing(namespace)?;
        let number: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        say(namespace, number)?;
    }
    for file in ["loginuid", "sessionid"] {
        if let Ok(value) = fs::read_to_string(format!("/proc/self/{file}")) {
            say(file, value.trim())?;
        }
    }
    let stat = fs::read_to_string("/proc/self/stat").doing("/proc/self/stat")?;
    let start = stat.rsplit(')').next().and_then(|rest| rest.split_ascii_whitespace().nth(19));
    say("start", start.unwrap_or_default())
}
