//! Sending a record: counted before, counted when lost, and the reader woken only when that is worth it.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns},
};
use linnet_ebpf::{Header, RECORD_VERSION, TAIL_CAP, WAKE_COALESCE};

use crate::{
    maps::{BELL, COUNTERS, RING, SCRATCH, WAKE},
    rate::linnet_within_rate,
};

/// Whether the reader must come at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// When it next looks.
    Lazy,
    /// Now: what the record speaks of may be gone in a moment.
    Now,
}

/// A record that was begun, and so is counted as attempted.
pub struct Begun {
    /// Buffer of [`linnet_ebpf::SCRATCH_LEN`] bytes.
    pub buffer: *mut u8,
    kind: u16,
    seq: u64,
}

/// Counts an attempt and gives the buffer, unless the cgroup has sent too much, which is counted too. (A program without the map's
/// entry would return `None` as well, which the kernel excludes for indices below the map's size.)
#[inline(always)]
pub fn begin(kind: u16, cgroup_id: u64) -> Option<Begun> {
    let counters = COUNTERS.get_ptr_mut(u32::from(kind))?;
    // SAFETY: a per-CPU map value; this program does not nest on one CPU.
    let seq = unsafe {
        (*counters).attempted += 1;
        (*counters).attempted
    };
    if linnet_within_rate(u32::from(kind), cgroup_id) == 0 {
        // SAFETY: as above.
        unsafe { (*counters).limited += 1 };
        return None;
    }
    let buffer = SCRATCH.get_ptr_mut(u32::from(kind))?;
    Some(Begun { buffer: buffer.cast(), kind, seq })
}

/// Fills the header and writes `len` bytes of the buffer to the ring.
#[inline(always)]
pub fn finish(begun: &Begun, len: u32, urgency: Urgency) {
    // The mask is no cut: the tail's writers stop well below TAIL_CAP. It tells the verifier the bound.
    let len = len & (TAIL_CAP - 1);
    let header = begun.buffer.cast::<Header>();
    // SAFETY: the buffer is longer than a header and aligned to 8, as every map value is.
    unsafe {
        *header = Header {
            len,
            kind: begun.kind,
            version: RECORD_VERSION,
            seq: begun.seq,
            boot_ns: bpf_ktime_get_boot_ns(),
            cpu: bpf_get_smp_processor_id() as u32,
            reserved: 0,
        };
    }
    // SAFETY: `len` is below the buffer's size.
    let record = unsafe { core::slice::from_raw_parts(begun.buffer, len as usize) };
    if RING.output::<[u8]>(record, u64::from(BPF_RB_NO_WAKEUP)).is_err()
        && let Some(counters) = COUNTERS.get_ptr_mut(u32::from(begun.kind))
    {
        // SAFETY: as in `begin`.
        unsafe { (*counters).lost += 1 };
    }
    if wake(urgency) {
        // A full bell is one that has not been heard yet: nothing is lost by that.
        let _ = BELL.output::<u64>(begun.seq, u64::from(BPF_RB_FORCE_WAKEUP));
    }
}

/// Takes the reader's request to be woken, if it made one.
///
/// Two CPUs that both see the request both wake it, which is harmless. A record written between the reader's
/// last look and its request is found by the reader's second look, one coalescing period later.
#[inline(always)]
fn wake(urgency: Urgency) -> bool {
    let Some(word) = WAKE.get_ptr_mut(0) else { return true };
    // SAFETY: an aligned word in a map that is never freed while the program is attached.
    unsafe {
        if core::ptr::read_volatile(word) != WAKE_COALESCE {
            core::ptr::write_volatile(word, WAKE_COALESCE);
            return true;
        }
    }
    urgency == Urgency::Now
}
