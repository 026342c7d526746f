//! The system call filter: what is not listed is refused with EPERM.
//!
//! It is the layer that needs no rights of the kernel's and no cooperation of the file system, so it carries the promise
//! that a plugin changes nothing: files are opened for reading only (unless it has a directory of its own, where
//! Landlock and its user say which), there are no sockets, no new processes, no tracing, no mounts, no modules.

use std::collections::BTreeMap;

use libc::{c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::manifest::Capability;
use crate::spec::Spec;

/// Listing commands of bpf(2), from `linux/bpf.h`: PROG_GET_NEXT_ID, PROG_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD,
/// LINK_GET_FD_BY_ID, LINK_GET_NEXT_ID. Not those of maps: who holds a map can read it.
const BPF_LISTING: [u64; 5] = [11, 13, 15, 30, 31];

const ALWAYS: &[c_long] = &[
    // Memory and threads.
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    // Reading, and writing to what is open: the three pipes.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fadvise64,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    // Looking at files.
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_fchdir,
    libc::SYS_chdir,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    // Waiting and time.
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_restart_syscall,
    // Signals, to oneself; the user id and Landlock forbid others.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_signalfd4,
    libc::SYS_tgkill,
    // Oneself.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getpriority,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // The launcher's own last step. What is started by it stays within the same filter and user.
    libc::SYS_execve,
    // Answered by the second program.
    libc::SYS_clone3,
];

/// Older forms of the above, which not every architecture has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_create,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_eventfd,
    libc::SYS_time,
    libc::SYS_arch_prctl,
    libc::SYS_getrlimit,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

const NETWORK: &[c_long] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_shutdown,
    libc::SYS_bind,
];

const STATE_DIR: &[c_long] = &[
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_pwrite64,
    libc::SYS_flock,
];

/// The programs of the filter, to be applied in this order.
pub(super) fn programs(spec: &Spec) -> Result<Vec<BpfProgram>, BackendError> {
    let has = |capability| spec.capabilities.contains(&capability);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let lists = [
        Some(ALWAYS),
        Some(OLDER),
        has(Capability::Network).then_some(NETWORK),
        has(Capability::StateDir).then_some(STATE_DIR),
    ];
    for number in lists.into_iter().flatten().flatten() {
        rules.insert(*number, Vec::new());
    }
    // A thread, never a process.
    let thread = u64::try_from(libc::CLONE_THREAD).unwrap_or(0);
    rules.insert(libc::SYS_clone, vec![rule(0, SeccompCmpOp::MaskedEq(thread), thread)?]);
    rules.insert(libc::SYS_prctl, vec![rule(0, SeccompCmpOp::Eq, bits(libc::PR_SET_NAME))?]);
    // Of oneself, and only asked for: a null pointer in the place of new limits.
    let asked = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![asked])?]);
    if has(Capability::StateDir) {
        rules.insert(libc::SYS_openat, Vec::new());
    } else {
        // Not O_ACCMODE, which has O_PATH among its bits in musl.
        let writing = libc::O_WRONLY
            | libc::O_RDWR
            | libc::O_CREAT
            | libc::O_TRUNC
            | (libc::O_TMPFILE & !libc::O_DIRECTORY);
        let reading = SeccompCmpOp::MaskedEq(bits(writing));
        rules.insert(libc::SYS_openat, vec![rule(2, reading.clone(), bits(libc::O_RDONLY))?]);
        #[cfg(target_arch = "x86_64")]
        rules.insert(libc::SYS_open, vec![rule(1, reading, bits(libc::O_RDONLY))?]);
    }
    if has(Capability::BpfQuery) {
        let listing: Result<Vec<_>, _> =
            BPF_LISTING.iter().map(|command| rule(0, SeccompCmpOp::Eq, *command)).collect();
        rules.insert(libc::SYS_bpf, listing?);
    }
    let allow = compile(rules, refuse(libc::EPERM), SeccompAction::Allow)?;
    // C libraries take ENOSYS for "use clone instead", whose flags can be looked at; those of clone3 are in memory.
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let absent = compile(absent, SeccompAction::Allow, refuse(libc::ENOSYS))?;
    // The first stays in force under the second, and of two refusals the later program's counts.
    Ok(vec![absent, allow])
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    other: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, other, listed, architecture)?.try_into()
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?])
}

fn refuse(errno: c_int) -> SeccompAction {
    SeccompAction::Errno(u32::try_from(errno).unwrap_or(1))
}

fn bits(flags: c_int) -> u64 {
    u64::from(flags.cast_unsigned())
}
