//! Reading a `task_struct`.

use crate::{
    kernel::{pointer, read},
    offset,
};

/// `PF_KTHREAD`: a kernel thread.
const PF_KTHREAD: u32 = 0x0020_0000;
/// `PIDTYPE_SID`: index of the session leader in `signal_struct.pids`, since 4.19.
const PIDTYPE_SID: u32 = 3;

/// Thread group, which is what the world calls a process.
#[inline(always)]
pub fn tgid(task: u64) -> u32 {
    read::<u32>(task, offset!(task_tgid))
}

/// Whether the task is a thread other than the leader.
#[inline(always)]
pub fn is_thread(task: u64) -> bool {
    read::<u32>(task, offset!(task_pid)) != tgid(task)
}

/// Whether the task is a thread of the kernel's own.
#[inline(always)]
pub fn is_kernel_thread(task: u64) -> bool {
    read::<u32>(task, offset!(task_flags)) & PF_KTHREAD != 0
}

/// Boot-time start of the task's process, in nanoseconds.
#[inline(always)]
pub fn start_boot_ns(task: u64) -> u64 {
    read::<u64>(pointer(task, offset!(task_group_leader)), offset!(task_start_boottime))
}

/// The task's parent: the thread that made it, or the one that adopted it.
#[inline(always)]
pub fn parent(task: u64) -> u64 {
    pointer(task, offset!(task_real_parent))
}

/// Process id in the task's own pid namespace, and that namespace's inode number.
#[inline(always)]
pub fn in_namespace(task: u64) -> (u32, u32) {
    let pid = pointer(task, offset!(task_thread_pid));
    let (nr, namespace) = upid(pid);
    (nr, read::<u32>(namespace, offset!(pid_ns_inum)))
}

#[inline(always)]
fn upid(pid: u64) -> (u32, u64) {
    // 32 is MAX_PID_NS_LEVEL.
    let level = read::<u32>(pid, offset!(pid_level)) & 31;
    let upid = pid
        .wrapping_add(u64::from(offset!(pid_numbers)))
        .wrapping_add(u64::from(level) * u64::from(offset!(upid_size)));
    (read::<u32>(upid, offset!(upid_nr)), pointer(upid, offset!(upid_ns)))
}

/// Session leader, in the host's pid namespace.
#[inline(always)]
pub fn session(signal: u64) -> u32 {
    let pids = signal.wrapping_add(u64::from(offset!(signal_pids)));
    let pid = pointer(pids, PIDTYPE_SID * 8);
    read::<u32>(pid.wrapping_add(u64::from(offset!(pid_numbers))), offset!(upid_nr))
}
