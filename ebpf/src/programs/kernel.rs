//! Reading kernel memory: by offset, never faulting, zero where nothing can be read.

use core::{ffi::c_void, mem::MaybeUninit};

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user};
use linnet_ebpf::{ABSENT, TAIL_CAP};

/// Types for which every bit pattern is a value.
pub trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for i32 {}
impl Plain for u64 {}
impl Plain for i64 {}
impl<const N: usize> Plain for [u8; N] {}

/// The field at `offset` in the object at `base`; zero when the pointer is null or bad, or this kernel lacks the field.
#[inline(always)]
pub fn read<T: Plain>(base: u64, offset: u32) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    if offset != ABSENT {
        // SAFETY: `value` is writable for its size; the helper checks the source and zeroes on a fault.
        unsafe {
            bpf_probe_read_kernel(
                value.as_mut_ptr().cast(),
                size_of::<T>() as u32,
                base.wrapping_add(u64::from(offset)) as *const c_void,
            );
        }
    }
    // SAFETY: `T` is plain data, and initialised: zeroed above, then filled by the helper.
    unsafe { value.assume_init() }
}

/// The pointer at `offset` in the object at `base`.
#[inline(always)]
pub fn pointer(base: u64, offset: u32) -> u64 {
    read::<u64>(base, offset)
}

/// A position in the scratch buffer, kept below [`TAIL_CAP`] in a way that the verifier can follow.
#[inline(always)]
pub fn at(buffer: *mut u8, position: u32) -> *mut u8 {
    // SAFETY: the mask keeps the position inside the buffer, which is longer than TAIL_CAP by the longest write.
    unsafe { buffer.add((position & (TAIL_CAP - 1)) as usize) }
}

/// Moves a position on. The mask never cuts (the walks stop well below TAIL_CAP); it gives the verifier the same range in
/// every round of a loop, so that it recognises a state it has seen, where a growing range would have it
/// explore each combination of steps (a million instructions are soon reached).
#[inline(always)]
pub fn advance(position: u32, len: u32) -> u32 {
    position.wrapping_add(len) & (TAIL_CAP - 1)
}

/// Appends a NUL-terminated kernel string of at most `max` bytes, NUL included, and gives its length with the NUL,
/// or 0 when it can't be read.
#[inline(always)]
pub fn append_str(buffer: *mut u8, position: u32, max: u32, source: u64) -> u32 {
    if source == 0 {
        return 0;
    }
    // SAFETY: `at` keeps the target inside the buffer, and `max` is not above the slack behind TAIL_CAP.
    let n = unsafe { bpf_probe_read_kernel_str(at(buffer, position).cast(), max, source as *const c_void) };
    if n < 0 || n > i64::from(max) { 0 } else { n as u32 }
}

/// Copies `len` bytes of the current process to `position`, which the caller has bounded. False on a fault.
#[inline(always)]
pub fn copy_user(buffer: *mut u8, position: usize, len: u32, source: u64) -> bool {
    // SAFETY: the callers' constant position and bounded length stay inside the buffer.
    unsafe { bpf_probe_read_user(buffer.add(position).cast(), len, source as *const c_void) == 0 }
}
