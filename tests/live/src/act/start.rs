//! Steps that execute something in place of the actor. Nothing comes after them.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{MemfdFlags, memfd_create};

use super::{Script, for_kernel, say};
use crate::sys;
use crate::trouble::{Doing, Result, wrong};

/// `exec PROGRAM ARGUMENT…`
pub fn execute(script: &mut Script) -> Result {
    let program = script.word()?;
    wrong(Command::new(program).args(script.rest()).exec().to_string())
}

/// `exec-as NAME PROGRAM ARGUMENT…`: with another `argv[0]` than the path.
pub fn execute_as(script: &mut Script) -> Result {
    let name = script.word()?;
    let program = script.word()?;
    wrong(Command::new(program).arg0(name).args(script.rest()).exec().to_string())
}

fn open(path: &Path) -> Result<File> {
    File::open(path).doing(format_args!("open {}", path.display()))
}

/// The arguments that are left, behind an `argv[0]` of `name`.
fn argv(name: &Path, script: &mut Script) -> Result<Vec<CString>> {
    let mut argv = vec![for_kernel(name.as_os_str())?];
    argv.extend(script.rest_for_kernel()?);
    Ok(argv)
}

/// `exec-fd PROGRAM ARGUMENT…`: what `fexecve` does. The descriptor stays open over the exec, because a script's
/// interpreter has to open it again.
pub fn execute_descriptor(script: &mut Script) -> Result {
    let program = script.path()?;
    let file = open(&program)?;
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).doing("keep the descriptor")?;
    wrong(sys::execute_at(file.as_fd(), c"", &argv(&program, script)?).to_string())
}

/// `exec-deleted PROGRAM ARGUMENT…`: unlinks it first and goes through `/proc/self/fd`.
pub fn execute_deleted(script: &mut Script) -> Result {
    use std::os::fd::AsRawFd;
    let program = script.path()?;
    let file = open(&program)?;
    fs::remove_file(&program).doing("unlink")?;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    wrong(Command::new(link).args(script.rest()).exec().to_string())
}

/// `exec-at DIRECTORY NAME ARGUMENT…`: relative to a descriptor of a directory.
pub fn execute_relative(script: &mut Script) -> Result {
    let directory = open(&script.path()?)?;
    let name = script.path()?;
    let path = for_kernel(name.as_os_str())?;
    wrong(sys::execute_at(directory.as_fd(), &path, &argv(&name, script)?).to_string())
}

/// `exec-memfd PROGRAM ARGUMENT…`: a copy of it that lies in memory only.
pub fn execute_memfd(script: &mut Script) -> Result {
    let program = script.path()?;
    let content = fs::read(&program).doing("read")?;
    let memory = memfd_create("harmless", MemfdFlags::CLOEXEC).doing("memfd_create")?;
    let mut file = File::from(memory);
    std::io::Write::write_all(&mut file, &content).doing("fill the memfd")?;
    // Linux refuses to execute what is open for writing, a memfd among it, unless it is opened anew for reading.
    use std::os::fd::AsRawFd;
    let readable = open(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))?;
    drop(file);
    wrong(sys::execute_at(readable.as_fd(), c"", &argv(&program, script)?).to_string())
}

/// `exec-by-thread PROGRAM ARGUMENT…`: another thread than the leader calls exec.
pub fn execute_by_thread(script: &mut Script) -> Result {
    let program = script.word()?;
    let arguments = script.rest();
    let caller = std::thread::spawn(move || -> Result {
        say("tid", rustix::thread::gettid().as_raw_nonzero())?;
        wrong(Command::new(program).args(arguments).exec().to_string())
    });
    caller.join().unwrap_or_else(|_| wrong("the thread did not come to its end"))
}
