//! The system calls that have no safe wrapper. All `unsafe` of the suite is here.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Which side of a fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The new process.
    Child,
    /// The caller, with the child's process id.
    Parent(u32),
}

/// Forks. Only for actors, which have one thread where they call it.
pub fn fork() -> io::Result<Side> {
    // SAFETY: the actor has a single thread, so the child's copy of memory and locks is consistent.
    side(i64::from(unsafe { libc::fork() }))
}

/// Forks a child with a given process id in this pid namespace (`clone3` and `set_tid`, Linux 5.5).
pub fn fork_with_pid(pid: u32) -> io::Result<Side> {
    let set_tid = [pid];
    // SAFETY: `clone_args` consists of integers, for which zero is a value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    args.set_tid = set_tid.as_ptr() as u64;
    args.set_tid_size = 1;
    let size = size_of::<libc::clone_args>();
    // SAFETY: both structures live over the call; without flags it is a fork, see there.
    side(unsafe { libc::syscall(libc::SYS_clone3, ptr::from_mut(&mut args), size) })
}

fn side(answer: i64) -> io::Result<Side> {
    match answer {
        0 => Ok(Side::Child),
        pid => u32::try_from(pid).map(Side::Parent).map_err(|_| io::Error::last_os_error()),
    }
}

/// Executes what a descriptor leads to, by `execveat`; comes back only with an error. An empty `path` means the
/// descriptor's own file.
pub fn execute_at(fd: BorrowedFd<'_>, path: &CStr, argv: &[CString]) -> io::Error {
    let mut pointers: Vec<*const libc::c_char> = argv.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(ptr::null());
    let environment: [*const libc::c_char; 1] = [ptr::null()];
    let flags = if path.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    // SAFETY: path, the list of arguments and the environment end as the call expects and live over it.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            path.as_ptr(),
            pointers.as_ptr(),
            environment.as_ptr(),
            flags,
        );
    }
    io::Error::last_os_error()
}

/// Ends the calling thread and no other, without any of the library's cleaning up.
pub fn exit_thread(code: i32) -> ! {
    loop {
        // SAFETY: the thread ends in the kernel and leaves its stack alone; nothing waits for it by the library.
        unsafe { libc::syscall(libc::SYS_exit, code) };
    }
}

/// Ends the process at once.
pub fn exit_group(code: i32) -> ! {
    // SAFETY: ends the process without running anything else.
    unsafe { libc::_exit(code) }
}

/// Takes new namespaces. Only for actors, which have one thread where they call it.
pub fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: no flag asks for an unshared descriptor table, which is what is unsafe about the call.
    Ok(unsafe { unshare_unsafe(flags) }?)
}
