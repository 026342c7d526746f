//! Process Activity, Launch: what an analyst learns of an exec, and the Script Activity that goes with it.

use std::rc::Rc;

use linnet_ebpf::{EXEC_FLAG_FD, EXEC_FLAG_SCRIPT, EXEC_FLAG_SECURE, FILE_FLAG_UNHASHED, FileFacts};
use linnet_fileview::Missing;
use linnet_ocsf::{
    class::{Base, LaunchKind, ProcessActivity, ProcessEvent, ScriptActivity},
    command::CommandLine,
    number::{Decimal, DeviceNumber, Hex, Octal, Timespec},
    object::{
        Actor, Container, File, FileAttributes, FileKind, Fingerprint, LongString, Namespaces, Process,
        ProcessAttributes, ProcessEntity, Script, ScriptKind, Session,
    },
    prelude::Prelude,
    text::Text,
};

use super::{Clock, Outcome};
use crate::{
    process::{Ancestor, BootTag, Image, Key, cgroups::Cgroup, table::MAX_ANCESTORS},
    record::{self, Path},
};

/// `TMPFS_MAGIC`, the file system that memfds live on.
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// `S_ISUID` and `S_ISGID`.
const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;
/// What the kernel says for "never set": login uid, audit session.
const UNSET: u32 = u32::MAX;
/// Minor bits of the kernel's own device numbers.
const MINOR_BITS: u32 = 20;
/// Initial pid namespace (`PROC_PID_INIT_INO`).
const INITIAL_PID_NS: u32 = 0xEFFF_FFFC;

/// What the agent adds to an exec record at once; files follow later.
#[derive(Clone, Debug)]
pub struct Context {
    /// The process.
    pub key: Key,
    /// Its parent.
    pub parent: Key,
    /// What the parent runs, if known.
    pub parent_image: Option<Rc<Image>>,
    /// What it runs now.
    pub image: Rc<Image>,
    /// Where it is.
    pub cgroup: Rc<Cgroup>,
    /// Its ancestors, the parent first.
    pub ancestors: Rc<[Ancestor]>,
    /// Images that it was seen to take.
    pub exec_count: u32,
}

/// Buffers that are used again for each event.
#[derive(Default)]
pub struct Scratch {
    command: String,
    uids: Vec<String>,
    exe: Vec<u8>,
    script: Vec<u8>,
    cwd: Vec<u8>,
}

/// What all events of a batch share.
#[derive(Clone, Copy)]
pub struct Frame<'f> {
    /// Host and product.
    pub prelude: &'f Prelude,
    /// Boot time to wall clock.
    pub clock: Clock,
    /// This boot.
    pub boot: BootTag,
    /// Number of the event in this run.
    pub sequence: u64,
}

impl<'f> Frame<'f> {
    /// The part that every class begins with.
    pub fn base(&self, boot_ns: u64) -> Base<'f> {
        Base { sequence: Some(self.sequence), ..Base::new(self.prelude, self.clock.epoch_ms(boot_ns)) }
    }
}

