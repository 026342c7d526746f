//! What the sensor asks of a kernel: the fields, enumerators and structs that every fixture must resolve.

#![allow(dead_code, clippy::allow_attributes, reason = "each user of this module takes a part of it")]

use linnet_btf::Field;

macro_rules! fields {
    ($($structure:ident { $($($member:literal)|+),+ $(,)? })+) => {
        &[$($(Field { structure: stringify!($structure), members: &[$($member),+] }),+),+]
    };
}

/// Required on every kernel.
pub const FIELDS: &[Field<'static>] = fields! {
    task_struct {
        "start_boottime", "loginuid", "sessionid", "real_parent", "group_leader", "exit_code", "thread_pid",
        "task_works", "cgroups", "nsproxy", "fs", "mm", "real_cred", "cred", "signal", "pid", "tgid", "comm",
        "flags", "self_exec_id",
    }
    linux_binprm {
        "secureexec", "have_execfd", "filename", "interp", "fdpath", "file", "executable", "mm", "argc", "p",
        "cred",
    }
    mm_struct { "arg_start", "arg_end", "env_start", "exe_file" }
    file {
        "f_path", "f_path.mnt", "f_path.dentry", "f_inode", "f_flags",
        "f_task_work" | "f_rcuhead" | "f_u.fu_rcuhead" | "f_u",
    }
    path { "mnt", "dentry" }
    vfsmount { "mnt_root", "mnt_sb" }
    mount { "mnt", "mnt_parent", "mnt_mountpoint", "mnt_ns", "mnt_id" }
    dentry { "d_name", "d_name.name", "d_name.len", "d_hash.pprev", "d_parent", "d_inode", "d_sb" }
    qstr { "name", "len" }
    inode {
        "i_mode", "i_nlink", "i_ino", "i_sb", "i_size", "i_uid", "i_gid",
        "i_ctime_sec" | "__i_ctime.tv_sec" | "i_ctime.tv_sec",
        "i_ctime_nsec" | "__i_ctime.tv_nsec" | "i_ctime.tv_nsec",
        "i_mtime_sec" | "__i_mtime.tv_sec" | "i_mtime.tv_sec",
        "i_mtime_nsec" | "__i_mtime.tv_nsec" | "i_mtime.tv_nsec",
    }
    super_block { "s_dev", "s_magic", "s_root", "s_type" }
    timespec64 { "tv_sec", "tv_nsec" }
    cred {
        "uid", "gid", "suid", "euid", "egid", "fsuid", "cap_inheritable", "cap_permitted", "cap_effective",
        "cap_bset", "cap_ambient", "user_ns",
    }
    user_namespace { "ns", "ns.inum", "level", "parent" }
    ns_common { "inum" }
    nsproxy { "mnt_ns", "net_ns", "cgroup_ns", "uts_ns", "pid_ns_for_children" }
    mnt_namespace { "ns.inum" }
    net { "ns.inum" }
    cgroup_namespace { "ns.inum" }
    pid_namespace { "ns.inum", "level" }
    uts_namespace { "ns.inum" }
    pid { "numbers", "level" }
    upid { "nr", "ns" }
    signal_struct { "live", "pids", "tty", "group_exit_code", "flags" }
    tty_struct { "driver", "index", "name" }
    fs_struct { "pwd", "pwd.mnt", "pwd.dentry", "root", "root.mnt", "root.dentry" }
    css_set { "subsys", "dfl_cgrp" }
    cgroup_subsys_state { "cgroup" }
    cgroup { "kn", "level" }
    kernfs_node { "name", "__parent" | "parent", "id" }
    callback_head { "next", "func" }
    list_head { "next", "prev" }
    hlist_bl_node { "next", "pprev" }
    kuid_t { "val" }
    kgid_t { "val" }
    kernel_cap_t { "val" | "cap" }
};

/// Required on every kernel.
pub const ENUMERATORS: &[(&str, &str)] = &[
    ("cgroup_subsys_id", "pids_cgrp_id"),
    ("cgroup_subsys_id", "memory_cgrp_id"),
    ("cgroup_subsys_id", "cpu_cgrp_id"),
    ("cgroup_subsys_id", "CGROUP_SUBSYS_COUNT"),
    ("pid_type", "PIDTYPE_PID"),
    ("pid_type", "PIDTYPE_TGID"),
    ("pid_type", "PIDTYPE_PGID"),
    ("pid_type", "PIDTYPE_SID"),
];

/// The structs whose fields are asked for. `kernel_cap_struct` went away in 6.3; the typedef stayed.
pub const STRUCTS: &[&str] = &[
    "task_struct",
    "linux_binprm",
    "mm_struct",
    "file",
    "path",
    "vfsmount",
    "mount",
    "dentry",
    "qstr",
    "inode",
    "super_block",
    "timespec64",
    "cred",
    "user_namespace",
    "ns_common",
    "nsproxy",
    "mnt_namespace",
    "net",
    "cgroup_namespace",
    "pid_namespace",
    "uts_namespace",
    "pid",
    "upid",
    "signal_struct",
    "tty_struct",
    "fs_struct",
    "css_set",
    "cgroup_subsys_state",
    "cgroup",
    "kernfs_node",
    "callback_head",
    "list_head",
    "hlist_bl_node",
    "kuid_t",
    "kgid_t",
    "kernel_cap_t",
];
