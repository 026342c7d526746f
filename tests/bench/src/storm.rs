//! The storm: workers that execute a tiny program as fast as they can, each exec with its own token.
//!
//! The workers are processes of their own, so that each has one identity that its children must name as their parent.
//! They start together: each says when it is ready, and only then all are let go; the time from there to the end of the
//! last is the storm's time. How they make their children is the load's choice, see [`Birth`].

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::birth::{self, Birth};
use crate::token::{StormName, Token};

/// The longest single argument of a storm's filler: arguments of one kibibyte are what long command lines are made of.
const FILLER_LEN: usize = 1024;

/// What a storm does.
#[derive(Debug, Clone)]
pub struct Load {
    /// Its name, the first part of each token.
    pub name: StormName,
    /// How many workers run at once.
    pub workers: u32,
    /// How many execs all workers make together.
    pub execs: u32,
    /// The program to execute.
    pub program: PathBuf,
    /// How many bytes of filler each argv has behind its token.
    pub filler_bytes: usize,
    /// How children are made.
    pub birth: Birth,
}

impl Load {
    /// How many execs a worker makes: the first ones take the rest of an uneven division.
    #[must_use]
    pub fn execs_of(&self, worker: u32) -> u32 {
        let share = self.execs.checked_div(self.workers).unwrap_or(0);
        let rest = self.execs.checked_rem(self.workers).unwrap_or(0);
        share + u32::from(worker < rest)
    }
}

/// What a storm did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name.
    pub name: StormName,
    /// The process id of each worker, in order.
    pub worker_pids: Vec<u32>,
    /// The execs made, all of which succeeded.
    pub execs: u32,
    /// The program executed.
    pub program: PathBuf,
    /// The bytes of filler behind each token.
    pub filler_bytes: usize,
    /// How children were made.
    pub birth: Birth,
    /// From letting the workers go to the end of the last.
    pub elapsed_ns: u64,
}

impl Outcome {
    /// How many execs a worker made.
    #[must_use]
    pub fn execs_of(&self, worker: u32) -> u32 {
        self.load().execs_of(worker)
    }

    /// The argv of an exec, its program first.
    #[must_use]
    pub fn argv(&self, worker: u32, index: u32) -> Vec<String> {
        let token = Token { storm: self.name.as_str(), worker, index };
        let mut argv = vec![self.program.to_string_lossy().into_owned(), token.to_string()];
        argv.extend(filler(self.filler_bytes));
        argv
    }

    fn load(&self) -> Load {
        Load {
            name: self.name.clone(),
            workers: self.worker_pids.len() as u32,
            execs: self.execs,
            program: self.program.clone(),
            filler_bytes: self.filler_bytes,
            birth: self.birth,
        }
    }
}

fn filler(bytes: usize) -> Vec<String> {
    let full = vec!["f".repeat(FILLER_LEN); bytes / FILLER_LEN];
    let rest = bytes % FILLER_LEN;
    full.into_iter().chain((rest > 0).then(|| "f".repeat(rest))).collect()
}

