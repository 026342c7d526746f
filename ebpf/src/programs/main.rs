//! The kernel programs: fork, exec and exit of processes, through raw tracepoints.
//!
//! Why raw tracepoints: every kernel since 4.17 grants them, hardened ones included, and
//! `sched_process_exec` fires after the new image is in place, so that argv can be read from it (an argv read at
//! the system call's entry may not be faulted in yet). Every program stands alone: one that a kernel
//! refuses costs one event kind.
//!
//! Rules here: bounded loops, no early return that is neither "not ours" nor counted, no field read by a
//! fixed offset.
#![no_std]
#![no_main]
// For the atomic addition of `rate`; built with the pinned compiler only, as is all that is for this target.
#![feature(core_intrinsics)]
#![allow(internal_features)]

mod cgroup;
mod exec;
mod exit;
mod file;
mod fork;
mod kernel;
mod maps;
mod output;
mod path;
mod rate;
mod task;

/// The kernel's licence check: the helpers used here are reserved to GPL-compatible programs. The programs
/// are dual-licensed, MIT or GPL-2.0.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
