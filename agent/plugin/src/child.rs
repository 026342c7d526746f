//! A plugin's process and its three pipes. Nothing here waits.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal};

/// Read at once; the next round reads more.
const CHUNK: usize = 64 * 1024;
/// Bytes for its input that may wait.
const MAX_WAITING: usize = 1 << 20;

/// A plugin that runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pid: Pid,
    ended: OwnedFd,
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
    errors: Option<ChildStderr>,
    waiting: Vec<u8>,
}

impl Running {
    /// Starts a command with pipes.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let made = (|| {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let pid = pid.ok_or_else(|| io::Error::other("no process id"))?;
            let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
            let (input, output, errors) = (
                input.ok_or(ErrorKind::BrokenPipe)?,
                output.ok_or(ErrorKind::BrokenPipe)?,
                errors.ok_or(ErrorKind::BrokenPipe)?,
            );
            for pipe in [input.as_fd(), output.as_fd(), errors.as_fd()] {
                rustix::io::ioctl_fionbio(pipe, true)?;
            }
            Ok((pid, ended, input, output, errors))
        })();
        match made {
            Ok((pid, ended, input, output, errors)) => Ok(Self {
                child,
                pid,
                ended,
                input: Some(input),
                output: Some(output),
                errors: Some(errors),
                waiting: Vec::new(),
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Becomes readable when it has ended.
    pub(crate) fn ended(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    /// Its input, where something waits to be written.
    pub(crate) fn wants_to_write(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().filter(|_| !self.waiting.is_empty()).map(AsFd::as_fd)
    }

    /// Its output and its errors.
    pub(crate) fn speaks(&self) -> (Option<BorrowedFd<'_>>, Option<BorrowedFd<'_>>) {
        (self.output.as_ref().map(AsFd::as_fd), self.errors.as_ref().map(AsFd::as_fd))
    }

    /// Puts a line before it; false where it does not read and too much waits already.
    pub(crate) fn say(&mut self, line: &[u8]) -> bool {
        if self.waiting.len() + line.len() > MAX_WAITING {
            return false;
        }
        self.waiting.extend_from_slice(line);
        self.waiting.push(b'\n');
        self.write();
        true
    }

    /// Writes as much as the pipe takes.
    pub(crate) fn write(&mut self) {
        let Some(input) = &mut self.input else { return };
        while !self.waiting.is_empty() {
            match input.write(&self.waiting) {
                Ok(written) => {
                    self.waiting.drain(..written);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // It closed its input; its end will tell.
                Err(_) => {
                    self.input = None;
                    self.waiting.clear();
                    return;
                }
            }
        }
        self.waiting.shrink_to(4096);
    }

    /// Closes its input, which asks it to end.
    pub(crate) fn close_input(&mut self) {
        self.input = None;
        self.waiting.clear();
    }

    /// Reads a piece of its output into `buffer`; how much.
    pub(crate) fn read_output(&mut self, buffer: &mut Vec<u8>) -> usize {
        read(&mut self.output, buffer)
    }

    /// The same for its errors.
    pub(crate) fn read_errors(&mut self, buffer: &mut Vec<u8>) -> usize {
        read(&mut self.errors, buffer)
    }

    /// Signals its process group, which the launcher has made.
    pub(crate) fn signal(&self, signal: Signal) {
        // The group is not there yet in the first moments.
        let _ = rustix::process::kill_process_group(self.pid, signal);
        let _ = rustix::process::kill_process(self.pid, signal);
    }

    /// How it ended, if it has.
    pub(crate) fn take_end(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only where it has not ended: the thread is on its way out.
        if self.child.try_wait().ok().flatten().is_none() {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

fn read(pipe: &mut Option<impl Read>, buffer: &mut Vec<u8>) -> usize {
    buffer.resize(CHUNK, 0);
    let count = match pipe.as_mut().map(|pipe| pipe.read(buffer)) {
        Some(Ok(count)) if count > 0 => count,
        Some(Err(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
        _ => {
            // The end of it, or nothing to be had from it any more.
            *pipe = None;
            0
        }
    };
    buffer.truncate(count);
    count
}

/// An exit status in words.
pub(crate) fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended by itself with exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}
