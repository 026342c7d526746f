//! Running a program with a bound on its time and on what is read of its output.

use std::io::{self, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Bytes of output that are kept: the last ones, where the error stands.
const TAIL_BYTES: usize = 8 << 10;
const POLL: Duration = Duration::from_millis(20);
/// How long to wait for the rest of the output of a program that has ended; a grandchild may hold the pipe for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// None when its time was up and it was killed.
    pub status: Option<ExitStatus>,
    /// The end of what it printed.
    pub tail: String,
}

impl Ended {
    /// Whether it ended by itself and well.
    #[must_use]
    pub fn well(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// How it ended, and its last words, in one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let how = match self.status {
            None => "did not end in time".to_owned(),
            Some(status) => status.to_string(),
        };
        let last: Vec<_> = self.tail.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        let last: Vec<_> = last.into_iter().rev().map(str::trim).collect();
        if last.is_empty() { how } else { format!("{how}: {}", last.join(" / ")) }
    }
}

/// Whether output is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The end of it is kept.
    Tail,
    /// It goes nowhere: for programs that leave something in the background, which would hold the pipe.
    Nowhere,
}

/// Runs a program in a process group of its own; when its time is up the whole group is killed.
///
/// # Errors
/// When it cannot be started or waited for.
pub fn run(mut command: Command, time: Duration, output: Output) -> io::Result<Ended> {
    command.stdin(Stdio::null()).process_group(0);
    let words = match output {
        Output::Nowhere => {
            command.stdout(Stdio::null()).stderr(Stdio::null());
            None
        }
        Output::Tail => {
            let (reader, writer) = io::pipe()?;
            command.stdout(writer.try_clone()?).stderr(writer);
            let (sender, receiver) = mpsc::channel();
            std::thread::Builder::new().name("output".to_owned()).spawn(move || {
                let _ = sender.send(read_tail(reader));
            })?;
            Some(receiver)
        }
    };
    let mut child = command.spawn()?;
    // The command keeps the pipe's writing end open as long as it lives.
    drop(command);
    let deadline = Instant::now() + time;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= deadline {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(POLL);
    };
    let tail = words.and_then(|words| words.recv_timeout(LAST_WORDS).ok()).unwrap_or_default();
    Ok(Ended { status, tail })
}

fn read_tail(mut reader: PipeReader) -> String {
    let mut tail = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = reader.read(&mut buffer) {
        tail.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if tail.len() > 2 * TAIL_BYTES {
            tail.drain(..tail.len() - TAIL_BYTES);
        }
    }
    let plain: String = String::from_utf8_lossy(&tail)
        .chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect();
    let spare = plain.char_indices().rev().nth(TAIL_BYTES).map_or(0, |(at, _)| at);
    plain.get(spare..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, time_ms: u64) -> Ended {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(command, Duration::from_millis(time_ms), Output::Tail).unwrap()
    }

    #[test]
    fn the_code_and_the_last_words_are_told() {
        let ended = shell("echo one; echo two >&2; exit 3", 5000);
        assert!(!ended.well());
        assert_eq!(ended.in_words(), "exit status: 3: one / two");
        assert!(shell("true", 5000).well());
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let begun = Instant::now();
        let ended = shell("sleep 100 & sleep 100", 200);
        assert!(ended.status.is_none());
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert!(ended.in_words().starts_with("did not end in time"), "{}", ended.in_words());
    }

    #[test]
    fn endless_output_is_cut_and_control_characters_are_blunted() {
        let ended = shell("head -c 1000000 /dev/zero | tr '\\0' x; printf '\\033[31mend'", 5000);
        assert!(ended.tail.len() <= TAIL_BYTES + 4, "{}", ended.tail.len());
        assert!(ended.tail.ends_with(" [31mend"));
    }

    #[test]
    fn a_grandchild_that_holds_the_output_is_not_waited_for() {
        let begun = Instant::now();
        assert!(shell("sleep 30 & exit 0", 5000).well());
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
