//! Actors: this program, started as `linnet-live act STEP…`, which does its steps one after another in one process.
//!
//! A step prepares the process (user, namespaces, mounts, cgroup) or starts something in it. Most lives end with
//! `exec`. What the claim has to know is said on standard output, a line `key value` each. A step that fails ends the
//! actor with [`WRONG`]; one that this kernel does not offer, with [`NOT_HERE`].

mod family;
mod identity;
mod place;
mod start;
mod thread;

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use crate::trouble::{Doing, Result, Trouble, wrong};

/// Exit code of an actor whose step failed.
pub const WRONG: i32 = 124;
/// Exit code of an actor whose step this machine does not offer.
pub const NOT_HERE: i32 = 123;

/// The steps that are still to be done.
#[derive(Debug)]
pub struct Script {
    steps: std::vec::IntoIter<OsString>,
}

impl Script {
    /// The next word, where there must be one.
    pub fn word(&mut self) -> Result<OsString> {
        self.steps.next().map_or_else(|| wrong("a step lacks its value"), Ok)
    }

    /// The same as text.
    pub fn text(&mut self) -> Result<String> {
        Ok(self.word()?.to_string_lossy().into_owned())
    }

    /// The same as a number.
    pub fn number<N: FromStr>(&mut self) -> Result<N>
    where
        N::Err: std::fmt::Display,
    {
        let text = self.text()?;
        text.parse().doing(format_args!("number {text}"))
    }

    /// The same as a path.
    pub fn path(&mut self) -> Result<PathBuf> {
        Ok(self.word()?.into())
    }

    /// All words that are left: the arguments of what is to be executed.
    pub fn rest(&mut self) -> Vec<OsString> {
        self.steps.by_ref().collect()
    }

    /// The same for a system call.
    pub fn rest_for_kernel(&mut self) -> Result<Vec<CString>> {
        self.rest().iter().map(|word| for_kernel(word)).collect()
    }
}

/// A word as the kernel takes it.
pub fn for_kernel(word: &OsStr) -> Result<CString> {
    CString::new(word.as_bytes()).doing("an argument")
}

/// Does all steps.
pub fn run(steps: Vec<OsString>) -> ExitCode {
    let mut script = Script { steps: steps.into_iter() };
    let done = perform(&mut script);
    let (complaint, code) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Trouble::Wrong(why) | Trouble::Never(why)) => (why, WRONG),
        Err(Trouble::NotHere(why)) => (why, NOT_HERE),
    };
    eprintln!("{complaint}");
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Does the steps that are left.
pub fn perform(script: &mut Script) -> Result {
    while let Some(step) = script.steps.next() {
        let name = step.to_string_lossy().into_owned();
        one(&name, script).map_err(|trouble| trouble.while_doing(&format!("step {name}")))?;
    }
    Ok(())
}

fn one(step: &str, script: &mut Script) -> Result {
    match step {
        "uid" => identity::set_uid(script.number()?),
        "gid" => identity::set_gid(script.number()?),
        "bounds" => identity::bound_capabilities(script.number()?),
        "loginuid" => identity::set_login_uid(script.number()?),
        "terminal" => identity::take_terminal(),
        "name" => identity::rename(&script.word()?),
        "say" => identity::say_all(),
        "unshare" => place::unshare(&script.text()?),
        "tmpfs" => place::mount_tmpfs(&script.path()?),
        "unmount" => place::unmount_tree(&script.path()?),
        "bind" => place::bind(&script.path()?, &script.path()?),
        "overlay" => place::mount_overlay(&script.path()?, &script.path()?, &script.path()?, &script.path()?),
        "copy" => place::copy(&script.path()?, &script.path()?),
        "unlink" => place::unlink(&script.path()?),
        "chroot" => place::change_root(&script.path()?),
        "pivot" => place::pivot_root(&script.path()?),
        "cd" => place::change_directory(&script.path()?),
        "cgroup" => place::enter_cgroup(&script.path()?),
        "deep-cgroup" => place::enter_deep_cgroup(&script.path()?, script.number()?),
        "fork" => family::fork(script),
        "fork-with-pid" => family::fork_with_pid(script),
        "orphan" => family::orphan(script),
        "spawn" => family::spawn(script),
        "nest" => family::nest(script),
        "spawn-on-demand" => family::spawn_on_demand(),
        "storm" => family::storm(script),
        "hold" => family::hold(),
        "crowd" => family::crowd(script.number()?),
        "exec" => start::execute(script),
        "exec-as" => start::execute_as(script),
        "exec-fd" => start::execute_descriptor(script),
        "exec-deleted" => start::execute_deleted(script),
        "exec-at" => start::execute_relative(script),
        "exec-memfd" => start::execute_memfd(script),
        "exec-by-thread" => start::execute_by_thread(script),
        "threads" => thread::run_threads(script.number()?),
        "leader-first" => thread::leader_first(script.number()?, script.number()?),
        "end-together" => thread::end_together(script.number()?),
        "exit" => crate::sys::exit_group(script.number()?),
        other => wrong(format!("there is no step {other}")),
    }
}

/// Says something to the claim.
pub fn say(key: &str, value: impl std::fmt::Display) -> Result {
    let mut out = io::stdout().lock();
    writeln!(out, "{key} {value}").and_then(|()| out.flush()).doing("say")
}
