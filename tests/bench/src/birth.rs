//! How a worker makes a child: an ordinary fork as shells do it, or one that shares memory until the exec.
//!
//! The fork is the only place with unsafe code. The standard library can be made to fork, but then spends as much on
//! a socket and the user's groups as the fork itself costs.
#![expect(unsafe_code, reason = "fork(2), execve(2) and _exit(2) have no safe wrapper")]

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::ptr;

use rustix::process::{Pid, WaitOptions, waitpid};
use serde::{Deserialize, Serialize};

/// How children are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Birth {
    /// `fork`, then exec: the page tables are copied.
    #[default]
    Fork,
    /// `posix_spawn`, which is `clone` with a shared address space: a third quicker, so harder on a sensor.
    Spawn,
}

/// Executes `program` with these arguments behind its name and an empty environment, and waits for its end: whether it
/// exited with 0. The calling process must have one thread.
///
/// # Errors
/// The child cannot be made or waited for, or with [`Birth::Spawn`] the program cannot be executed.
pub fn execute(birth: Birth, program: &Path, arguments: &[&OsStr]) -> io::Result<bool> {
    match birth {
        Birth::Fork => fork_and_execute(program, arguments),
        Birth::Spawn => Ok(Command::new(program).args(arguments).env_clear().status()?.success()),
    }
}

fn fork_and_execute(program: &Path, arguments: &[&OsStr]) -> io::Result<bool> {
    let argv: Vec<CString> = std::iter::once(program.as_os_str())
        .chain(arguments.iter().copied())
        .map(|argument| CString::new(argument.as_bytes()))
        .collect::<Result<_, _>>()?;
    let pointers: Vec<*const libc::c_char> =
        argv.iter().map(|argument| argument.as_ptr()).chain(std::iter::once(ptr::null())).collect();
    let file = argv.first().map_or(ptr::null(), |program| program.as_ptr());
    let environment = [ptr::null()];
    // SAFETY: the process has one thread, so the child is a whole copy of it and no lock is held in it by another
    // thread; and the child calls nothing but execve and _exit, which are async-signal-safe anyway.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: `file` and each of `pointers` but the last point to strings that end with a NUL and live in `argv`,
        // both arrays end with a null pointer, and _exit takes any number and does not return.
        unsafe {
            libc::execve(file, pointers.as_ptr(), environment.as_ptr());
            libc::_exit(127);
        }
    }
    let pid = Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error)?;
    let ended = loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            result => break result?,
        }
    };
    Ok(ended.is_some_and(|(_, status)| status.exit_status() == Some(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_execute_with_the_arguments_given() {
        for birth in [Birth::Fork, Birth::Spawn] {
            let run = |script: &str| {
                let arguments = [OsStr::new("-c"), OsStr::new(script), OsStr::new("zero"), OsStr::new("one")];
                execute(birth, Path::new("/bin/sh"), &arguments).unwrap()
            };
            assert!(run(r#"test "$1" = one -a -z "$HOME""#), "{birth:?}");
            assert!(!run("exit 3"), "{birth:?}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_no_success() {
        assert!(!execute(Birth::Fork, Path::new("/nonexistent"), &[]).unwrap());
        assert!(execute(Birth::Spawn, Path::new("/nonexistent"), &[]).is_err());
    }

    #[test]
    fn an_argument_with_a_nul_is_refused() {
        assert!(execute(Birth::Fork, Path::new("/bin/true"), &[OsStr::new("a\0b")]).is_err());
    }
}
