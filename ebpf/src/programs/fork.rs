//! A process is made: `sched_process_fork`.
//!
//! Prototype: `(struct task_struct *parent, struct task_struct *child)`, unchanged since 2.6. It fires
//! before the child first runs, so its record always precedes the child's own.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use linnet_ebpf::{Fork, KIND_FORK};

use crate::{
    cgroup::{append_cgroup, of_task},
    kernel::{pointer, read},
    offset,
    output::{Urgency, begin, finish},
    task,
};

#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn linnet_fork(ctx: RawTracePointContext) -> i32 {
    let creator: u64 = ctx.arg(0);
    let child: u64 = ctx.arg(1);
    // Not ours: threads, and the kernel's own.
    if !task::is_thread(child) && !task::is_kernel_thread(child) {
        record(creator, child);
    }
    0
}

#[inline(always)]
fn record(creator: u64, child: u64) {
    let cgroup = of_task(child);
    let Some(begun) = begin(KIND_FORK, cgroup.id) else { return };
    // SAFETY: the buffer is longer than a Fork and aligned to 8.
    let fork = unsafe { &mut *begun.buffer.cast::<Fork>() };
    let parent = task::parent(child);
    fork.start_boot_ns = read::<u64>(child, offset!(task_start_boottime));
    fork.parent_start_boot_ns = task::start_boot_ns(parent);
    fork.creator_start_boot_ns = task::start_boot_ns(creator);
    fork.pid = task::tgid(child);
    fork.ppid = task::tgid(parent);
    fork.creator_pid = task::tgid(creator);
    fork.ns_pid = task::in_namespace(child).0;
    fork.uid = read::<u32>(pointer(child, offset!(task_cred)), offset!(cred_uid));
    fork.mnt_ns = read::<u32>(
        pointer(pointer(child, offset!(task_nsproxy)), offset!(nsproxy_mnt_ns)),
        offset!(mnt_ns_inum),
    );
    fork.cgroup_id = cgroup.id;
    fork.reserved = 0;
    fork.comm = read::<[u8; 16]>(child, offset!(task_comm));
    let end = append_cgroup(KIND_FORK, size_of::<Fork>() as u32, cgroup, &mut fork.cgroup);
    finish(&begun, end, Urgency::Lazy);
}
