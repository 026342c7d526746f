//! Process Activity of processes that were only made, or that end: short events that refer to a process by its uid.

use linnet_ocsf::{
    class::{LaunchKind, ProcessActivity, ProcessEvent},
    object::{Actor, Process, ProcessAttributes, ProcessEntity},
    text::Text,
};

use super::exec::{Frame, container};
use crate::{
    process::{Image, Key, Process as Entry, cgroups::Cgroup},
    record,
};

/// Bits of a wait status (`wait(2)`): signal, core dump, exit code.
const SIGNAL_MASK: u32 = 0x7f;
const CORE_FLAG: u32 = 0x80;

/// What the table knew of a process that ended.
pub struct Ended<'e> {
    /// What it ran and where it was; nothing when its beginning was lost.
    pub known: Option<(&'e Image, &'e Cgroup)>,
    /// It was there before the sensor, so no event describes it.
    pub found: bool,
}

/// Builds the Terminate event and hands it to `write`.
pub fn with_terminate<R>(
    frame: Frame<'_>,
    exit: &linnet_ebpf::Exit,
    ended: &Ended<'_>,
    write: impl FnOnce(&ProcessActivity<'_>) -> R,
) -> R {
    let uid = frame.boot.uid(Key::new(exit.pid, exit.start_boot_ns)).to_string();
    let comm = Text::new(exit.comm.split(|&byte| byte == 0).next().unwrap_or_default());
    let signal = exit.status & SIGNAL_MASK;
    let exit_code = (signal == 0).then(|| i32::try_from((exit.status >> 8) & 0xff).unwrap_or(0));
    let attributes = ProcessAttributes {
        signal: (signal != 0).then(|| u8::try_from(signal).unwrap_or(0)),
        core_dumped: exit.status & CORE_FLAG != 0,
        runtime_ns: Some(exit.header.boot_ns.saturating_sub(exit.start_boot_ns)),
        from_proc: ended.found,
        launch_missing: ended.known.is_none(),
        ..ProcessAttributes::default()
    };
    let actor = Process { pid: Some(exit.pid), uid: Some(&uid), ..Process::default() };
    let process = Process {
        pid: Some(exit.pid),
        uid: Some(&uid),
        name: Some(ended.known.map_or(&*comm.text, |(image, _)| &*image.name)),
        terminated_time_ms: Some(frame.clock.epoch_ms(exit.header.boot_ns)),
        container: ended.known.and_then(|(_, cgroup)| container(cgroup)),
        xattributes: Some(attributes),
        ..Process::default()
    };
    write(&ProcessActivity {
        base: frame.base(exit.header.boot_ns),
        event: ProcessEvent::Terminate { exit_code },
        actor: Actor { process: Some(&actor), user: None },
        process,
    })
}

/// Builds the Launch event of a process that was made by fork, and hands it to `write`.
pub fn with_fork<R>(
    frame: Frame<'_>,
    fork: &record::Fork<'_>,
    entry: &Entry,
    write: impl FnOnce(&ProcessActivity<'_>) -> R,
) -> R {
    let body = fork.body;
    let uid = frame.boot.uid(entry.key).to_string();
    let parent_uid = frame.boot.uid(Key::new(body.ppid, body.parent_start_boot_ns)).to_string();
    let ancestor_uids: Vec<String> =
        entry.ancestors.iter().map(|one| frame.boot.uid(one.key).to_string()).collect();
    let ancestry: Vec<ProcessEntity<'_>> = entry
        .ancestors
        .iter()
        .zip(&ancestor_uids)
        .map(|(one, uid)| ProcessEntity {
            pid: Some(one.key.pid),
            uid: Some(uid),
            name: Some(&one.image.name),
            ..ProcessEntity::default()
        })
        .collect();
    let parent_image = entry.ancestors.first().map(|one| &*one.image);
    let parent = Process {
        pid: Some(body.ppid),
        uid: Some(&parent_uid),
        name: parent_image.map(|image| &*image.name),
        path: parent_image.map(|image| &*image.path).filter(|path| !path.is_empty()),
        ..Process::default()
    };
    let parent_reference = Process { pid: Some(body.ppid), uid: Some(&parent_uid), ..Process::default() };
    let process = Process {
        pid: Some(body.pid),
        uid: Some(&uid),
        name: Some(&entry.image.name),
        path: Some(&*entry.image.path).filter(|path| !path.is_empty()),
        created_time_ms: Some(frame.clock.epoch_ms(body.start_boot_ns)),
        user: Some(body.uid.into()),
        namespace_pid: (body.ns_pid != body.pid && body.ns_pid != 0).then_some(body.ns_pid),
        container: container(&entry.cgroup),
        parent_process: Some(&parent_reference),
        ancestry: &ancestry,
        ..Process::default()
    };
    write(&ProcessActivity {
        base: frame.base(body.header.boot_ns),
        event: ProcessEvent::Launch(LaunchKind::Fork),
        actor: Actor { process: Some(&parent), user: None },
        process,
    })
}
