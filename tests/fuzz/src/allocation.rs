//! No decoder asks for more than this at once, since all inputs are short: whatever asks for more has believed a number in one.
//!
//! libFuzzer has such a limit of its own (`-malloc_limit_mb`), but it needs a sanitizer's hooks, which are not here; and its bound
//! on what is resident does not see memory that was asked for and not touched.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    process::abort,
};

/// Inputs have 64 KiB.
const MAX_BYTES: usize = 8 << 20;

struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

/// Ends the process, which libFuzzer tells with the input.
fn check(bytes: usize) {
    if bytes > MAX_BYTES {
        // Without an allocation: this one is in it.
        let _ = rustix::io::write(std::io::stderr(), b"more than 8 MiB are asked for at once\n");
        abort();
    }
}

// SAFETY: all is the system's allocator's, which keeps the contract.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: as the caller gives it.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: as the caller gives it.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        check(bytes);
        // SAFETY: as the caller gives it.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller gives it.
        unsafe { System.dealloc(block, layout) }
    }
}
