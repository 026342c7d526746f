//! Prints how long the running kernel's BTF takes to be resolved, and how much memory above the mapping.
//!
//! `cargo run --release -p linnet-btf --example btf-time [FILE]`

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use linnet_btf::{BtfFile, KERNEL_BTF};

#[path = "../tests/table/mod.rs"]
mod table;

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: each call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE_BYTES.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK_BYTES.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn main() -> Result<(), linnet_btf::BtfError> {
    let path = std::env::args().nth(1).unwrap_or_else(|| KERNEL_BTF.into());
    for run in ["cold", "warm", "warm"] {
        let resident_kb = resident_kb();
        let begin = Instant::now();
        let file = BtfFile::open(&path)?;
        let opened = begin.elapsed();
        let before = LIVE_BYTES.load(Relaxed);
        PEAK_BYTES.store(before, Relaxed);
        let btf = file.btf()?;
        let parsed = begin.elapsed();
        let fields = btf.fields(table::FIELDS)?;
        let queried = begin.elapsed();
        let values = btf.enumerators(table::ENUMERATORS)?;
        let sizes = btf.struct_sizes(table::STRUCTS)?;
        let done = begin.elapsed();
        println!(
            "{run}: {} types, {} bytes {}; {} fields, {} enumerators, {} sizes",
            btf.type_count(),
            file.bytes().len(),
            if file.is_mapped() { "mapped" } else { "read" },
            fields.iter().flatten().count(),
            values.iter().flatten().count(),
            sizes.iter().flatten().count(),
        );
        println!(
            "  open {opened:?}, parse {:?}, fields {:?}, enumerators and sizes {:?}, all {done:?}",
            parsed - opened,
            queried - parsed,
            done - queried,
        );
        println!(
            "  heap above the blob: {} bytes at peak; resident (VmRSS) grew by {} kB",
            PEAK_BYTES.load(Relaxed) - before,
            self::resident_kb().saturating_sub(resident_kb),
        );
    }
    Ok(())
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
