//! Where the running kernel keeps the fields that the programs read.
//!
//! rustc emits no CO-RE relocations, so the agent resolves each field from the kernel's BTF and hands the
//! whole table over as a read-only global before the programs are verified. The verifier then sees plain
//! constants, and drops the code behind a field that this kernel lacks.

/// The value of an offset for a field that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

macro_rules! table {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Byte offsets of kernel fields (and a few constants that differ between kernels).
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(not(target_arch = "bpf"), derive(zerocopy::IntoBytes, zerocopy::Immutable))]
        pub struct Offsets { $($(#[$doc])* pub $name: u32,)* }

        /// The names of the fields of [`Offsets`], in their order.
        pub const NAMES: &[&str] = &[$(stringify!($name),)*];

        impl Offsets {
            /// A table in which nothing is resolved yet.
            pub const EMPTY: Self = Self { $($name: ABSENT,)* };
        }
    };
}

table! {
    /// `task_struct.pid`
    task_pid,
    /// `task_struct.tgid`
    task_tgid,
    /// `task_struct.flags`
    task_flags,
    /// `task_struct.comm`
    task_comm,
    /// `task_struct.real_parent`
    task_real_parent,
    /// `task_struct.group_leader`
    task_group_leader,
    /// `task_struct.start_boottime`, `real_start_time` before 5.5
    task_start_boottime,
    /// `task_struct.exit_code`
    task_exit_code,
    /// `task_struct.thread_pid`
    task_thread_pid,
    /// `task_struct.cred`
    task_cred,
    /// `task_struct.signal`
    task_signal,
    /// `task_struct.mm`
    task_mm,
    /// `task_struct.fs`
    task_fs,
    /// `task_struct.nsproxy`
    task_nsproxy,
    /// `task_struct.cgroups`
    task_cgroups,
    /// `task_struct.task_works`
    task_works,
    /// `task_struct.loginuid`, absent without audit
    task_loginuid,
    /// `task_struct.sessionid`, absent without audit
    task_sessionid,
    /// `signal_struct.live`
    signal_live,
    /// `signal_struct.flags`
    signal_flags,
    /// `signal_struct.group_exit_code`
    signal_group_exit_code,
    /// `signal_struct.pids`, an array of `struct pid *`
    signal_pids,
    /// `signal_struct.tty`
    signal_tty,
    /// `tty_struct.name`
    tty_name,
    /// `pid.level`
    pid_level,
    /// `pid.numbers`
    pid_numbers,
    /// `upid.nr`
    upid_nr,
    /// `upid.ns`
    upid_ns,
    /// size of `struct upid`
    upid_size,
    /// `cred.uid`
    cred_uid,
    /// `cred.gid`
    cred_gid,
    /// `cred.euid`
    cred_euid,
    /// `cred.egid`
    cred_egid,
    /// `cred.cap_inheritable`
    cred_cap_inheritable,
    /// `cred.cap_permitted`
    cred_cap_permitted,
    /// `cred.cap_effective`
    cred_cap_effective,
    /// `cred.user_ns`
    cred_user_ns,
    /// `nsproxy.mnt_ns`
    nsproxy_mnt_ns,
    /// `nsproxy.net_ns`
    nsproxy_net_ns,
    /// `nsproxy.cgroup_ns`
    nsproxy_cgroup_ns,
    /// `pid_namespace.ns.inum`
    pid_ns_inum,
    /// `mnt_namespace.ns.inum`
    mnt_ns_inum,
    /// `net.ns.inum`
    net_ns_inum,
    /// `cgroup_namespace.ns.inum`
    cgroup_ns_inum,
    /// `user_namespace.ns.inum`
    user_ns_inum,
    /// `mm_struct.arg_start`
    mm_arg_start,
    /// `mm_struct.arg_end`
    mm_arg_end,
    /// `mm_struct.exe_file`
    mm_exe_file,
    /// `fs_struct.pwd`
    fs_pwd,
    /// `path.mnt`
    path_mnt,
    /// `path.dentry`
    path_dentry,
    /// `file.f_path`
    file_path,
    /// `file.f_inode`
    file_inode,
    /// `file.f_flags`
    file_flags,
    /// `file.f_task_work`, `f_rcuhead` or `f_u` in older kernels: what queues a deferred `fput`
    file_task_work,
    /// `dentry.d_parent`
    dentry_parent,
    /// `dentry.d_name.name`
    dentry_name,
    /// `dentry.d_hash.pprev`: null when the dentry was unlinked
    dentry_hash_pprev,
    /// `vfsmount.mnt_root`
    vfsmount_root,
    /// `mount.mnt`
    mount_mnt,
    /// `mount.mnt_parent`
    mount_parent,
    /// `mount.mnt_mountpoint`
    mount_mountpoint,
    /// `inode.i_mode`
    inode_mode,
    /// `inode.i_uid`
    inode_uid,
    /// `inode.i_gid`
    inode_gid,
    /// `inode.i_ino`
    inode_ino,
    /// `inode.i_nlink`
    inode_nlink,
    /// `inode.i_size`
    inode_size,
    /// `inode.i_sb`
    inode_sb,
    /// seconds of the inode's change time
    inode_ctime_sec,
    /// nanoseconds of the inode's change time
    inode_ctime_nsec,
    /// seconds of the inode's modification time
    inode_mtime_sec,
    /// nanoseconds of the inode's modification time
    inode_mtime_nsec,
    /// `super_block.s_dev`
    sb_dev,
    /// `super_block.s_magic`
    sb_magic,
    /// `linux_binprm.filename`
    bprm_filename,
    /// `linux_binprm.interp`
    bprm_interp,
    /// `linux_binprm.fdpath`
    bprm_fdpath,
    /// `linux_binprm.argc`
    bprm_argc,
    /// byte that holds the bit field `linux_binprm.secureexec`
    bprm_secureexec_byte,
    /// mask of `secureexec` in that byte
    bprm_secureexec_mask,
    /// `css_set.dfl_cgrp`
    css_set_dfl_cgrp,
    /// `css_set.subsys[…]` of the v1 controller whose paths name containers on this machine
    css_set_subsys,
    /// `cgroup_subsys_state.cgroup`
    css_cgroup,
    /// `cgroup.kn`
    cgroup_kn,
    /// `kernfs_node.parent`, `__parent` since 6.15
    kernfs_parent,
    /// `kernfs_node.name`
    kernfs_name,
    /// `kernfs_node.id`
    kernfs_id,
}
