//! The cgroup of a task: its kernfs path, which names container and pod, and its id.

use linnet_ebpf::{PATH_CUT, Span};

use crate::{
    kernel::{advance, append_str, pointer, read},
    maps::SCRATCH,
    offset,
    path::Position,
};

const NAME_LEN: u32 = 256;
/// Levels that are walked; deeper paths keep the names nearest to the leaf, where runtimes put theirs.
const MAX_LEVELS: u32 = 40;
/// Bytes of one path.
const MAX_BYTES: u32 = 1024;

/// The node of a task's cgroup in kernfs, and its id.
#[derive(Clone, Copy)]
pub struct Node {
    address: u64,
    /// Unique while the machine runs; 0 where it can't be read.
    pub id: u64,
}

/// The cgroup of a task.
///
/// With v1 hierarchies mounted, containers are named in those of the controllers, and the agent has chosen one; a
/// task that is at the root there may still be in a group of the v2 hierarchy (hybrid).
#[inline(always)]
pub fn of_task(task: u64) -> Node {
    let css_set = pointer(task, offset!(task_cgroups));
    let v2 = pointer(pointer(css_set, offset!(css_set_dfl_cgrp)), offset!(cgroup_kn));
    let mut node = v2;
    if offset!(css_set_subsys) != linnet_ebpf::ABSENT {
        let state = pointer(css_set, offset!(css_set_subsys));
        let v1 = pointer(pointer(state, offset!(css_cgroup)), offset!(cgroup_kn));
        if v1 != 0 && (v2 == 0 || pointer(v1, offset!(kernfs_parent)) != 0) {
            node = v1;
        }
    }
    Node { address: node, id: read::<u64>(node, offset!(kernfs_id)) }
}

/// Appends the path of a cgroup, leaf first.
#[inline(always)]
pub fn append_cgroup(kind: u16, start: Position, node: Node, span: &mut Span) -> Position {
    let packed = linnet_append_cgroup(u32::from(kind), start, node.address);
    span.len = packed as u16;
    span.flags = (packed >> 16) as u16;
    advance(start, u32::from(span.len))
}

/// The walk itself; a global function for the reason that `linnet_append_path` gives. Gives length and flags, in 16
/// bits each.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn linnet_append_cgroup(kind: u32, start: u32, node: u64) -> u64 {
    let Some(buffer) = SCRATCH.get_ptr_mut(kind) else { return 0 };
    let buffer: *mut u8 = buffer.cast();
    let mut node = node;
    let start = advance(start, 0);
    let mut position = start;
    let end = start + MAX_BYTES;
    let mut done = false;
    for _ in 0..MAX_LEVELS {
        let parent = pointer(node, offset!(kernfs_parent));
        if parent == 0 {
            done = true;
            break;
        }
        if position > end {
            break;
        }
        position =
            advance(position, append_str(buffer, position, NAME_LEN, pointer(node, offset!(kernfs_name))));
        node = parent;
    }
    let len = position.wrapping_sub(start) as u16;
    let flags = if done { 0 } else { PATH_CUT };
    u64::from(len) | u64::from(flags) << 16
}
