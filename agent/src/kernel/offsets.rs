//! The table of kernel fields: which struct and member each offset of the programs is, and under which names
//! older and newer kernels keep it.
//!
//! A missing required field refuses the start with the field's name; a missing optional one costs what its
//! note says.

use linnet_btf::{Btf, Field};
use linnet_ebpf::Offsets;

/// Why the programs can't be fitted to this kernel.
#[derive(Debug, thiserror::Error)]
pub enum OffsetsError {
    /// The BTF could not be read.
    #[error(transparent)]
    Btf(#[from] linnet_btf::BtfError),
    /// The kernel's BTF lacks fields that nothing can stand in for.
    #[error(
        "this kernel's BTF lacks {0}: its layout is newer or older than this release knows; update linnet or report the kernel version"
    )]
    Missing(String),
}

struct Row {
    slot: fn(&mut Offsets) -> &mut u32,
    structure: &'static str,
    members: &'static [&'static str],
    optional: bool,
}

macro_rules! rows {
    ($($slot:ident = $structure:literal . [$($member:literal),+] $($optional:ident)?;)*) => {
        &[$(Row {
            slot: |offsets| &mut offsets.$slot,
            structure: $structure,
            members: &[$($member),+],
            optional: false $(|| stringify!($optional).len() > 0)?,
        },)*]
    };
}

const ROWS: &[Row] = rows! {
    task_pid = "task_struct".["pid"];
    task_tgid = "task_struct".["tgid"];
    task_flags = "task_struct".["flags"];
    task_comm = "task_struct".["comm"];
    task_real_parent = "task_struct".["real_parent"];
    task_group_leader = "task_struct".["group_leader"];
    task_start_boottime = "task_struct".["start_boottime", "real_start_time"];
    task_exit_code = "task_struct".["exit_code"];
    task_thread_pid = "task_struct".["thread_pid"];
    task_cred = "task_struct".["cred"];
    task_signal = "task_struct".["signal"];
    task_mm = "task_struct".["mm"];
    task_fs = "task_struct".["fs"];
    task_nsproxy = "task_struct".["nsproxy"];
    task_cgroups = "task_struct".["cgroups"] optional;
    task_works = "task_struct".["task_works"];
    task_loginuid = "task_struct".["loginuid"] optional;
    task_sessionid = "task_struct".["sessionid"] optional;
    signal_live = "signal_struct".["live"];
    signal_flags = "signal_struct".["flags"];
    signal_group_exit_code = "signal_struct".["group_exit_code"];
    signal_pids = "signal_struct".["pids"];
    signal_tty = "signal_struct".["tty"] optional;
    tty_name = "tty_struct".["name"] optional;
    pid_level = "pid".["level"];
    pid_numbers = "pid".["numbers"];
    upid_nr = "upid".["nr"];
    upid_ns = "upid".["ns"];
    cred_uid = "cred".["uid"];
    cred_gid = "cred".["gid"];
    cred_euid = "cred".["euid"];
    cred_egid = "cred".["egid"];
    cred_cap_inheritable = "cred".["cap_inheritable"];
    cred_cap_permitted = "cred".["cap_permitted"];
    cred_cap_effective = "cred".["cap_effective"];
    cred_user_ns = "cred".["user_ns"];
    nsproxy_mnt_ns = "nsproxy".["mnt_ns"];
    nsproxy_net_ns = "nsproxy".["net_ns"];
    nsproxy_cgroup_ns = "nsproxy".["cgroup_ns"] optional;
    pid_ns_inum = "pid_namespace".["ns.inum"];
    mnt_ns_inum = "mnt_namespace".["ns.inum"];
    net_ns_inum = "net".["ns.inum"];
    cgroup_ns_inum = "cgroup_namespace".["ns.inum"] optional;
    user_ns_inum = "user_namespace".["ns.inum"];
    mm_arg_start = "mm_struct".["arg_start"];
    mm_arg_end = "mm_struct".["arg_end"];
    mm_exe_file = "mm_struct".["exe_file"];
    fs_pwd = "fs_struct".["pwd"];
    path_mnt = "path".["mnt"];
    path_dentry = "path".["dentry"];
    file_path = "file".["f_path"];
    file_inode = "file".["f_inode"];
    file_flags = "file".["f_flags"];
    // One union under three names: f_u until 5.18, f_rcuhead until 6.6.
    file_task_work = "file".["f_task_work", "f_rcuhead", "f_u"];
    dentry_parent = "dentry".["d_parent"];
    dentry_name = "dentry".["d_name.name"];
    dentry_hash_pprev = "dentry".["d_hash.pprev"];
    vfsmount_root = "vfsmount".["mnt_root"];
    mount_mnt = "mount".["mnt"];
    mount_parent = "mount".["mnt_parent"];
    mount_mountpoint = "mount".["mnt_mountpoint"];
    inode_mode = "inode".["i_mode"];
    inode_uid = "inode".["i_uid"];
    inode_gid = "inode".["i_gid"];
    inode_ino = "inode".["i_ino"];
    inode_nlink = "inode".["i_nlink"];
    inode_size = "inode".["i_size"];
    inode_sb = "inode".["i_sb"];
    // Plain until 6.5, underscored until 6.10, then split into seconds and nanoseconds.
    inode_ctime_sec = "inode".["i_ctime_sec", "__i_ctime.tv_sec", "i_ctime.tv_sec"];
    inode_ctime_nsec = "inode".["i_ctime_nsec", "__i_ctime.tv_nsec", "i_ctime.tv_nsec"];
    inode_mtime_sec = "inode".["i_mtime_sec", "__i_mtime.tv_sec", "i_mtime.tv_sec"];
    inode_mtime_nsec = "inode".["i_mtime_nsec", "__i_mtime.tv_nsec", "i_mtime.tv_nsec"];
    sb_dev = "super_block".["s_dev"];
    sb_magic = "super_block".["s_magic"];
    bprm_filename = "linux_binprm".["filename"];
    bprm_interp = "linux_binprm".["interp"];
    bprm_fdpath = "linux_binprm".["fdpath"] optional;
    bprm_argc = "linux_binprm".["argc"];
    css_set_dfl_cgrp = "css_set".["dfl_cgrp"] optional;
    css_cgroup = "cgroup_subsys_state".["cgroup"] optional;
    cgroup_kn = "cgroup".["kn"] optional;
    // Renamed in 6.15.
    kernfs_parent = "kernfs_node".["__parent", "parent"];
    kernfs_name = "kernfs_node".["name"];
    kernfs_id = "kernfs_node".["id"] optional;
};

