//! A process replaces its image: `sched_process_exec`.
//!
//! Prototype: `(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)` since 3.4; `p` is current,
//! already the leader of its group, with the new memory, credentials and name.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use linnet_ebpf::{
    ABSENT, ARGV_MAX, EXEC_FLAG_FD, EXEC_FLAG_SCRIPT, EXEC_FLAG_SECURE, Exec, FileFacts, KIND_EXEC, PATH_CUT,
    PathSpan, Span, TTY_LEN,
};

use crate::{
    cgroup::{append_cgroup, of_task},
    file,
    kernel::{advance, append_str, copy_user, pointer, read},
    maps::{ARGV_LIMIT, KNOWN},
    offset,
    output::{Urgency, begin, finish},
    path::{Position, append_path},
    task,
};

/// Longest file name as given to exec that is kept.
const FILENAME_LEN: u32 = 1024;
/// `__FMODE_EXEC` in `f_flags`: the file was opened to be executed.
const FMODE_EXEC: u32 = 0x20;
/// Deferred works that are looked through for the script's file.
const MAX_WORKS: u32 = 48;
/// `S_IFMT` and `S_IFREG`.
const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;

#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn linnet_exec(ctx: RawTracePointContext) -> i32 {
    let current: u64 = ctx.arg(0);
    let old_pid: u64 = ctx.arg(1);
    let bprm: u64 = ctx.arg(2);
    record(current, old_pid as u32, bprm);
    0
}

#[inline(always)]
fn record(current: u64, old_pid: u32, bprm: u64) {
    let cgroup = of_task(current);
    let Some(begun) = begin(KIND_EXEC, cgroup.id) else { return };
    // SAFETY: the buffer is longer than an Exec and aligned to 8.
    let exec = unsafe { &mut *begun.buffer.cast::<Exec>() };
    identity(exec, current, old_pid);
    credentials(exec, current);
    namespaces(exec, current);
    let mm = pointer(current, offset!(task_mm));
    let exe = pointer(mm, offset!(mm_exe_file));
    file::read_facts(exe, &mut exec.exe);
    exec.flags = 0;
    exec.argc = read::<u32>(bprm, offset!(bprm_argc));
    exec.reserved = 0;

    let mut end = append_argv(begun.buffer, exec, mm);
    let filename = pointer(bprm, offset!(bprm_filename));
    let interp = pointer(bprm, offset!(bprm_interp));
    if offset!(bprm_fdpath) != ABSENT && pointer(bprm, offset!(bprm_fdpath)) != 0 {
        exec.flags |= EXEC_FLAG_FD;
    }
    if offset!(bprm_secureexec_byte) != ABSENT
        && u32::from(read::<u8>(bprm, offset!(bprm_secureexec_byte))) & offset!(bprm_secureexec_mask) != 0
    {
        exec.flags |= EXEC_FLAG_SECURE;
    }
    end = append_name(begun.buffer, end, filename, &mut exec.filename);
    let interp = if interp == filename { 0 } else { interp };
    end = append_name(begun.buffer, end, interp, &mut exec.interp);

    let (mnt, dentry) = file::location(exe);
    end = append_path(KIND_EXEC, end, mnt, dentry, &mut exec.exe_path);
    exec.script = NO_FILE;
    exec.script_path = NO_PATH;
    if interp != 0 {
        let script = linnet_script_file(current);
        if script != 0 {
            exec.flags |= EXEC_FLAG_SCRIPT;
            file::read_facts(script, &mut exec.script);
            let (mnt, dentry) = file::location(script);
            end = append_path(KIND_EXEC, end, mnt, dentry, &mut exec.script_path);
        }
    }
    let pwd = pointer(current, offset!(task_fs)).wrapping_add(u64::from(offset!(fs_pwd)));
    let (mnt, dentry) = (pointer(pwd, offset!(path_mnt)), pointer(pwd, offset!(path_dentry)));
    end = append_path(KIND_EXEC, end, mnt, dentry, &mut exec.cwd);
    exec.cgroup_id = cgroup.id;
    end = append_cgroup(KIND_EXEC, end, cgroup, &mut exec.cgroup);
    finish(&begun, end, urgency(exec));
}

const NO_FILE: FileFacts = FileFacts {
    inode: 0,
    size: 0,
    ctime_sec: 0,
    mtime_sec: 0,
    ctime_nsec: 0,
    mtime_nsec: 0,
    fs_magic: 0,
    dev: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    mode: 0,
    flags: 0,
};
const NO_PATH: PathSpan = PathSpan { below: 0, above: 0, bind: 0, flags: 0 };

#[inline(always)]
fn identity(exec: &mut Exec, current: u64, old_pid: u32) {
    let parent = task::parent(current);
    let signal = pointer(current, offset!(task_signal));
    let (ns_pid, pid_ns) = task::in_namespace(current);
    exec.start_boot_ns = task::start_boot_ns(current);
    exec.parent_start_boot_ns = task::start_boot_ns(parent);
    exec.pid = task::tgid(current);
    exec.tid = old_pid;
    exec.ppid = task::tgid(parent);
    exec.ns_pid = ns_pid;
    exec.pid_ns = pid_ns;
    exec.session = task::session(signal);
    exec.comm = read::<[u8; 16]>(current, offset!(task_comm));
    exec.tty = [0; TTY_LEN];
    let tty = pointer(signal, offset!(signal_tty));
    if tty != 0 {
        exec.tty = read::<[u8; TTY_LEN]>(tty, offset!(tty_name));
    }
}

