//! What the kernel knows of a file.

use linnet_ebpf::{FILE_FLAG_UNHASHED, FileFacts, FileKey};

use crate::{
    kernel::{pointer, read},
    offset,
};

/// Since 6.13 the top bits of the change time's nanoseconds may say that the time was queried (`I_CTIME_QUERIED`).
const NSEC_MASK: u32 = 0x3fff_ffff;

/// The mount and dentry of a `struct file *`.
#[inline(always)]
pub fn location(file: u64) -> (u64, u64) {
    let path = file.wrapping_add(u64::from(offset!(file_path)));
    (pointer(path, offset!(path_mnt)), pointer(path, offset!(path_dentry)))
}

/// Reads the facts of a `struct file *`; all zero when it is null.
#[inline(always)]
pub fn read_facts(file: u64, facts: &mut FileFacts) {
    let inode = pointer(file, offset!(file_inode));
    let sb = pointer(inode, offset!(inode_sb));
    let (_, dentry) = location(file);
    facts.inode = read::<u64>(inode, offset!(inode_ino));
    facts.size = read::<u64>(inode, offset!(inode_size));
    facts.ctime_sec = read::<i64>(inode, offset!(inode_ctime_sec));
    facts.mtime_sec = read::<i64>(inode, offset!(inode_mtime_sec));
    facts.ctime_nsec = read::<u32>(inode, offset!(inode_ctime_nsec)) & NSEC_MASK;
    facts.mtime_nsec = read::<u32>(inode, offset!(inode_mtime_nsec)) & NSEC_MASK;
    facts.fs_magic = read::<u64>(sb, offset!(sb_magic));
    facts.dev = read::<u32>(sb, offset!(sb_dev));
    facts.nlink = read::<u32>(inode, offset!(inode_nlink));
    facts.uid = read::<u32>(inode, offset!(inode_uid));
    facts.gid = read::<u32>(inode, offset!(inode_gid));
    facts.mode = u32::from(read::<u16>(inode, offset!(inode_mode)));
    facts.flags =
        if dentry != 0 && pointer(dentry, offset!(dentry_hash_pprev)) == 0 { FILE_FLAG_UNHASHED } else { 0 };
}

/// The key under which the agent knows the file.
#[inline(always)]
pub fn key(facts: &FileFacts) -> FileKey {
    FileKey { inode: facts.inode, ctime_sec: facts.ctime_sec, ctime_nsec: facts.ctime_nsec, dev: facts.dev }
}