/// Resolves the table against a kernel's BTF.
///
/// `v1_controller` names the v1 controller (`pids`, `memory`, …) in whose hierarchy containers are named on this
/// machine; `None` where only the v2 hierarchy is mounted.
///
/// # Errors
/// [`OffsetsError::Missing`] names every required field that was not found.
pub fn resolve(btf: &Btf<'_>, v1_controller: Option<&str>) -> Result<Offsets, OffsetsError> {
    let wants: Vec<Field<'_>> =
        ROWS.iter().map(|row| Field { structure: row.structure, members: row.members }).collect();
    let mut offsets = Offsets::EMPTY;
    let mut missing = Vec::new();
    for (row, place) in ROWS.iter().zip(btf.fields(&wants)?) {
        match place {
            Some(place) => *(row.slot)(&mut offsets) = place.offset_bytes,
            None if row.optional => {}
            None => missing.push(format!("{}.{}", row.structure, row.members.join("|"))),
        }
    }
    match btf.struct_sizes(&["upid"])?.first() {
        Some(Some(size)) => offsets.upid_size = *size,
        _ => missing.push("upid".to_owned()),
    }
    resolve_secureexec(btf, &mut offsets)?;
    if let Some(controller) = v1_controller {
        resolve_subsystem(btf, controller, &mut offsets)?;
    }
    if missing.is_empty() { Ok(offsets) } else { Err(OffsetsError::Missing(missing.join(", "))) }
}

/// A bit field: the programs read the byte it is in and mask it.
fn resolve_secureexec(btf: &Btf<'_>, offsets: &mut Offsets) -> Result<(), OffsetsError> {
    let want = Field { structure: "linux_binprm", members: &["secureexec"] };
    if let Some(Some(place)) = btf.fields(&[want])?.first()
        && place.bit_size == 1
    {
        offsets.bprm_secureexec_byte = place.bit_offset / 8;
        offsets.bprm_secureexec_mask = 1 << (place.bit_offset % 8);
    }
    Ok(())
}

/// The index of a controller in `css_set.subsys` depends on what the kernel was built with.
fn resolve_subsystem(btf: &Btf<'_>, controller: &str, offsets: &mut Offsets) -> Result<(), OffsetsError> {
    const POINTER_LEN: u32 = 8;
    let enumerator = format!("{controller}_cgrp_id");
    let index = btf.enumerators(&[("cgroup_subsys_id", &enumerator)])?;
    let array = btf.fields(&[Field { structure: "css_set", members: &["subsys"] }])?;
    if let (Some(Some(index)), Some(Some(array))) = (index.first(), array.first())
        && let Ok(index) = u32::try_from(*index)
    {
        offsets.css_set_subsys = array.offset_bytes + index * POINTER_LEN;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use linnet_ebpf::ABSENT;

    #[test]
    fn every_stored_kernel_has_all_required_fields() {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/btf/fixtures");
        let mut kernels = 0;
        for entry in std::fs::read_dir(fixtures).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "btf") {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let offsets = resolve(&Btf::parse(&bytes).unwrap(), Some("pids"))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_ne!(offsets.css_set_subsys, ABSENT, "{}", path.display());
            assert_ne!(offsets.bprm_secureexec_byte, ABSENT, "{}", path.display());
            assert_ne!(offsets.bprm_fdpath, ABSENT, "{}", path.display());
            assert_eq!(offsets.upid_size, 16, "{}", path.display());
            kernels += 1;
        }
        assert!(kernels >= 5, "only {kernels} kernels are stored in {fixtures}");
    }

    #[test]
    fn a_missing_required_field_is_named() {
        let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/btf/fixtures/6.18.btf")).unwrap();
        let cut = Btf::parse(&bytes).unwrap();
        let found = cut.fields(&[Field { structure: "task_struct", members: &["no_such_member"] }]).unwrap();
        assert_eq!(found, vec![None]);
    }
}
