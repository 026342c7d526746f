//! What the kernel says, or a file in its place.

use linnet_btf::{Btf, BtfFile, Field};

use crate::{place, record, seed::taken};

/// Records of the ring: the kernel side is trusted, another release's is not. No more is named than was there.
pub fn record(bytes: &[u8]) {
    // In the ring a record is aligned to 8.
    let mut words = vec![0_u64; bytes.len().div_ceil(8)];
    let target = zerocopy::IntoBytes::as_mut_bytes(&mut *words);
    target[..bytes.len()].copy_from_slice(bytes);
    let aligned = &zerocopy::IntoBytes::as_bytes(&*words)[..bytes.len()];
    let _ = record::kind(aligned);
    let mut out = Vec::new();
    match record::decode(aligned) {
        Ok(record::Record::Exec(exec)) => {
            let body = exec.body;
            for (path, span) in
                [(&exec.exe, body.exe_path), (&exec.script, body.script_path), (&exec.cwd, body.cwd)]
            {
                let lengths = [path.below, path.above, path.bind].map(<[u8]>::len);
                let stated = [span.below, span.above, span.bind].map(usize::from);
                assert_eq!(lengths, stated, "a part of a path is not as long as the record says");
            }
            for path in [&exec.exe, &exec.script, &exec.cwd, &exec.cgroup] {
                told(path, &mut out);
            }
            assert!(exec.argv.len() <= bytes.len() && exec.filename.len() <= bytes.len());
        }
        Ok(record::Record::Fork(fork)) => fork.cgroup.write_in_namespace(&mut out),
        Ok(record::Record::Exit(_)) => {}
        Err(_) => return,
    }
    taken();
    assert!(out.len() <= 16 * (bytes.len() + 64), "paths of {} bytes out of {}", out.len(), bytes.len());
}

/// A path that is not whole does not look as if it were.
fn told(path: &record::Path<'_>, out: &mut Vec<u8>) {
    let _ = (path.leaf(), path.is_empty());
    let start = out.len();
    path.write_in_namespace(out);
    assert!(!path.is_cut() || out[start..].starts_with("…".as_bytes()), "a cut path looks whole");
    let start = out.len();
    path.write_in_filesystem(out);
    let is_whole = !path.is_cut() && !path.is_detached();
    assert!(is_whole || out.len() == start, "a path in a file system that nobody walked to its root");
}

/// A cgroup path, as another runtime names it. What is said to be an id stands in the path, and whatever the path lies below has
/// no say in it.
pub fn cgroup(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(found) = linnet_container::parse(&text) {
        assert!(text.contains(found.id) && !found.id.is_empty(), "{:?} is an id of {text:?}", found.id);
        for above in ["/lxc", "/garden", "/machine-m.scope", "/systemd-nspawn@m.service"] {
            let deeper = format!("{above}/{text}");
            let id = linnet_container::parse(&deeper).map(|found| found.id);
            assert_eq!(id, Some(found.id), "what lies above changes the id");
        }
        taken();
    }
}

/// BTF: the kernel's own, or a file that somebody names.
pub fn btf(bytes: &[u8]) {
    if let Ok(btf) = Btf::parse(bytes) {
        ask(&btf);
    }
}

fn ask(btf: &Btf<'_>) {
    let wants = [
        Field { structure: "task_struct", members: &["tgid"] },
        Field { structure: "task_struct", members: &["mm.exe_file", "exe_file"] },
        Field { structure: "kernfs_node", members: &["__parent", "parent"] },
    ];
    if btf.fields(&wants).is_ok() {
        taken();
    }
    let _ = btf.enumerators(&[("cgroup_subsys_id", "pids_cgrp_id")]);
    let _ = btf.struct_sizes(&["task_struct", "file"]);
}

/// A kernel's image with BTF in it. What is found lies in the file.
pub fn elf(bytes: &[u8]) {
    let path = place::file("vmlinux", bytes);
    if let Ok(file) = BtfFile::open(&path) {
        assert!(file.bytes().len() <= bytes.len());
        if let Ok(btf) = file.btf() {
            ask(&btf);
        }
    }
}