#[inline(always)]
fn credentials(exec: &mut Exec, current: u64) {
    let cred = pointer(current, offset!(task_cred));
    exec.uid = read::<u32>(cred, offset!(cred_uid));
    exec.gid = read::<u32>(cred, offset!(cred_gid));
    exec.euid = read::<u32>(cred, offset!(cred_euid));
    exec.egid = read::<u32>(cred, offset!(cred_egid));
    exec.cap_effective = read::<u64>(cred, offset!(cred_cap_effective));
    exec.cap_permitted = read::<u64>(cred, offset!(cred_cap_permitted));
    exec.cap_inheritable = read::<u64>(cred, offset!(cred_cap_inheritable));
    exec.user_ns = read::<u32>(pointer(cred, offset!(cred_user_ns)), offset!(user_ns_inum));
    exec.login_uid = u32::MAX;
    exec.audit_session = u32::MAX;
    if offset!(task_loginuid) != ABSENT {
        exec.login_uid = read::<u32>(current, offset!(task_loginuid));
        exec.audit_session = read::<u32>(current, offset!(task_sessionid));
    }
}

#[inline(always)]
fn namespaces(exec: &mut Exec, current: u64) {
    let nsproxy = pointer(current, offset!(task_nsproxy));
    exec.mnt_ns = read::<u32>(pointer(nsproxy, offset!(nsproxy_mnt_ns)), offset!(mnt_ns_inum));
    exec.net_ns = read::<u32>(pointer(nsproxy, offset!(nsproxy_net_ns)), offset!(net_ns_inum));
    exec.cgroup_ns = read::<u32>(pointer(nsproxy, offset!(nsproxy_cgroup_ns)), offset!(cgroup_ns_inum));
}

/// Copies argv from the new image's argument area, which the kernel has just written, so it is in memory.
#[inline(always)]
fn append_argv(buffer: *mut u8, exec: &mut Exec, mm: u64) -> Position {
    const START: u32 = size_of::<Exec>() as u32;
    let from = pointer(mm, offset!(mm_arg_start));
    let mut len = pointer(mm, offset!(mm_arg_end)).wrapping_sub(from);
    exec.argv_true_len = if len > u64::from(u32::MAX) { u32::MAX } else { len as u32 };
    // SAFETY: a static that nothing writes; volatile because the loader replaces its value after compilation.
    let limit = u64::from(unsafe { core::ptr::read_volatile(&raw const ARGV_LIMIT) });
    if len > limit {
        len = limit;
    }
    if len > u64::from(ARGV_MAX) {
        len = u64::from(ARGV_MAX);
    }
    let len = len as u32;
    exec.argv_len = len;
    if !copy_user(buffer, START as usize, len, from) {
        exec.argv_len = 0;
        return START;
    }
    advance(START, len)
}

#[inline(always)]
fn append_name(buffer: *mut u8, start: Position, name: u64, span: &mut Span) -> Position {
    let len = append_str(buffer, start, FILENAME_LEN, name);
    span.len = len as u16;
    // Even a name that just fits counts as cut; a path of 1,023 bytes is none that anybody uses.
    span.flags = if len == FILENAME_LEN { PATH_CUT } else { 0 };
    advance(start, len)
}

/// The file of the script whose interpreter is starting, or 0.
///
/// `exec_binprm` has let go of it by now, but `fput` is deferred to the return to user mode: the file waits in
/// the task's list of works. New works are put at the head, and the script's was the first of this system
/// call, so it is the last in the list that was opened to be executed. (Files closed by close-on-exec
/// come later; the interpreter's own file is held by the memory map.)
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linnet_script_file(current: u64) -> u64 {
    let mut found = 0;
    let mut work = pointer(current, offset!(task_works));
    for _ in 0..MAX_WORKS {
        if work == 0 {
            break;
        }
        let candidate = work.wrapping_sub(u64::from(offset!(file_task_work)));
        if read::<u32>(candidate, offset!(file_flags)) & FMODE_EXEC != 0 {
            let inode = pointer(candidate, offset!(file_inode));
            if u32::from(read::<u16>(inode, offset!(inode_mode))) & S_IFMT == S_IFREG {
                found = candidate;
            }
        }
        // `callback_head.next` is its first member.
        work = pointer(work, 0);
    }
    found
}

/// An executable or script that the agent has not hashed yet must be looked at while the process lives.
#[inline(always)]
fn urgency(exec: &Exec) -> Urgency {
    if !known(&exec.exe) || (exec.flags & EXEC_FLAG_SCRIPT != 0 && !known(&exec.script)) {
        Urgency::Now
    } else {
        Urgency::Lazy
    }
}

#[inline(always)]
fn known(facts: &FileFacts) -> bool {
    let key = file::key(facts);
    // SAFETY: only the value's presence is looked at, never the value behind the pointer.
    unsafe { KNOWN.get(&key) }.is_some()
}
