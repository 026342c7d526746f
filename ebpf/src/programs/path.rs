//! Paths: names from a dentry upward, leaf first.
//!
//! `bpf_d_path` is not granted to raw tracepoints, so the walk that it does is done here, without its locks: a rename in the same
//! instant can mix an old and a new name, which user space notices when the file it opens has another inode.

use linnet_ebpf::{PATH_CUT, PATH_DETACHED, PathSpan};

use crate::{
    kernel::{advance, append_str, pointer},
    maps::SCRATCH,
    offset,
};

/// NAME_MAX and its NUL.
const NAME_LEN: u32 = 256;
/// Names and mounts of one path.
const MAX_STEPS: u32 = 64;
/// Names between a bind mount's root and the root of its file system.
const MAX_BIND_STEPS: u32 = 24;
/// Bytes of one path; the tail has room for four of them behind a full argv.
const MAX_BYTES: u32 = 1024;

/// Position after what was appended.
pub type Position = u32;

/// Appends the path of `dentry` on `mnt` (a `struct vfsmount *`) and gives the position behind it.
#[inline(always)]
pub fn append_path(kind: u16, start: Position, mnt: u64, dentry: u64, span: &mut PathSpan) -> Position {
    let packed = linnet_append_path(u32::from(kind), start, mnt, dentry);
    span.below = packed as u16;
    span.above = (packed >> 16) as u16;
    span.bind = (packed >> 32) as u16;
    span.flags = (packed >> 48) as u16;
    advance(start, u32::from(span.below) + u32::from(span.above) + u32::from(span.bind))
}

/// The walk itself. A global function of numbers alone: the verifier checks such a function once, for all its callers (since 5.6), where it
/// would follow a static one anew from each call, and from each state it is called in: 850 ms instead of some 30.
///
/// Gives the lengths of the three lists and the flags, in 16 bits each.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn linnet_append_path(kind: u32, start: u32, mnt: u64, dentry: u64) -> u64 {
    let Some(buffer) = SCRATCH.get_ptr_mut(kind) else { return 0 };
    let buffer: *mut u8 = buffer.cast();
    let mut flags = 0u16;
    let mut mount = mnt.wrapping_sub(u64::from(offset!(mount_mnt)));
    let mut root = pointer(mnt, offset!(vfsmount_root));
    let first_root = root;
    let mut dentry = dentry;
    let start = advance(start, 0);
    let mut position = start;
    let end = start + MAX_BYTES;
    let mut below_end = 0;
    let mut done = false;
    for _ in 0..MAX_STEPS {
        if dentry == root {
            if below_end == 0 {
                below_end = position;
            }
            let parent = pointer(mount, offset!(mount_parent));
            if parent == mount || parent == 0 {
                done = true;
                break;
            }
            dentry = pointer(mount, offset!(mount_mountpoint));
            mount = parent;
            root = pointer(mount.wrapping_add(u64::from(offset!(mount_mnt))), offset!(vfsmount_root));
            continue;
        }
        let parent = pointer(dentry, offset!(dentry_parent));
        if parent == dentry || parent == 0 {
            // The root of a file system that is not the root of this mount: an anonymous file, or a lazily
            // unmounted tree.
            flags |= PATH_DETACHED;
            if parent == dentry && below_end == 0 {
                let name = pointer(dentry, offset!(dentry_name));
                position = advance(position, append_str(buffer, position, NAME_LEN, name));
            }
            done = true;
            break;
        }
        if position > end {
            break;
        }
        position =
            advance(position, append_str(buffer, position, NAME_LEN, pointer(dentry, offset!(dentry_name))));
        dentry = parent;
    }
    if !done {
        flags |= PATH_CUT;
    }
    if below_end == 0 {
        below_end = position;
    }
    let below = below_end.wrapping_sub(start) as u16;
    let above = position.wrapping_sub(below_end) as u16;
    let bind_start = position;
    if flags & PATH_DETACHED == 0 {
        position = append_bind(buffer, position, first_root);
    }
    let bind = position.wrapping_sub(bind_start) as u16;
    u64::from(below) | u64::from(above) << 16 | u64::from(bind) << 32 | u64::from(flags) << 48
}

/// Appends the names from a mount's root to the root of its file system: none but for a bind mount.
#[inline(always)]
fn append_bind(buffer: *mut u8, start: Position, root: u64) -> Position {
    let mut position = advance(start, 0);
    let end = position + MAX_BYTES / 2;
    let mut dentry = root;
    for _ in 0..MAX_BIND_STEPS {
        let parent = pointer(dentry, offset!(dentry_parent));
        if parent == dentry || parent == 0 || position > end {
            break;
        }
        position =
            advance(position, append_str(buffer, position, NAME_LEN, pointer(dentry, offset!(dentry_name))));
        dentry = parent;
    }
    position
}
