//! A bound on the records of one cgroup, so that one that is noisy can't fill the ring for all others.
//!
//! The generic cell rate algorithm: a cgroup has one number, the moment at which all that it has sent would have been due at the
//! allowed rate. Each record moves it on by one interval, and a record that finds it too far ahead is left out. There is nothing to
//! refill, and no interval at whose edge twice the rate would pass.
//!
//! What is left out is counted by kind and CPU in [`crate::maps::COUNTERS`], exactly; what stands in [`RATES`] says which cgroup it
//! was. That is forgotten with a cgroup that was quiet for longest when there are more than the map holds.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use linnet_ebpf::{KIND_FORK, RATE_KINDS, RATE_QUIET_NS, Rate, RateLimit};

use crate::maps::{LIMIT, RATES};

/// Whether a record of this kind may still be sent for the cgroup. A cgroup that can't be told is not limited.
///
/// A global function, verified once by itself. Returns 0 or 1.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn linnet_within_rate(kind: u32, cgroup_id: u64) -> u32 {
    let Some(limit) = LIMIT.get_ptr(0) else { return 1 };
    // SAFETY: an entry of an array map, which is never freed while the program runs; the agent may change it meanwhile.
    let RateLimit { interval_ns, burst_ns } = unsafe { core::ptr::read_volatile(limit) };
    if interval_ns == 0 || cgroup_id == 0 {
        return 1;
    }
    // SAFETY: has no preconditions.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let Some(rate) = RATES.get_ptr_mut(&cgroup_id) else {
        let rate =
            Rate { due_ns: now.wrapping_add(interval_ns), first_ns: 0, last_ns: 0, limited: [0; RATE_KINDS] };
        // An entry of another CPU, made in the same moment, is replaced; a map without room refuses: this record is sent in any case.
        let _ = RATES.insert(&cgroup_id, &rate, 0);
        return 1;
    };
    // SAFETY: an entry of a map that is alive while the program runs. Other CPUs change it at the same time: counts are added
    // atomically, and of two moments one stays, which is at most one record more.
    let rate = unsafe { &mut *rate };
    let ahead = rate.due_ns.wrapping_sub(now);
    // Before now, or never: nothing is owed.
    if ahead as i64 <= 0 {
        rate.due_ns = now.wrapping_add(interval_ns);
        return 1;
    }
    // An exec says all that a fork does, and an end that is missing leaves a process in the agent's table: forks go first.
    let most = if kind == u32::from(KIND_FORK) { burst_ns / 2 } else { burst_ns };
    if ahead <= most {
        add(&mut rate.due_ns, interval_ns);
        return 1;
    }
    // Another CPU may have come later and been faster: then that moment lies ahead of this one.
    let since_last = now.wrapping_sub(rate.last_ns) as i64;
    if rate.last_ns == 0 || since_last > RATE_QUIET_NS as i64 {
        rate.first_ns = now;
    }
    rate.last_ns = now;
    // The mask is a bound that the verifier can follow.
    if let Some(count) = rate.limited.get_mut(kind as usize & (RATE_KINDS - 1)) {
        add(count, 1);
    }
    0
}

/// Adds without losing what another CPU adds (`BPF_ATOMIC_ADD`, which kernels have known from the beginning, as long as nobody asks
/// for the former value). `core` has no atomics for this target but the intrinsic.
#[inline(always)]
fn add(number: &mut u64, by: u64) {
    // SAFETY: aligned, as a field of a map's value, and alive as long as the reference.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(number, by) };
}
