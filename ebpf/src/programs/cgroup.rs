//! The cgroup of a task: its kernfs path, which names container and pod, and its id.

use linnet_ebpf::{PATH_CUT, Span, TAIL_CAP};

use crate::{
    kernel::{append_str, pointer, read},
    offset,
    path::Position,
};

const NAME_LEN: u32 = 256;
/// Levels that are walked; deeper paths keep the names nearest to the leaf, where runtimes put theirs.
const MAX_LEVELS: u32 = 40;
/// Bytes of one path.
const MAX_BYTES: u32 = 1024;

/// Appends the cgroup path of `task`, leaf first, and gives its kernfs id.
///
/// With v1 hierarchies mounted, containers are named in those of the controllers, and the agent has chosen one; a
/// task that is at the root there may still be in a group of the v2 hierarchy (hybrid).
#[inline(always)]
pub fn append_cgroup(buffer: *mut u8, start: Position, task: u64, span: &mut Span, id: &mut u64) -> Position {
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
    *id = read::<u64>(node, offset!(kernfs_id));
    append_names(buffer, start, node, span)
}

#[inline(never)]
fn append_names(buffer: *mut u8, start: Position, node: u64, span: &mut Span) -> Position {
    let mut node = node;
    let mut position = start & (TAIL_CAP - 1);
    let end = position + MAX_BYTES;
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
        position += append_str(buffer, position, NAME_LEN, pointer(node, offset!(kernfs_name)));
        node = parent;
    }
    span.len = position.wrapping_sub(start) as u16;
    span.flags = if done { 0 } else { PATH_CUT };
    position
}
