//! The launcher: a process of the agent's own program that gives up everything a plugin must not have, and then becomes
//! the plugin. It runs on one thread and holds nothing but three pipes, so nothing here is a matter between fork and exec.
//!
//! Layers, each of them enough against what it is named after, and each reported to the host in the first line of standard
//! output (see [`Report`]):
//!
//! | layer | against | where it is missing |
//! | --- | --- | --- |
//! | cgroup | memory, processor time, processes | told as a problem; the layer below stands in |
//! | resource limits, oom_score_adj | the same, by process; core dumps, written files | always there |
//! | own user and group, capabilities | the host's files and processes | told as a problem (user namespaces) |
//! | no_new_privs | set-uid programs | refused |
//! | Landlock | files, TCP, signals, tracing | told (before Linux 5.13; with `ptrace_read`, which it forbids) |
//! | system call filter | everything else: files are opened for reading only, no sockets, no processes | refused |
//! | parent death signal | outliving the agent | refused |

mod filter;
mod identity;
mod landlock;
mod resources;
mod syscalls;

use std::convert::Infallible;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::spec::Spec;

/// Why a plugin was not started.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The argument is not the host's.
    #[error("launch: {0}: this command is for the agent itself")]
    Spec(#[from] serde_json::Error),
    /// The host is gone already.
    #[error("launch: the agent has ended")]
    Orphan,
    /// The system refused a step that is not left out.
    #[error("launch: {step}: {source}")]
    Step {
        /// The step.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The system call filter.
    #[error("launch: system call filter: {0}: the kernel needs CONFIG_SECCOMP_FILTER")]
    Filter(#[from] seccompiler::Error),
    /// The rules of the filter.
    #[error("launch: system call filter: {0}")]
    Rules(#[from] seccompiler::BackendError),
    /// The program can't be started.
    #[error(
        "launch {path}: {source}: it must be executable by all, and so must the directories above be searchable"
    )]
    Execute {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What confines the plugin, told before it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Layers in force.
    pub sandbox: Vec<String>,
    /// What this machine could not do.
    pub problems: Vec<String>,
}

/// The first line of standard output.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FirstLine {
    pub(crate) launched: Report,
}

/// Becomes the plugin that `argument` (a [`Spec`]) describes.
///
/// # Errors
/// [`LaunchError`]; on success it does not return.
pub fn launch(argument: &str) -> Result<Infallible, LaunchError> {
    let spec: Spec = serde_json::from_str(argument)?;
    let mut report = Report::default();
    check_parent(&spec)?;
    let step = |step| move |errno: rustix::io::Errno| LaunchError::Step { step, source: errno.into() };
    // Refused only to a leader of a process group, which a child of the host is not.
    rustix::process::setsid().map_err(step("session"))?;
    resources::enter(&spec, &mut report);
    resources::limit(&spec).map_err(step("resource limits"))?;
    syscalls::close_all_but_standard().map_err(|source| LaunchError::Step { step: "close files", source })?;
    let directory = spec.state_dir.clone().unwrap_or_else(|| PathBuf::from("/"));
    // As long as everything can be reached.
    let rules = landlock::rules(&spec, &mut report);
    identity::assume(&spec, &mut report)?;
    rustix::process::chdir(&directory).map_err(step("working directory"))?;
    let kill = Some(rustix::process::Signal::KILL);
    rustix::process::set_parent_process_death_signal(kill).map_err(step("parent death signal"))?;
    check_parent(&spec)?;
    rustix::thread::set_no_new_privs(true).map_err(step("no_new_privs"))?;
    report.sandbox.push("no_new_privs".to_owned());
    if let Some(rules) = rules {
        landlock::apply(rules, &mut report);
    }
    let programs = if spec.filter { filter::programs(&spec)? } else { Vec::new() };
    if spec.filter {
        report.sandbox.push("system call filter".to_owned());
    }
    tell(report)?;
    for program in &programs {
        seccompiler::apply_filter(program)?;
    }
    let mut command = Command::new(&spec.executable);
    command.arg0(&spec.name).env_clear();
    Err(LaunchError::Execute { path: spec.executable.clone(), source: command.exec() })
}

fn check_parent(spec: &Spec) -> Result<(), LaunchError> {
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent == i32::try_from(spec.host_pid).ok() { Ok(()) } else { Err(LaunchError::Orphan) }
}

fn tell(report: Report) -> Result<(), LaunchError> {
    let mut line = serde_json::to_vec(&FirstLine { launched: report })?;
    line.push(b'\n');
    io::stdout()
        .write_all(&line)
        .and_then(|()| io::stdout().flush())
        .map_err(|source| LaunchError::Step { step: "report", source })
}
