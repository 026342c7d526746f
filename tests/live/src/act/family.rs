//! Steps that make other processes.

use std::io::BufRead;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, getppid, waitpid};

use super::{Script, perform, say};
use crate::sys::{self, Side};
use crate::trouble::{Doing, Result, not_here, wrong};

/// Forks: the child does the steps that are left, the parent waits and ends as the child did.
pub fn fork(script: &mut Script) -> Result {
    follow(sys::fork().doing("fork")?, script)
}

/// The same, with a child of a chosen process id.
pub fn fork_with_pid(script: &mut Script) -> Result {
    let pid = script.number()?;
    match sys::fork_with_pid(pid) {
        Ok(side) => follow(side, script),
        Err(error) => not_here(format!("clone3 with a chosen pid: {error}")),
    }
}

fn follow(side: Side, script: &mut Script) -> Result {
    match side {
        Side::Child => perform(script).map(|()| sys::exit_group(0)),
        Side::Parent(child) => {
            say("child", child)?;
            let code = end_of(child)?;
            sys::exit_group(code)
        }
    }
}

/// The exit code of a child; 128 and the signal where one ended it, as shells say it.
fn end_of(child: u32) -> Result<i32> {
    let child = i32::try_from(child).ok().and_then(Pid::from_raw);
    match waitpid(child, WaitOptions::empty()).doing("wait for the child")? {
        Some((_, status)) => {
            Ok(status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(128))
        }
        None => wrong("there is no child to wait for"),
    }
}

/// Forks a child that does the steps that are left when this process has ended.
pub fn orphan(script: &mut Script) -> Result {
    let maker = std::process::id();
    match sys::fork().doing("fork")? {
        Side::Child => {
            let parent = || getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
            while parent() == maker {
                std::thread::sleep(Duration::from_millis(1));
            }
            say("parent", parent())?;
            perform(script)
        }
        Side::Parent(child) => {
            say("child", child)?;
            sys::exit_group(0)
        }
    }
}

/// Executes a program in a child, as any shell would, and waits for it.
pub fn spawn(script: &mut Script) -> Result {
    let program = script.word()?;
    let child = Command::new(&program).args(script.rest()).spawn();
    let mut child = child.doing(format_args!("start {}", program.display()))?;
    say("child", child.id())?;
    child.wait().map(drop).doing("wait")
}

/// Executes itself in a child, and so on, until as many processes as asked for stand one above the other. Each has
/// its height and the token as its last arguments.
pub fn nest(script: &mut Script) -> Result {
    let height: u32 = script.number()?;
    let token = script.text()?;
    say("pid", std::process::id())?;
    if height <= 1 {
        return Ok(());
    }
    let itself = std::env::current_exe().doing("find this program")?;
    let height = (height - 1).to_string();
    let status = Command::new(itself).args(["act", "nest", &height, &token]).status().doing("nest")?;
    if status.success() { Ok(()) } else { wrong(format!("the next process ended with {status}")) }
}

/// Executes what each line of standard input says: a program and its arguments, parted by spaces.
pub fn spawn_on_demand() -> Result {
    say("ready", std::process::id())?;
    for line in std::io::stdin().lock().lines() {
        let line = line.doing("read")?;
        let mut words = line.split(' ');
        let program = words.next().unwrap_or_default();
        let mut child = Command::new(program).args(words).spawn().doing(format_args!("start {program}"))?;
        let pid = child.id();
        child.wait().doing("wait")?;
        say("ended", pid)?;
    }
    Ok(())
}

/// Executes a program many times, each time with the token and a number in one argument, and the same filler behind.
pub fn storm(script: &mut Script) -> Result {
    let count: u32 = script.number()?;
    let filler: usize = script.number()?;
    let program = script.word()?;
    let token = script.text()?;
    // A single argument may have 128 KiB.
    let filler = "f".repeat(filler);
    for number in 0..count {
        let mut command = Command::new(&program);
        command.env_clear().arg(format!("{token}.{number}"));
        if !filler.is_empty() {
            command.arg(&filler);
        }
        command.status().doing("storm")?;
    }
    Ok(())
}

/// Waits until standard input closes.
pub fn hold() -> Result {
    say("ready", std::process::id())?;
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).map(drop).doing("hold")
}

/// Forks so many children, which all live until standard input closes.
pub fn crowd(count: u32) -> Result {
    for number in 0..count {
        match sys::fork().or_else(|error| not_here(format!("fork number {number}: {error}")))? {
            // A read of a closed input is as good as an empty one: both say that it is over.
            Side::Child => {
                let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
                sys::exit_group(0)
            }
            Side::Parent(_) => {}
        }
    }
    hold()?;
    while waitpid(None, WaitOptions::empty()).is_ok_and(|child| child.is_some()) {}
    Ok(())
}
