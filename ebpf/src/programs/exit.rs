//! A process ends: `sched_process_exit`, of its last thread.
//!
//! Prototype: `(struct task_struct *p)`, and since 6.16 `(…, bool group_dead)`; `p` is current. The tracepoint fires for every thread,
//! after `signal->live` was counted down, so the thread that finds it zero was the last. Two threads that end
//! in the same instant on two CPUs may both find zero; user space takes the first and counts the second.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use linnet_ebpf::{Exit, KIND_EXIT};

use crate::{
    cgroup::of_task,
    kernel::{pointer, read},
    offset,
    output::{Urgency, begin, finish},
    task,
};

/// `SIGNAL_GROUP_EXIT`: the whole group was told to go, and `group_exit_code` says how.
const SIGNAL_GROUP_EXIT: u32 = 4;

#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn linnet_exit(ctx: RawTracePointContext) -> i32 {
    let current: u64 = ctx.arg(0);
    let signal = pointer(current, offset!(task_signal));
    // Not ours: threads with others left, and the kernel's own.
    if read::<i32>(signal, offset!(signal_live)) == 0 && !task::is_kernel_thread(current) {
        record(current, signal);
    }
    0
}

#[inline(always)]
fn record(current: u64, signal: u64) {
    // Still that of its life: the kernel takes a task out of its cgroup later in its end.
    let Some(begun) = begin(KIND_EXIT, of_task(current).id) else { return };
    // SAFETY: the buffer is longer than an Exit and aligned to 8.
    let exit = unsafe { &mut *begun.buffer.cast::<Exit>() };
    let leader = pointer(current, offset!(task_group_leader));
    let parent = task::parent(leader);
    exit.start_boot_ns = read::<u64>(leader, offset!(task_start_boottime));
    exit.parent_start_boot_ns = task::start_boot_ns(parent);
    exit.pid = task::tgid(current);
    exit.ppid = task::tgid(parent);
    // What wait(2) will report: the group's code, else the leader's, which may have ended long before.
    exit.status = if read::<u32>(signal, offset!(signal_flags)) & SIGNAL_GROUP_EXIT != 0 {
        read::<u32>(signal, offset!(signal_group_exit_code))
    } else {
        read::<u32>(leader, offset!(task_exit_code))
    };
    exit.uid = read::<u32>(pointer(current, offset!(task_cred)), offset!(cred_uid));
    exit.comm = read::<[u8; 16]>(leader, offset!(task_comm));
    finish(&begun, size_of::<Exit>() as u32, Urgency::Lazy);
}
