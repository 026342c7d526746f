//! Where a run takes place: a directory on tmpfs, the storm's program in it, and the starting and ending of subjects.
//!
//! Everything is on tmpfs, so that no disk is measured. Each subject runs in a session and a memory cgroup of its own, and
//! everything made here is promised back first.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use linnet_bench::program::{self, Behaviour, Program};
use rustix::process::{Pid, Signal, kill_process};

use crate::audit::Audit;
use crate::charge::Cgroup;
use crate::undo::{Promise, Promises, Undo};

/// `TMPFS_MAGIC` of linux/magic.h.
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// Where a tmpfs usually is. Some machines mount the first without permission to execute.
const CANDIDATES: [&str; 3] = ["/dev/shm", "/run", "/tmp"];
/// How long a subject has for ending after SIGTERM.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// The place of a run.
pub struct Stage {
    /// This program, which is also worker and launcher.
    pub executable: PathBuf,
    /// What the storms execute.
    pub program: Program,
    /// What is to be put back.
    pub promises: Promises,
    /// The kernel's audit state, where it can be had.
    pub audit: Audit,
    dir: PathBuf,
    sessions: u32,
}

/// The directories of one session of one subject.
pub struct Room {
    /// Unique among the sessions of this run; begins the names of its storms.
    pub name: String,
    /// For settings, logs and anything else that is not output.
    pub dir: PathBuf,
    /// For output only; what is in it is counted.
    pub output: PathBuf,
    promise: Promise,
}

impl Stage {
    /// Sets up. `wanted` is where to work, instead of the first fitting tmpfs.
    pub fn set_up(wanted: Option<&Path>) -> Result<Self> {
        let executable = std::env::current_exe().context("find this program's own file")?;
        let mut promises = Promises::start(&executable)?;
        let audit = Audit::take(&mut promises)?;
        let candidates: Vec<&Path> =
            wanted.map_or_else(|| CANDIDATES.iter().map(Path::new).collect(), |dir| vec![dir]);
        let mut refusals = Vec::new();
        for candidate in candidates {
            match try_dir(candidate, &mut promises) {
                Ok((dir, program)) => {
                    return Ok(Self { executable, program, promises, audit, dir, sessions: 0 });
                }
                Err(error) => refusals.push(format!("{error:#}")),
            }
        }
        bail!("no place to work, choose one with --dir: {}", refusals.join("; "))
    }

    /// Makes the directories of a session.
    pub fn room(&mut self) -> Result<Room> {
        let name = format!("lb{:x}s{}x", std::process::id(), self.sessions);
        self.sessions += 1;
        let dir = self.dir.join(&name);
        let output = dir.join("output");
        let promise = self.promises.promise(Undo::RemoveTree(dir.clone()))?;
        fs::create_dir_all(&output).with_context(|| format!("make {}", output.display()))?;
        Ok(Room { name, dir, output, promise })
    }

    /// Removes the directories of a session and all of its output.
    pub fn clear(&mut self, room: Room) -> Result<()> {
        self.promises.keep(room.promise)
    }

    /// Starts a subject's main process in a cgroup and a session of its own; what it prints goes to a log.
    pub fn launch(&mut self, room: &Room, subject: &str, argv: &[OsString]) -> Result<Launched> {
        let cgroup_name = format!("linnet-bench-{subject}-{}", std::process::id());
        let cgroup = Cgroup::create(&cgroup_name)?;
        let cgroup_promise = self.promises.promise(Undo::RemoveCgroup(cgroup.dir().to_path_buf()))?;
        let log = room.dir.join("log");
        let log_file = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        let log_copy = log_file.try_clone().context("duplicate the log's descriptor")?;
        let child = Command::new(&self.executable)
            .arg("within")
            .arg(cgroup.dir())
            .arg("--")
            .args(argv)
            .stdin(Stdio::null())
            .stdout(log_file)
            .stderr(log_copy)
            .spawn()
            .with_context(|| format!("start {}", self.executable.display()))?;
        let group = i32::try_from(child.id()).context("read the child's process id")?;
        let group_promise = self.promises.promise(Undo::EndGroup(group))?;
        Ok(Launched { child, cgroup, log, group_promise, cgroup_promise })
    }

    /// Ends what was launched: asks, waits, and kills only what does not listen.
    pub fn stop(&mut self, mut launched: Launched) -> Result<()> {
        let pid = i32::try_from(launched.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself; the wait below tells.
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = Instant::now();
        let ended = loop {
            if launched.child.try_wait().context("wait for a subject")?.is_some() {
                break true;
            }
            if asked.elapsed() > STOP_PATIENCE {
                break false;
            }
            sleep(Duration::from_millis(5));
        };
        if !ended {
            launched.child.kill().context("kill a subject")?;
            launched.child.wait().context("wait for a subject")?;
        }
        self.promises.keep(launched.group_promise)?;
        self.promises.keep(launched.cgroup_promise)?;
        if !ended {
            bail!("did not end within {} s of SIGTERM and was killed", STOP_PATIENCE.as_secs());
        }
        Ok(())
    }
}

fn try_dir(parent: &Path, promises: &mut Promises) -> Result<(PathBuf, Program)> {
    let facts = rustix::fs::statfs(parent).with_context(|| format!("examine {}", parent.display()))?;
    if facts.f_type as u64 != TMPFS_MAGIC {
        bail!("{} is not a tmpfs", parent.display());
    }
    let dir = parent.join(format!("linnet-bench-{}", std::process::id()));
    let promise = promises.promise(Undo::RemoveTree(dir.clone()))?;
    let program = fs::create_dir(&dir)
        .with_context(|| format!("make {}", dir.display()))
        .and_then(|()| Ok(program::write(&dir, Behaviour::Exit)?))
        .and_then(|program| {
            Command::new(&program.path).status().with_context(|| {
                format!("execute {}: it must not be mounted noexec", program.path.display())
            })?;
            Ok(program)
        });
    match program {
        Ok(program) => Ok((dir, program)),
        Err(error) => {
            promises.keep(promise)?;
            Err(error)
        }
    }
}

/// A subject's main process.
pub struct Launched {
    /// The process.
    pub child: Child,
    /// The cgroup it was started in.
    pub cgroup: Cgroup,
    /// What it printed.
    pub log: PathBuf,
    group_promise: Promise,
    cgroup_promise: Promise,
}

/// The end of what a subject printed, for a message.
pub fn last_words(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

/// The launcher's life: begins a session of its own, moves itself into the cgroup and becomes the subject.
///
/// A service that init starts has its own session, too. It matters: where the kernel groups processes by session for
/// its scheduling (`sched_autogroup_enabled`), a daemon in the storm's session would get its share from the storm's.
pub fn within(cgroup: &Path, argv: &[OsString]) -> Result<()> {
    rustix::process::setsid().context("begin a session")?;
    let procs = cgroup.join("cgroup.procs");
    fs::write(&procs, std::process::id().to_string())
        .with_context(|| format!("write {}", procs.display()))?;
    let (program, arguments) = argv.split_first().context("name a program to start")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("start {}", program.display()))
}
