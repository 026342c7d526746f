//! The only file of this crate with unsafe code: two system calls that no safe wrapper is there for.
#![expect(unsafe_code, reason = "close_range and ioprio_set")]

use std::io;

/// `IOPRIO_WHO_PROCESS` and the class `IDLE`, from `linux/ioprio.h`.
const WHO_PROCESS: libc::c_int = 1;
const IDLE: libc::c_int = 3 << 13;

/// Closes every descriptor above standard error. To be called while this process has opened none that it needs.
pub(super) fn close_all_but_standard() -> io::Result<()> {
    // SAFETY: takes numbers only. The launcher has one thread and owns no descriptor above 2 at this point, so no
    // value in this process refers to one that is closed; what is closed was inherited by mistake.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets disk requests of this process wait for everybody else's.
pub(super) fn yield_disk() -> io::Result<()> {
    // SAFETY: takes numbers only, and changes nothing but this process's priority.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, IDLE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
