//! What the benchmark changes on the machine, and that it is put back, whatever happens.
//!
//! Each change is promised back before it is made. A second process, the guard, hears every promise through a pipe, in
//! a process group of its own so that a key press at the terminal does not reach it. When the pipe closes, because the
//! run ended, failed, was interrupted or was killed, the guard undoes what is still promised, newest first.

use std::fs;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde::{Deserialize, Serialize};

use crate::processes::has_ended;

/// How long a process group has for ending by itself.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// How long a cgroup has for losing its last, dying process.
const CGROUP_PATIENCE: Duration = Duration::from_secs(2);

/// One way back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// End a process group: first asked to, then killed.
    EndGroup(i32),
    /// Run a command.
    Run(Vec<String>),
    /// Remove a directory and what is in it.
    RemoveTree(PathBuf),
    /// Remove a cgroup.
    RemoveCgroup(PathBuf),
    /// Unmount a file system.
    Unmount(PathBuf),
}

impl Undo {
    fn perform(&self) -> Result<()> {
        match self {
            Self::EndGroup(group) => end_group(*group),
            Self::Run(argv) => run(argv),
            Self::RemoveTree(path) => match fs::remove_dir_all(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("remove {}", path.display()))
                }
                _ => Ok(()),
            },
            Self::RemoveCgroup(path) => remove_cgroup(path),
            Self::Unmount(path) => rustix::mount::unmount(path, rustix::mount::UnmountFlags::empty())
                .with_context(|| format!("unmount {}", path.display())),
        }
    }
}

fn end_group(group: i32) -> Result<()> {
    let Some(group) = Pid::from_raw(group) else { return Ok(()) };
    for signal in [Signal::TERM, Signal::KILL] {
        if kill_process_group(group, signal).is_err() {
            return Ok(());
        }
        let asked = Instant::now();
        while asked.elapsed() < END_PATIENCE {
            if test_kill_process_group(group).is_err() {
                return Ok(());
            }
            if has_ended(group.as_raw_nonzero().get().unsigned_abs()) {
                // A leader that nobody reaps keeps its group; what is left of that goes with it.
                let _ = kill_process_group(group, Signal::KILL);
                return Ok(());
            }
            sleep(Duration::from_millis(10));
        }
    }
    bail!("process group {group} cannot be ended", group = group.as_raw_nonzero())
}

fn run(argv: &[String]) -> Result<()> {
    let Some((program, arguments)) = argv.split_first() else { return Ok(()) };
    let output = Command::new(program).args(arguments).output().with_context(|| format!("run {program}"))?;
    if !output.status.success() {
        bail!("{}: {}: {}", argv.join(" "), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn remove_cgroup(path: &Path) -> Result<()> {
    let asked = Instant::now();
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if asked.elapsed() > CGROUP_PATIENCE => {
                return Err(error).with_context(|| format!("remove cgroup {}", path.display()));
            }
            Err(_) => sleep(Duration::from_millis(10)),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Note {
    Promised { id: u64, undo: Undo },
    Kept { id: u64 },
}

/// A change that is promised back.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Promise(u64);

/// The promises of this run, and the guard that keeps them when this process no longer can.
pub struct Promises {
    guard: Child,
    pipe: Option<ChildStdin>,
    pending: Vec<(u64, Undo)>,
    next_id: u64,
}

impl Promises {
    /// Starts the guard. `executable` is this program.
    pub fn start(executable: &Path) -> Result<Self> {
        let mut guard = Command::new(executable)
            .arg("guard")
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("start the guard, {}", executable.display()))?;
        let pipe = guard.stdin.take();
        Ok(Self { guard, pipe, pending: Vec::new(), next_id: 0 })
    }

    /// Promises `undo`. Call this before the change, or right after it where the way back is known only then.
    pub fn promise(&mut self, undo: Undo) -> Result<Promise> {
        let id = self.next_id;
        self.next_id += 1;
        self.tell(&Note::Promised { id, undo: undo.clone() })?;
        self.pending.push((id, undo));
        Ok(Promise(id))
    }

    /// Keeps a promise now.
    #[expect(clippy::needless_pass_by_value, reason = "a promise can be kept once")]
    pub fn keep(&mut self, promise: Promise) -> Result<()> {
        let Some(at) = self.pending.iter().position(|(id, _)| *id == promise.0) else { return Ok(()) };
        let (id, undo) = self.pending.remove(at);
        let result = undo.perform();
        self.tell(&Note::Kept { id })?;
        result
    }

    fn tell(&mut self, note: &Note) -> Result<()> {
        let mut line = serde_json::to_vec(note).context("encode a note to the guard")?;
        line.push(b'\n');
        let pipe = self.pipe.as_mut().context("the guard's pipe is closed")?;
        pipe.write_all(&line).context("tell the guard")
    }
}

impl Drop for Promises {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // The guard reports by itself what it could not undo.
        let _ = self.guard.wait();
    }
}

/// The guard's life: hears notes until the pipe closes, then undoes what is left.
pub fn guard(notes: impl BufRead) -> Result<()> {
    let mut pending: Vec<(u64, Undo)> = Vec::new();
    for line in notes.lines() {
        // A run that is killed in the middle of a note leaves half a line: what stands before it still counts.
        let Ok(note) = serde_json::from_str(&line.context("hear a note")?) else { break };
        match note {
            Note::Promised { id, undo } => pending.push((id, undo)),
            Note::Kept { id } => pending.retain(|(pending, _)| *pending != id),
        }
    }
    for (_, undo) in pending.iter().rev() {
        if let Err(error) = undo.perform() {
            eprintln!("linnet-bench: left undone: {error:#}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(notes: &[Note]) -> Vec<u8> {
        notes.iter().flat_map(|note| [serde_json::to_vec(note).unwrap(), b"\n".to_vec()].concat()).collect()
    }

    #[test]
    fn the_guard_undoes_what_was_not_kept_even_after_half_a_note() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, open) = (dir.path().join("kept"), dir.path().join("open"));
        for path in [&kept, &open] {
            fs::create_dir(path).unwrap();
        }
        let mut text = notes(&[
            Note::Promised { id: 0, undo: Undo::RemoveTree(kept.clone()) },
            Note::Promised { id: 1, undo: Undo::RemoveTree(open.clone()) },
            Note::Kept { id: 0 },
        ]);
        text.extend_from_slice(b"{\"kept\":{\"i");
        guard(text.as_slice()).unwrap();
        assert!(kept.exists() && !open.exists());
    }

    #[test]
    fn undoing_what_is_gone_already_is_no_error() {
        let gone = PathBuf::from("/nonexistent/linnet-bench");
        Undo::RemoveTree(gone.clone()).perform().unwrap();
        Undo::RemoveCgroup(gone).perform().unwrap();
    }

    #[test]
    fn a_group_is_ended() {
        let mut child = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let group = i32::try_from(child.id()).unwrap();
        let ender = std::thread::spawn(move || Undo::EndGroup(group).perform());
        child.wait().unwrap();
        ender.join().unwrap().unwrap();
    }
}
