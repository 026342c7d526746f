//! SHA-256 of an open file, and its first bytes, in one pass.
//!
//! Invariants: what is returned was read while the inode's size, ctime and mtime stood still. Pages that were not in the
//! page cache before are dropped again. Kept, they would stay charged to the sensor's own memory limit until that is
//! under pressure, and a host that starts many programs would see the sensor sit at its limit. The price: a program that
//! starts from a cold cache reads again what it had not mapped by then. Pages that were there before are never dropped, nor
//! are those that anybody maps or writes (`POSIX_FADV_DONTNEED` passes over them): a running program loses nothing.

use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Advice;
use rustix::io::{Errno, pread};
use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};

use crate::answer::{Content, Missing};
use crate::found_file::look_at;
use crate::identity::{InodeTime, Seen};
use crate::residency::Residency;

/// Bytes read at once. Twice the kernel's usual read-ahead; the buffer is each thread's largest possession.
pub(crate) const CHUNK_BYTES: usize = 128 * 1024;

/// Two ticks of the slowest clock (HZ=100) that ctime is taken from: within them a second write leaves ctime as it is.
const TICKS: Duration = Duration::from_millis(20);

/// What one pass over a file gives.
#[derive(Debug)]
pub(crate) struct Digest {
    pub(crate) sha256: [u8; 32],
    pub(crate) content: Option<Arc<Content>>,
}

/// How long to wait before reading, so that ctime can tell a write during the reading from the last one before it: the
/// ticks around ctime have to be over. A ctime further off in the future (a clock set back) does not make anyone wait:
/// a write now would move it.
pub(crate) fn ripeness(ctime: InodeTime) -> Duration {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    let now = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    let age = now - (i128::from(ctime.sec) * 1_000_000_000 + i128::from(ctime.nsec));
    let ticks = TICKS.as_nanos().cast_signed();
    if age.abs() >= ticks {
        return Duration::ZERO;
    }
    Duration::from_nanos(u64::try_from(ticks - age).unwrap_or(0))
}

/// Reads the file to its end. `before` is what `statx` said before; `between` is called before each read.
pub(crate) fn digest(
    fd: impl AsFd,
    before: &Seen,
    content_bytes: Option<usize>,
    buffer: &mut [u8],
    mut between: impl FnMut(),
) -> Result<Digest, Missing> {
    let mut hash = Sha256::new();
    let kept_len = content_bytes.map(|limit| limit.min(usize::try_from(before.size).unwrap_or(limit)));
    let mut kept = Vec::with_capacity(kept_len.unwrap_or(0));
    let mut reader = Reader::new(&fd, before.size);
    let mut offset = 0u64;
    loop {
        between();
        let read = reader.read(offset, buffer).map_err(Missing::Io)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        offset += bytes.len() as u64;
        if offset > before.size {
            return Err(Missing::Changed);
        }
        hash.update(bytes);
        if let Some(room) = kept_len.map(|len| len - kept.len()) {
            kept.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        }
    }
    let after = look_at(&fd).map_err(Missing::Io)?;
    // The mount may differ: the descriptor was opened through /proc/self/fd.
    if offset != before.size || (Seen { mount_id: before.mount_id, ..after }) != *before {
        return Err(Missing::Changed);
    }
    let content = kept_len.map(|_| {
        let cut = (kept.len() as u64) < before.size;
        Arc::new(Content { bytes: kept.into(), true_len: before.size, cut })
    });
    Ok(Digest { sha256: hash.finalize().into(), content })
}

/// Smaller files are not worth the three system calls.
const WORTH_DROPPING: u64 = 32 * 1024;

/// Reads that leave the page cache as they found it.
struct Reader<F> {
    fd: F,
    residency: Option<Residency>,
}

impl<F: AsFd> Reader<F> {
    fn new(fd: F, size: u64) -> Self {
        let residency = if size >= WORTH_DROPPING { Residency::of(&fd, size) } else { None };
        if residency.is_some() {
            // No read-ahead: it would bring in pages before their absence is noticed. Refusal is harmless.
            let _ = rustix::fs::fadvise(&fd, 0, None, Advice::Random);
        }
        Self { fd, residency }
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let absent = match &mut self.residency {
            Some(residency) => residency.absent(offset, buffer.len()),
            None => Vec::new(),
        };
        let read = loop {
            match pread(&self.fd, &mut *buffer, offset) {
                Err(Errno::INTR) => {}
                result => break result?,
            }
        };
        for run in absent {
            let _ = rustix::fs::fadvise(
                &self.fd,
                run.start,
                NonZeroU64::new(run.end - run.start),
                Advice::DontNeed,
            );
        }
        Ok(read)
    }
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