/// Builds the Launch event and hands it to `write`.
pub fn with_launch<R>(
    frame: Frame<'_>,
    exec: &record::Exec<'_>,
    context: &Context,
    exe: &Outcome,
    scratch: &mut Scratch,
    write: impl FnOnce(&ProcessActivity<'_>) -> R,
) -> R {
    let body = exec.body;
    let Scratch { command, uids, exe: exe_path, script: script_path, cwd } = scratch;
    fill_path(&exec.exe, exe_path);
    fill_path(&exec.script, script_path);
    // A walk that met no name at all ended at the root at once.
    cwd.clear();
    exec.cwd.write_in_namespace(cwd);
    fill_uids(uids, frame.boot, context);
    let [own_uid, parent_uid, ancestor_uids @ ..] = uids.as_slice() else { unreachable_uids() };

    let command = CommandLine::read(command, exec.argv, u64::from(body.argv_true_len));
    let exe_text = Text::new(exe_path);
    let script_text = Text::new(script_path);
    let cwd_text = Text::new(cwd);
    let filename = Text::new(exec.filename);
    let interpreter = Text::new(exec.interp);
    let tty = Text::new(body.tty.split(|&byte| byte == 0).next().unwrap_or_default());
    let is_script = body.flags & EXEC_FLAG_SCRIPT != 0;

    let mut attributes = ProcessAttributes::of_command(&command);
    attributes.working_directory_raw = cwd_text.raw;
    attributes.euid = (body.euid != body.uid).then_some(body.euid);
    attributes.egid = (body.egid != body.gid).then_some(body.egid);
    attributes.cap_effective = (body.cap_effective != 0).then_some(Hex(body.cap_effective));
    attributes.cap_permitted = (body.cap_permitted != body.cap_effective).then_some(Hex(body.cap_permitted));
    attributes.cap_inheritable = (body.cap_inheritable != 0).then_some(Hex(body.cap_inheritable));
    attributes.sid = (body.session != 0).then_some(body.session);
    attributes.namespaces = Some(namespaces(body));
    attributes.exec_count = (context.exec_count > 1).then_some(context.exec_count);
    attributes.filename =
        (!is_script && !filename.text.is_empty() && filename.text != exe_text.text).then_some(&filename.text);
    attributes.script = is_script.then_some(&script_text.text);
    attributes.interpreter = (!interpreter.text.is_empty()).then_some(&interpreter.text);
    attributes.cgroup =
        context.cgroup.container.is_none().then_some(&*context.cgroup.path).filter(|path| *path != "/");
    attributes.set_uid = body.exe.mode & S_ISUID != 0 && body.euid == body.exe.uid && body.euid != body.uid;
    attributes.set_gid = body.exe.mode & S_ISGID != 0 && body.egid == body.exe.gid && body.egid != body.gid;
    attributes.secure_exec = body.flags & EXEC_FLAG_SECURE != 0;
    attributes.by_descriptor = body.flags & EXEC_FLAG_FD != 0;
    attributes.ancestry_missing = context.ancestors.is_empty() && context.parent.pid != 0;

    let fingerprint = exe.facts().map(|facts| [Fingerprint::Sha256(&facts.sha256)]);
    let file = File {
        hashes: fingerprint.as_ref().map_or(&[], |list| list),
        ..file(&exec.exe, &body.exe, &exe_text, exe)
    };
    let entities = ancestry(context, ancestor_uids);
    let parent = Process {
        pid: Some(body.ppid),
        uid: Some(parent_uid),
        name: context.parent_image.as_deref().map(|image| &*image.name),
        path: context.parent_image.as_deref().map(|image| &*image.path).filter(|path| !path.is_empty()),
        ..Process::default()
    };
    let parent_reference = Process { pid: Some(body.ppid), uid: Some(parent_uid), ..Process::default() };
    let process = Process {
        pid: Some(body.pid),
        uid: Some(own_uid),
        name: Some(&context.image.name),
        cmd_line: Some(command.text),
        file: Some(file),
        created_time_ms: Some(frame.clock.epoch_ms(body.start_boot_ns)),
        working_directory: Some(&cwd_text.text),
        user: Some(body.uid.into()),
        group: Some(body.gid.into()),
        auid: (body.login_uid != UNSET).then_some(body.login_uid),
        session: session(body, &tty),
        tid: (body.tid != body.pid).then_some(body.tid),
        namespace_pid: (body.pid_ns != INITIAL_PID_NS && body.ns_pid != 0).then_some(body.ns_pid),
        container: container(&context.cgroup),
        parent_process: Some(&parent_reference),
        ancestry: entities.get(..context.ancestors.len().min(MAX_ANCESTORS)).unwrap_or_default(),
        xattributes: Some(attributes),
        ..Process::default()
    };
    write(&ProcessActivity {
        base: frame.base(body.header.boot_ns),
        event: ProcessEvent::Launch(LaunchKind::Exec),
        actor: Actor { process: Some(&parent), user: None },
        process,
    })
}

/// Builds the Script Activity event of an exec that started a script, and hands it to `write`.
pub fn with_script<R>(
    frame: Frame<'_>,
    exec: &record::Exec<'_>,
    context: &Context,
    outcome: &Outcome,
    scratch: &mut Scratch,
    write: impl FnOnce(&ScriptActivity<'_>) -> R,
) -> R {
    let body = exec.body;
    let Scratch { uids, script: script_path, .. } = scratch;
    fill_path(&exec.script, script_path);
    fill_uids(uids, frame.boot, context);
    let own_uid = uids.first().map_or("", String::as_str);
    let text = Text::new(script_path);
    let interpreter = Text::new(exec.interp);
    let fingerprint = outcome.facts().map(|facts| [Fingerprint::Sha256(&facts.sha256)]);
    let hashes: &[Fingerprint<'_>] = fingerprint.as_ref().map_or(&[], |list| list);
    let content = outcome.facts().and_then(|facts| facts.content.as_deref());
    // The schema demands content; where there is none it is empty, its true size says so, and hash_missing says why.
    let content_text = content.map_or_else(
        || LongString::new(&[], body.script.size),
        |content| LongString::new(&content.bytes, content.true_len),
    );
    let kind = content.map_or(ScriptKind::Unknown, |content| ScriptKind::of_content(&content.bytes));
    let kind = if kind == ScriptKind::Unknown { ScriptKind::of_interpreter(&interpreter.text) } else { kind };
    let actor = Process {
        pid: Some(body.pid),
        uid: Some(own_uid),
        name: Some(&context.image.name),
        container: container(&context.cgroup),
        ..Process::default()
    };
    let script = Script {
        file: Some(file(&exec.script, &body.script, &text, outcome)),
        hashes,
        ..Script::new(kind, content_text)
    };
    write(&ScriptActivity {
        base: frame.base(body.header.boot_ns),
        actor: Actor { process: Some(&actor), user: None },
        script,
    })
}

/// `fill_uids` always puts two at least; an event without them could not be told from another.
fn unreachable_uids() -> ! {
    std::process::abort()
}

fn fill_path(path: &Path<'_>, out: &mut Vec<u8>) {
    out.clear();
    if !path.is_empty() {
        path.write_in_namespace(out);
    }
}

/// Own uid, parent's uid, then the ancestors'.
fn fill_uids(uids: &mut Vec<String>, boot: BootTag, context: &Context) {
    let keys = [context.key, context.parent].into_iter().chain(context.ancestors.iter().map(|one| one.key));
    let mut count = 0;
    for key in keys {
        if uids.len() == count {
            uids.push(String::new());
        }
        if let Some(slot) = uids.get_mut(count) {
            slot.clear();
            boot.uid(key).append_to(slot);
        }
        count += 1;
    }
    uids.truncate(count);
}

fn ancestry<'a>(context: &'a Context, uids: &'a [String]) -> [ProcessEntity<'a>; MAX_ANCESTORS] {
    let mut entities = [ProcessEntity::default(); MAX_ANCESTORS];
    for ((entity, ancestor), uid) in entities.iter_mut().zip(context.ancestors.iter()).zip(uids) {
        entity.pid = Some(ancestor.key.pid);
        entity.uid = Some(uid);
        entity.name = Some(&ancestor.image.name);
    }
    entities
}

/// A container as events have it.
pub fn container(cgroup: &Cgroup) -> Option<Container<'_>> {
    cgroup.container.as_ref().map(|container| Container {
        uid: &container.id,
        runtime: Some(container.runtime).filter(|name| *name != "unknown"),
        pod_uid: container.pod_uid.as_deref(),
        ..Container::default()
    })
}

fn session<'a>(body: &linnet_ebpf::Exec, tty: &'a Text<'_>) -> Option<Session<'a>> {
    let uid = (body.audit_session != UNSET).then(|| Decimal(u64::from(body.audit_session)));
    let terminal = (!tty.text.is_empty()).then_some(&*tty.text);
    (uid.is_some() || terminal.is_some()).then_some(Session { uid, terminal })
}

fn namespaces(body: &linnet_ebpf::Exec) -> Namespaces {
    let some = |inum: u32| (inum != 0).then_some(inum);
    Namespaces {
        pid: some(body.pid_ns),
        mnt: some(body.mnt_ns),
        net: some(body.net_ns),
        user: some(body.user_ns),
        cgroup: some(body.cgroup_ns),
    }
}

/// Whether the file was made by `memfd_create`: on tmpfs, never in a directory, and named so by the kernel.
pub fn is_memfd(path: &Path<'_>, facts: &FileFacts) -> bool {
    facts.fs_magic == TMPFS_MAGIC
        && facts.nlink == 0
        && path.is_detached()
        && path.leaf().is_some_and(|name| name.starts_with(b"memfd:"))
}

fn file<'a>(path: &Path<'_>, facts: &FileFacts, text: &'a Text<'_>, outcome: &Outcome) -> File<'a> {
    let memfd = is_memfd(path, facts);
    let attributes = FileAttributes {
        dev: Some(DeviceNumber {
            major: facts.dev >> MINOR_BITS,
            minor: facts.dev & ((1 << MINOR_BITS) - 1),
        }),
        ctime: Some(Timespec { sec: facts.ctime_sec, nsec: facts.ctime_nsec }),
        mode: Some(Octal(facts.mode)),
        gid: Some(facts.gid),
        nlink: Some(facts.nlink),
        fs_magic: Some(Hex(facts.fs_magic)),
        memfd,
        path_raw: text.raw,
        hash_road: outcome.road(),
        hash_ctime_moved: outcome.facts().is_some_and(|facts| facts.touched),
        hash_missing: match outcome {
            // No path ever led to it, so it can't be said to have gone.
            Outcome::Missing(Missing::Gone) if memfd => Some(Missing::Anonymous.as_str()),
            _ => outcome.missing(),
        },
        content_missing: outcome.facts().and_then(|facts| facts.content_missing).map(Missing::as_str),
    };
    File {
        kind: FileKind::Regular,
        uid: Some(Decimal(facts.inode)),
        size: Some(facts.size),
        modified_time_ms: facts
            .mtime_sec
            .checked_mul(1000)
            .map(|ms| ms.saturating_add(i64::from(facts.mtime_nsec / 1_000_000))),
        owner: Some(facts.uid.into()),
        is_deleted: !memfd && (facts.nlink == 0 || facts.flags & FILE_FLAG_UNHASHED != 0),
        xattributes: Some(attributes),
        ..File::at(&text.text)
    }
}
