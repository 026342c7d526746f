//! Where the claims are tried: a directory, programs, and processes that do something worth telling.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::act;
use crate::program::{Behaviour, Program};
use crate::trouble::{Doing, Result, not_here, wrong};

/// What kind of machine it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// An ordinary machine.
    Host,
    /// A virtual machine under emulation, ten times slower.
    Vm,
}

/// The stage. Its directory goes with it.
#[derive(Debug)]
pub struct Stage {
    /// Directory for everything, readable by all users.
    pub dir: PathBuf,
    /// The agent, where every user can execute it.
    pub agent: PathBuf,
    /// This program, for processes that need special preparation.
    pub itself: PathBuf,
    /// What kind of machine it is.
    pub place: Where,
    tokens: Cell<u32>,
}

impl Stage {
    /// Sets it up below the directory for temporary files.
    pub fn new(agent: &Path, place: Where) -> Result<Self> {
        let dir = directory_of_all().join(format!("linnet-live-{}", std::process::id()));
        fs::create_dir_all(&dir).doing(format_args!("make {}", dir.display()))?;
        let dir = fs::canonicalize(&dir).doing("find the stage's directory")?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).doing("open the stage to all users")?;
        let copy = |from: &Path, name: &str| {
            let to = dir.join(name);
            fs::copy(from, &to).doing(format_args!("copy {}", from.display()))?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).doing("chmod")?;
            Ok(to)
        };
        let agent = copy(agent, "linnet-agent")?;
        let itself = copy(Path::new("/proc/self/exe"), "linnet-live")?;
        Ok(Self { dir, agent, itself, place, tokens: Cell::new(0) })
    }

    /// A word that stands in no other command line.
    pub fn token(&self) -> String {
        self.tokens.set(self.tokens.get() + 1);
        format!("lv{}x{}x", std::process::id(), self.tokens.get())
    }

    /// A new directory for one claim.
    pub fn room(&self) -> Result<PathBuf> {
        let room = self.dir.join(self.token());
        fs::create_dir(&room).doing(format_args!("make {}", room.display()))?;
        Ok(room)
    }

    /// A new program in a directory of its own.
    pub fn program(&self, behaviour: Behaviour) -> Result<Program> {
        let room = self.room()?;
        Program::write(room.join("tool"), behaviour, &room.to_string_lossy())
    }

    /// A nap that is long enough for the agent to look at a process that takes it.
    pub fn nap(&self) -> Duration {
        match self.place {
            Where::Host => Duration::from_millis(300),
            Where::Vm => Duration::from_secs(1),
        }
    }

    /// As many, or a tenth of it in a virtual machine.
    pub fn fewer(&self, count: u32) -> u32 {
        match self.place {
            Where::Host => count,
            Where::Vm => (count / 10).max(1),
        }
    }

    /// Longest time that anything may take before it counts as hung.
    pub fn guard(&self) -> Duration {
        match self.place {
            Where::Host => Duration::from_secs(120),
            Where::Vm => Duration::from_secs(1200),
        }
    }

    /// Waits until `done` gives something.
    pub fn await_that<T>(&self, what: &str, mut done: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(value) = done()? {
                return Ok(value);
            }
            if start.elapsed() > self.guard() {
                return wrong(format!("{what}: not within {:?}", self.guard()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A command with these arguments and nothing but a search path in its environment.
    pub fn command<S: AsRef<OsStr>>(&self, program: &Path, args: &[S]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
        command
    }

    /// Runs a program to its end, whatever the end is.
    pub fn run<S: AsRef<OsStr>>(&self, program: &Path, args: &[S]) -> Result<Deed> {
        self.finish(self.start(program, args)?)
    }

    /// Runs a program that is to end well.
    pub fn run_well<S: AsRef<OsStr>>(&self, program: &Path, args: &[S]) -> Result<Deed> {
        let deed = self.run(program, args)?;
        match deed.status.code() {
            Some(0) => Ok(deed),
            _ => wrong(format!("{} ended with {}: {}", program.display(), deed.status, deed.complaint)),
        }
    }

    /// Starts a program with pipes to all its streams.
    pub fn start<S: AsRef<OsStr>>(&self, program: &Path, args: &[S]) -> Result<Child> {
        self.command(program, args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .doing(format_args!("start {}", program.display()))
    }

    /// Closes the standard input of a program and waits for its end.
    pub fn finish(&self, child: Child) -> Result<Deed> {
        let pid = child.id();
        let output = child.wait_with_output().doing(format_args!("wait for {pid}"))?;
        Ok(Deed {
            pid,
            status: output.status,
            said: String::from_utf8_lossy(&output.stdout).into_owned(),
            complaint: String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
        })
    }

    /// Runs this program as an actor with these steps; see [`act`].
    pub fn act<S: AsRef<OsStr>>(&self, steps: &[S]) -> Result<Deed> {
        let deed = self.finish(self.start_act(steps)?)?;
        match deed.status.code() {
            Some(act::NOT_HERE) => not_here(deed.complaint),
            Some(act::WRONG) => wrong(deed.complaint),
            _ => Ok(deed),
        }
    }

    /// Starts this program as an actor.
    pub fn start_act<S: AsRef<OsStr>>(&self, steps: &[S]) -> Result<Child> {
        let steps = std::iter::once(OsStr::new("act")).chain(steps.iter().map(AsRef::as_ref));
        self.start(&self.itself, &steps.collect::<Vec<_>>())
    }

    /// As [`Self::start_act`], and waits until it is ready.
    pub fn start_ready<S: AsRef<OsStr>>(&self, steps: &[S]) -> Result<Child> {
        let mut child = self.start_act(steps)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut line).doing("read the actor's answer")?;
        }
        if line.starts_with("ready") {
            return Ok(child);
        }
        let deed = self.finish(child)?;
        wrong(format!("the actor ended with {}: {}", deed.status, deed.complaint))
    }
}

/// `TMPDIR`, or a directory on disk: many machines have `/tmp` in memory and without set-uid programs.
fn directory_of_all() -> PathBuf {
    let named = std::env::var_os("TMPDIR").map(PathBuf::from);
    named
        .or_else(|| Some(PathBuf::from("/var/tmp")).filter(|dir| dir.is_dir()))
        .unwrap_or_else(std::env::temp_dir)
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::env::var_os("LINNET_LIVE_KEEP").is_none() {
            // What cannot be removed is in the directory for temporary files, where it does no harm.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A process that has ended.
#[derive(Debug)]
pub struct Deed {
    /// Its process id.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub said: String,
    /// Its standard error.
    pub complaint: String,
}

impl Deed {
    /// The rest of the output line that starts with `key` and a space.
    pub fn says(&self, key: &str) -> Result<&str> {
        self.all(key).next().map_or_else(
            || wrong(format!("the actor did not say its {key}: {:?} {}", self.said, self.complaint)),
            Ok,
        )
    }

    /// The same for a number.
    pub fn number(&self, key: &str) -> Result<u64> {
        self.says(key)?.parse().doing(format_args!("the actor's {key}"))
    }

    /// All such lines.
    pub fn all<'d>(&'d self, key: &str) -> impl Iterator<Item = &'d str> {
        self.said.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix(' '))
    }

    /// The wait status as one of the code and the signal.
    pub fn end(&self) -> (Option<i32>, Option<i32>) {
        (self.status.code(), self.status.signal())
    }
}
