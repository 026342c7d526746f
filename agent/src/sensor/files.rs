//! What the file view is asked for an exec: its executable, and its script.

use linnet_ebpf::{FileFacts, FileKey};
use linnet_fileview::{Answer, FileId, FileView, InodeTime, Missing, Purpose, Request, Ticket};

use crate::{
    event::{Outcome, exec::is_memfd},
    process::cgroups::Cgroup,
    record::{Exec, Path},
};

/// A file of an exec: settled, or waiting for a ticket.
#[derive(Clone, Debug)]
pub enum Slot {
    /// Nothing more will come.
    Settled(Outcome),
    /// The file view has it in hand.
    Waiting(Ticket),
}

/// Identity of a file as the file view has it.
pub fn file_id(facts: &FileFacts) -> FileId {
    FileId {
        dev: facts.dev,
        inode: facts.inode,
        ctime_sec: facts.ctime_sec,
        ctime_nsec: facts.ctime_nsec,
        size: facts.size,
        fs_magic: facts.fs_magic,
    }
}

/// Identity of a file as the kernel side has it.
pub fn file_key(id: &FileId) -> FileKey {
    FileKey { inode: id.inode, ctime_sec: id.ctime_sec, ctime_nsec: id.ctime_nsec, dev: id.dev }
}

/// Asks for the executable.
pub fn executable(view: &FileView, exec: &Exec<'_>, cgroup: &Cgroup) -> Slot {
    let body = exec.body;
    if body.exe.inode == 0 {
        return Slot::Settled(Outcome::Missing(Missing::Gone));
    }
    ask(view, exec, &body.exe, &exec.exe, Purpose::Executable, cgroup)
}

/// Asks for the script.
pub fn script(view: &FileView, exec: &Exec<'_>, cgroup: &Cgroup) -> Slot {
    if is_memfd(&exec.script, &exec.body.script) {
        // No road but the process's own executable leads to an anonymous file, and that is the interpreter.
        return Slot::Settled(Outcome::Missing(Missing::Anonymous));
    }
    ask(view, exec, &exec.body.script, &exec.script, Purpose::Script, cgroup)
}

fn ask(
    view: &FileView,
    exec: &Exec<'_>,
    facts: &FileFacts,
    path: &Path<'_>,
    purpose: Purpose,
    cgroup: &Cgroup,
) -> Slot {
    let id = file_id(facts);
    if let Some(known) = view.peek(&id, purpose) {
        return Slot::Settled(known.into());
    }
    let mut sb_path = Vec::new();
    path.write_in_filesystem(&mut sb_path);
    let mut ns_path = Vec::new();
    if !path.is_detached() && !path.is_cut() {
        path.write_in_namespace(&mut ns_path);
    }
    let request = Request {
        id,
        purpose,
        pid: exec.body.pid,
        start_ticks: crate::process::Key::new(exec.body.pid, exec.body.start_boot_ns).start_ticks,
        mnt_ns: exec.body.mnt_ns,
        sb_path,
        ns_path,
        mtime: Some(InodeTime { sec: facts.mtime_sec, nsec: facts.mtime_nsec }),
        container: cgroup.container.as_ref().map(|container| container.id.clone()),
    };
    match view.look_up(request) {
        Answer::Hit(result) => Slot::Settled(result.into()),
        Answer::Refused(reason) => Slot::Settled(Outcome::Missing(reason)),
        Answer::Pending(ticket) => Slot::Waiting(ticket),
    }
}
