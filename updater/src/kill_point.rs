//! Named points at which a test kills the updater, as a power failure of the process would.
//!
//! Only a build with the feature `kill-points` has them; in every other one [`reach`] is nothing.

/// Kills this process with SIGKILL if `LINNET_KILL_AT` names this point, or is the number of this passage counted from 1.
/// With `LINNET_KILL_LOG`, each point that is passed is appended to that file, so that a test knows all of them.
#[cfg(feature = "kill-points")]
pub fn reach(name: &str) {
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static PASSAGES: AtomicUsize = AtomicUsize::new(0);
    let passage = PASSAGES.fetch_add(1, Ordering::SeqCst) + 1;
    if let Some(path) = std::env::var_os("LINNET_KILL_LOG")
        && let Ok(mut log) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = writeln!(log, "{name}");
    }
    let here = |at: std::ffi::OsString| at == name || at.to_str() == Some(passage.to_string().as_str());
    if std::env::var_os("LINNET_KILL_AT").is_some_and(here) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing, in a release.
#[cfg(not(feature = "kill-points"))]
#[inline]
pub fn reach(_name: &str) {}
