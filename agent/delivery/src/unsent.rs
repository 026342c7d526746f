//! How much of what was written to a socket has not left it: the one thing that a kernel knows of a protocol without answers.
#![expect(unsafe_code, reason = "ioctl has no safe wrapper for SIOCOUTQ")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// Bytes that the other side has not got: with TCP, what its kernel has not acknowledged; with a unix socket, what its process
/// has not read (`SIOCOUTQ`, tcp(7) and unix(7)). After a reset there are none, so look for errors, too.
pub(crate) fn unsent_bytes(socket: &impl AsFd) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed, and so open, for the time of the call; the kernel writes one int to `bytes`, which
    // lives longer.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { Ok(u64::try_from(bytes).unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}
