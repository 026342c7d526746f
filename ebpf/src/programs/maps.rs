//! Maps and read-only globals: everything that the agent sets or reads.

use aya_ebpf::{
    macros::map,
    maps::{Array, LruHashMap, PerCpuArray, RingBuf},
};
use linnet_ebpf::{Counters, FileKey, KINDS, Offsets, RATE_GROUPS, Rate, RateLimit, SCRATCH_LEN};

/// Offsets of this kernel; written by the agent before the programs are loaded.
#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = Offsets::EMPTY;

/// Most bytes of argv to read; settings can lower it below `ARGV_MAX`.
#[unsafe(no_mangle)]
pub static ARGV_LIMIT: u32 = linnet_ebpf::ARGV_MAX;

/// Reads an offset as the constant that the verifier knows it to be.
#[macro_export]
macro_rules! offset {
    ($field:ident) => {
        // SAFETY: a static that nothing writes; volatile because the loader replaces its value after compilation.
        unsafe { core::ptr::read_volatile(&raw const $crate::maps::OFFSETS.$field) }
    };
}

/// The one ring. Its size is set by the loader. It wakes nobody: [`BELL`] does.
#[map]
pub static RING: RingBuf = RingBuf::with_byte_size(4096, 0);

/// The doorbell: a second ring of one page that holds nothing but rings. A ring reads as ready while any record is in it, so a
/// reader that watched [`RING`] itself would be called back for each record it has not asked for.
#[map]
pub static BELL: RingBuf = RingBuf::with_byte_size(4096, 0);

/// Attempted, lost and limited, by kind and CPU.
#[map]
pub static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(KINDS, 0);

/// Where a record is built. One buffer a kind and CPU: since kernel 7 a tracepoint's program can be preempted
/// by another task whose program of another kind runs on the same CPU. (The same program never nests there: the
/// kernel counts that as a recursion miss, which the agent reports as `missed_by_kernel`.)
#[map]
pub static SCRATCH: PerCpuArray<[u8; SCRATCH_LEN]> = PerCpuArray::with_max_entries(KINDS, 0);

/// One word: whether the reader sleeps (`WAKE_NEXT`) or will look by itself (`WAKE_COALESCE`).
#[map]
pub static WAKE: Array<u32> = Array::with_max_entries(1, 0);

/// What one cgroup may send; the agent sets it, also while the programs run.
#[map]
pub static LIMIT: Array<RateLimit> = Array::with_max_entries(1, 0);

/// What each cgroup has sent, by the id that its records carry. Those that were quiet for longest make room.
#[map]
pub static RATES: LruHashMap<u64, Rate> = LruHashMap::with_max_entries(RATE_GROUPS, 0);

/// Files whose hash the agent holds: an exec of any other is worth waking it at once, before a short-lived
/// process takes its files away.
#[map]
pub static KNOWN: LruHashMap<FileKey, u8> = LruHashMap::with_max_entries(4096, 0);
