//! Standard input: settings, pings, and its end, which asks the plugin to end too.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value};

/// The agent's lines are no longer than this.
const MAX_LINE_BYTES: usize = 1 << 20;

/// What the agent says.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// A line.
    Line(Map<String, Value>),
    /// The end.
    End,
}

/// Lines of standard input.
#[derive(Debug, Default)]
pub(crate) struct Input {
    held: Vec<u8>,
    ended: bool,
}

impl Input {
    /// The next line, waited for at most this long; none when the time is over.
    pub(crate) fn next(&mut self, patience: Duration) -> io::Result<Option<Heard>> {
        let until = std::time::Instant::now() + patience;
        loop {
            if let Some(line) = self.line() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(Some(Heard::End));
            }
            let left = until.saturating_duration_since(std::time::Instant::now());
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            let stdin = rustix::stdio::stdin();
            let mut descriptors = [PollFd::new(&stdin, PollFlags::IN)];
            match poll(&mut descriptors, Some(&timeout)) {
                Ok(0) => return Ok(None),
                Ok(_) => self.read()?,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8192];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => {
                self.held.extend_from_slice(buffer.get(..count).unwrap_or_default());
                if self.held.len() > MAX_LINE_BYTES {
                    return Err(io::Error::other("the agent's line is too long"));
                }
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn line(&mut self) -> Option<Heard> {
        let at = self.held.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.held.drain(..=at).collect();
        self.held.shrink_to(8192);
        // What a newer agent says beyond this protocol is not for us.
        Some(Heard::Line(serde_json::from_slice(&line).unwrap_or_default()))
    }
}
