//! One instance at a time, by a lock on a file that the kernel gives up with the process.
//!
//! The lock is `flock`'s: it belongs to the open file description, so it ends when the process does, however it
//! ends, and a file left behind is not a lock. The file is never removed, because a second instance could then lock
//! a new file while the first still holds the old one. The holder's pid stands in the file for people and messages;
//! nothing is decided by it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use thiserror::Error;

/// [`holder`] takes the lock for some microseconds to look; an instance that starts just then tries again.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);
/// A pid has at most 10 digits.
const PID_MAX_BYTES: u64 = 16;

/// Why the lock was not taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another instance runs.
    #[error("another instance runs already ({}): stop it first", Pid(*.pid))]
    Held {
        /// Its process id, unless it had not written it yet.
        pid: Option<u32>,
    },
    /// The system refused a step.
    #[error("{step} {path:?}: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// The lock file or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

struct Pid(Option<u32>);

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "pid {pid}"),
            None => f.write_str("pid unknown"),
        }
    }
}

/// The lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at `path` and writes our pid into it; the file's directory is made where it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process, or this one, holds it; [`LockError::Io`] otherwise.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let refused = |step| move |source| LockError::Io { step, path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(directory)
                .map_err(refused("create directory of"))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(refused("open"))?;
        let mut tries = 1;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Err(LockError::Held { pid: read_pid(&mut file) }),
                Err(TryLockError::Error(source)) => return Err(refused("lock")(source)),
            }
        }
        // Whatever the umask: `status` of any user asks who holds it.
        file.set_permissions(Permissions::from_mode(0o644)).map_err(refused("set mode of"))?;
        write_pid(&file);
        Ok(Self { _file: file })
    }
}

/// It is for people: a disk that is full keeps nobody from the lock. In place, as the room that it has may be the last there is.
fn write_pid(file: &File) {
    let text = format!("{}\n", std::process::id());
    let written = file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64));
    if written.is_err() {
        // No pid is better than another's.
        let _ = file.set_len(0);
    }
}

/// The pid of the process that holds the lock at `path`; `None` where nobody holds it, the file is missing or
/// unreadable, or the holder has not written its pid yet.
#[must_use]
pub fn holder(path: &Path) -> Option<u32> {
    let mut file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read_pid(&mut file),
        _ => None,
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_MAX_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_refused_and_told_the_pid() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/linnet/agent.lock");
        let lock = Lock::acquire(&path).unwrap();
        assert_eq!(holder(&path), Some(std::process::id()));
        let error = Lock::acquire(&path).unwrap_err();
        assert!(matches!(error, LockError::Held { pid: Some(pid) } if pid == std::process::id()));
        assert_eq!(
            error.to_string(),
            format!("another instance runs already (pid {}): stop it first", std::process::id())
        );
        drop(lock);
        assert_eq!(holder(&path), None);
        Lock::acquire(&path).unwrap();
    }

    #[test]
    fn a_stale_file_is_no_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.lock");
        std::fs::write(&path, "4194304000 left by a killed process\n").unwrap();
        assert_eq!(holder(&path), None);
        let _lock = Lock::acquire(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_look_at_the_holder_does_not_refuse_a_start() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.lock");
        std::fs::write(&path, "").unwrap();
        let looking = File::open(&path).unwrap();
        looking.lock_shared().unwrap();
        let wait = std::thread::spawn(move || {
            std::thread::sleep(PAUSE / 2);
            drop(looking);
        });
        Lock::acquire(&path).unwrap();
        wait.join().unwrap();
    }

    #[test]
    fn a_missing_file_has_no_holder() {
        assert_eq!(holder(Path::new("/nonexistent/agent.lock")), None);
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.lock");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(matches!(Lock::acquire(&path), Err(LockError::Io { step: "open", .. })));
    }
}
