//! Which pages of a file are in the page cache: `mincore(2)` on a mapping that is never touched.
//!
//! Why not `preadv2(RWF_NOWAIT)`, which needs no mapping: overlayfs refuses it, and so does tmpfs (both on 6.18).
//! `cachestat(2)` looks at the overlay's own, empty, mapping. A mapping of an overlay's file is one of the real file, on
//! every kernel. Where the caller may not know (`can_do_mincore`: neither owner nor allowed to write), the kernel says
//! that all is resident, and nothing is dropped.
//!
//! The only file of this crate with unsafe code: rustix has no `mincore`.
#![expect(unsafe_code, reason = "mmap, munmap and mincore")]

use std::ffi::c_void;
use std::ops::Range;
use std::os::fd::AsFd;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A mapping without access rights, of the whole file.
#[derive(Debug)]
pub(crate) struct Residency {
    start: *mut c_void,
    len: usize,
    page: usize,
    pages: Vec<u8>,
}

impl Residency {
    /// `None` where the file cannot be mapped.
    pub(crate) fn of(fd: impl AsFd, size: u64) -> Option<Self> {
        let len = usize::try_from(size).ok().filter(|&len| len > 0)?;
        // SAFETY: a new mapping at an address that the kernel chooses; PROT_NONE: nothing reads or writes through it, so
        // that truncation of the file cannot raise SIGBUS.
        let start = unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::empty(), MapFlags::PRIVATE, fd, 0) };
        let page = rustix::param::page_size();
        start.ok().map(|start| Self { start, len, page, pages: Vec::new() })
    }

    /// Page-aligned ranges within `offset..offset + len` that are not in the page cache. Empty when unknown.
    pub(crate) fn absent(&mut self, offset: u64, len: usize) -> Vec<Range<u64>> {
        let Ok(offset) = usize::try_from(offset) else { return Vec::new() };
        let first = offset - offset % self.page;
        let end = offset.saturating_add(len).min(self.len);
        if first >= end {
            return Vec::new();
        }
        self.pages.clear();
        self.pages.resize((end - first).div_ceil(self.page), 1);
        // SAFETY: `first` is page-aligned and `first..end` lies in the mapping of `self.len` bytes; `pages` has one byte
        // for each page of it, and mincore writes nothing else.
        let result = unsafe {
            libc::mincore(self.start.cast::<u8>().add(first).cast(), end - first, self.pages.as_mut_ptr())
        };
        if result == 0 { runs(&self.pages, first, self.page) } else { Vec::new() }
    }
}

impl Drop for Residency {
    fn drop(&mut self) {
        // SAFETY: the mapping that `of` made, with its length; no reference into it was ever made.
        let _ = unsafe { munmap(self.start, self.len) };
    }
}

/// Runs of pages whose lowest bit is not set.
fn runs(pages: &[u8], first: usize, page: usize) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for (index, flags) in pages.iter().enumerate() {
        if flags & 1 != 0 {
            continue;
        }
        let start = (first + index * page) as u64;
        let end = start + page as u64;
        match runs.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_absent_pages_are_one_run() {
        assert_eq!(runs(&[1, 0, 0, 1, 0], 8, 4), [12..20, 24..28]);
        assert_eq!(runs(&[], 0, 4), []);
        assert_eq!(runs(&[1, 0xff], 0, 4), []);
    }

    #[test]
    fn what_lies_outside_the_file_is_not_asked_for() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10_000).unwrap();
        assert!(Residency::of(&file, 0).is_none());
        let mut residency = Residency::of(&file, 10_000).unwrap();
        assert!(residency.absent(10_000, 1).iter().all(|run| run.start >= 8192));
        assert_eq!(residency.absent(1 << 40, 4096), []);
        assert!(residency.absent(0, usize::MAX).iter().all(|run| run.end <= 12_288));
        file.set_len(0).unwrap();
        let _ = residency.absent(0, 10_000);
    }

    #[test]
    fn pages_of_an_overlays_file_are_those_of_its_layer() {
        use std::io::Write as _;
        use std::process::Command;
        let name = "pages_of_an_overlays_file_are_those_of_its_layer";
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["lower", "upper", "work", "merged"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        let len = 1 << 20;
        std::fs::write(at("lower/file"), vec![1; len]).unwrap();
        let lower = std::fs::File::open(at("lower/file")).unwrap();
        lower.sync_all().unwrap();
        let dirs = dir.path().display();
        let options = format!("lowerdir={dirs}/lower,upperdir={dirs}/upper,workdir={dirs}/work");
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "overlay", "-o", &options]).arg(at("merged"));
        if !mount.output().is_ok_and(|output| output.status.success()) {
            let _ = writeln!(std::io::stderr(), "SKIPPED {name}: needs root and overlayfs");
            return;
        }
        let absent = {
            let merged = std::fs::File::open(at("merged/file")).unwrap();
            let mut residency = Residency::of(&merged, len as u64).unwrap();
            let before = residency.absent(0, len);
            rustix::fs::fadvise(&merged, 0, None, rustix::fs::Advice::DontNeed).unwrap();
            (before, residency.absent(0, len))
        };
        let of_lower = Residency::of(&lower, len as u64).unwrap().absent(0, len);
        assert!(Command::new("umount").arg(at("merged")).status().unwrap().success());
        assert_eq!(absent.0, []);
        assert_eq!(absent.1, of_lower);
    }
}
