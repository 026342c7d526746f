//! The subjects: what is measured, each in a file of its own with the same parts.
//!
//! A subject says whether it can run here, starts its processes so that all of its output goes to one directory, and
//! stops them. When it is ready is not its own to say: the session finds out by making events and looking for them.

pub mod auditd;
pub mod bpftrace;
pub mod laurel;
pub mod linnet;
pub mod none;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::stage::{Launched, Room, Stage};

/// Whether a subject can run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    Ready {
        /// Name and version.
        title: String,
        /// What it consists of on disk; shared libraries not counted.
        executables: Vec<PathBuf>,
    },
    /// It cannot.
    Missing {
        /// Why, and what to do about it.
        reason: String,
    },
}

/// Something that watches execs.
pub trait Subject {
    /// Its name on the command line and in the results.
    fn name(&self) -> &'static str;

    /// Whether it can run here.
    fn availability(&self, stage: &Stage) -> Availability;

    /// Starts it; its output goes to `room.output`. It need not be ready on return.
    fn start(&mut self, stage: &mut Stage, room: &Room) -> Result<Launched>;

    /// Stops it, and puts back what `start` changed. All output is written on return.
    fn stop(&mut self, stage: &mut Stage, launched: Launched) -> Result<()>;

    /// Kernel threads that work for it alone.
    fn kernel_threads(&self) -> &'static [&'static str] {
        &[]
    }
}

/// The part of a program's version message that begins with a digit, or nothing.
fn version(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    text.split_ascii_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .map(str::to_owned)
}

fn title(name: &str, version: Option<String>) -> String {
    version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"))
}
