//! How full the ring is: its two positions, read where the kernel keeps them.
//!
//! The kernel maps the consumer's and the producer's position as the first two pages of a ring buffer (`kernel/bpf/ringbuf.c`), and grants
//! both for reading. The map's library has them too and does not tell. Reading costs two loads and no system call.

use std::{
    io,
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The two pages.
pub struct Fill {
    pages: NonNull<std::ffi::c_void>,
    page_bytes: usize,
    ring_bytes: u64,
}

impl Fill {
    /// Maps the positions of a ring buffer of this size.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn new(ring: impl AsFd, ring_bytes: u64) -> io::Result<Self> {
        let page_bytes = rustix::param::page_size();
        // SAFETY: a new mapping at an address of the kernel's choice, of pages that are only ever read as atomic words.
        let pages = unsafe {
            mmap(std::ptr::null_mut(), page_bytes * 2, ProtFlags::READ, MapFlags::SHARED, ring, 0)?
        };
        let pages = NonNull::new(pages).ok_or_else(|| io::Error::other("a mapping at address 0"))?;
        Ok(Self { pages, page_bytes, ring_bytes })
    }

    /// Bytes of records that wait in the ring, their headers included.
    pub fn bytes(&self) -> u64 {
        let consumer = self.position(0);
        let producer = self.position(1);
        // The consumer may have moved on between the two loads, never beyond what was there.
        producer.saturating_sub(consumer).min(self.ring_bytes)
    }

    /// Size of the ring.
    pub fn ring_bytes(&self) -> u64 {
        self.ring_bytes
    }

    fn position(&self, page: usize) -> u64 {
        // SAFETY: both pages are mapped as long as `self` lives, each begins with an aligned word that the kernel and
        // the reader only access as a whole (`unsigned long`, `smp_store_release`).
        let word = unsafe { self.pages.byte_add(page * self.page_bytes).cast::<AtomicU64>().as_ref() };
        word.load(Ordering::Acquire)
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and nothing refers to it any more.
        let unmapped = unsafe { munmap(self.pages.as_ptr(), self.page_bytes * 2) };
        if let Err(error) = unmapped {
            log::debug!("positions of the ring: {error}");
        }
    }
}
