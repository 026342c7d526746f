//! Reading files of `/proc` whole, up to a cap.

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::AsFd;

/// The file's bytes; what lies beyond `cap` is left out.
pub(crate) fn read_small(path: &str, cap: usize) -> Result<Vec<u8>, Errno> {
    read_small_at(CWD, path, cap)
}

/// The same, relative to a directory.
pub(crate) fn read_small_at(dir: impl AsFd, path: &str, cap: usize) -> Result<Vec<u8>, Errno> {
    let fd = rustix::fs::openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    read_from_start(&fd, cap)
}

/// The bytes of an open file from its start.
pub(crate) fn read_from_start(fd: impl AsFd, cap: usize) -> Result<Vec<u8>, Errno> {
    let mut text = Vec::new();
    let mut filled = 0;
    while filled < cap {
        let room = filled.max(4096).min(cap - filled);
        text.resize(filled + room, 0);
        let Some(space) = text.get_mut(filled..) else { break };
        match rustix::io::pread(&fd, space, filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    text.truncate(filled);
    Ok(text)
}