/// Runs a storm. `executable` is this package's program, which it starts again as the workers.
///
/// # Errors
/// A worker cannot be started, or an exec failed; the other workers are ended first.
pub fn run(executable: &Path, load: &Load) -> Result<Outcome, Error> {
    if load.workers == 0 || load.execs < load.workers {
        return Err(Error::EmptyStorm { workers: load.workers, execs: load.execs });
    }
    let mut crew = Crew { workers: Vec::new() };
    for worker in 0..load.workers {
        crew.workers.push(start_worker(executable, load, worker)?);
    }
    for (number, worker) in (0..).zip(&mut crew.workers) {
        await_ready(number, worker)?;
    }
    let worker_pids = crew.workers.iter().map(Child::id).collect();
    let start = Instant::now();
    for (number, worker) in (0..).zip(&mut crew.workers) {
        // Dropping the pipe after the byte is harmless: a worker reads it once.
        worker
            .stdin
            .take()
            .map_or(Ok(()), |mut pipe| pipe.write_all(b"g"))
            .map_err(|source| Error::Worker { worker: number, reason: format!("let go: {source}") })?;
    }
    for (number, worker) in (0..).zip(&mut crew.workers) {
        let status = worker
            .wait()
            .map_err(|source| Error::Worker { worker: number, reason: format!("wait: {source}") })?;
        if !status.success() {
            return Err(Error::Worker {
                worker: number,
                reason: format!("ended with {status}; its message is above"),
            });
        }
    }
    let elapsed_ns = nanoseconds(start.elapsed());
    crew.workers.clear();
    Ok(Outcome {
        name: load.name.clone(),
        worker_pids,
        execs: load.execs,
        program: load.program.clone(),
        filler_bytes: load.filler_bytes,
        birth: load.birth,
        elapsed_ns,
    })
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The workers of a storm; those still running are ended when it is dropped.
struct Crew {
    workers: Vec<Child>,
}

impl Drop for Crew {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // A worker that has ended already is nothing to complain about here.
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

fn start_worker(executable: &Path, load: &Load, worker: u32) -> Result<Child, Error> {
    Command::new(executable)
        .arg("worker")
        .arg("--storm")
        .arg(load.name.as_str())
        .arg("--worker")
        .arg(worker.to_string())
        .arg("--execs")
        .arg(load.execs_of(worker).to_string())
        .arg("--filler-bytes")
        .arg(load.filler_bytes.to_string())
        .arg("--birth")
        .arg(match load.birth {
            Birth::Fork => "fork",
            Birth::Spawn => "spawn",
        })
        .arg("--program")
        .arg(&load.program)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| Error::Worker {
            worker,
            reason: format!("start {}: {source}", executable.display()),
        })
}

fn await_ready(number: u32, worker: &mut Child) -> Result<(), Error> {
    let mut line = String::new();
    if let Some(stdout) = worker.stdout.take() {
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(|source| Error::Worker { worker: number, reason: format!("read: {source}") })?;
    }
    if line == "ready\n" {
        Ok(())
    } else {
        Err(Error::Worker {
            worker: number,
            reason: "ended before it was ready; its message is above".to_owned(),
        })
    }
}

/// What one worker does.
#[derive(Debug, Clone)]
pub struct Shift {
    /// The storm's name.
    pub name: StormName,
    /// The worker's number.
    pub worker: u32,
    /// How many execs it makes.
    pub execs: u32,
    /// The program to execute.
    pub program: PathBuf,
    /// How many bytes of filler each argv has behind its token.
    pub filler_bytes: usize,
    /// How children are made.
    pub birth: Birth,
}

/// A worker's life: says `ready` on standard output, waits for a byte on standard input, makes its execs.
///
/// # Errors
/// An exec failed; the worker stops at the first one, because a storm with holes measures nothing.
pub fn work(shift: &Shift) -> Result<(), Error> {
    let failed = |reason: String| Error::Worker { worker: shift.worker, reason };
    let filler = filler(shift.filler_bytes);
    let mut stdout = std::io::stdout();
    stdout
        .write_all(b"ready\n")
        .and_then(|()| stdout.flush())
        .map_err(|error| failed(format!("say ready: {error}")))?;
    std::io::stdin().read_exact(&mut [0]).map_err(|error| failed(format!("wait for the start: {error}")))?;
    for index in 0..shift.execs {
        let token = Token { storm: shift.name.as_str(), worker: shift.worker, index }.to_string();
        let arguments: Vec<&OsStr> = std::iter::once(&token).chain(&filler).map(OsStr::new).collect();
        let success = birth::execute(shift.birth, &shift.program, &arguments)
            .map_err(|error| failed(format!("execute {}: {error}", shift.program.display())))?;
        if !success {
            return Err(failed(format!("exec {index} of {} did not end with 0", shift.program.display())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(workers: u32, execs: u32) -> Load {
        Load {
            name: "t".parse().unwrap(),
            workers,
            execs,
            program: PathBuf::from("/p"),
            filler_bytes: 0,
            birth: Birth::Fork,
        }
    }

    #[test]
    fn the_shares_of_all_workers_add_up() {
        for (workers, execs) in [(1, 1), (1, 20_000), (2, 20_000), (3, 20_000), (7, 10)] {
            let load = load(workers, execs);
            assert_eq!((0..workers).map(|worker| load.execs_of(worker)).sum::<u32>(), execs);
        }
    }

    #[test]
    fn a_storm_without_work_is_refused() {
        for (workers, execs) in [(0, 1), (2, 1)] {
            assert!(matches!(
                run(Path::new("/nonexistent"), &load(workers, execs)),
                Err(Error::EmptyStorm { .. })
            ));
        }
    }

    #[test]
    fn the_filler_has_the_length_asked_for() {
        for bytes in [0, 1, 1024, 1025, 6000] {
            let filler = filler(bytes);
            assert_eq!(filler.iter().map(String::len).sum::<usize>(), bytes);
            assert!(filler.iter().all(|argument| !argument.is_empty()));
        }
    }

    #[test]
    fn a_worker_that_cannot_start_is_an_error_with_its_number() {
        let error = run(Path::new("/nonexistent"), &load(2, 2)).unwrap_err();
        assert!(error.to_string().starts_with("storm worker 0: start /nonexistent"), "{error}");
    }
}
