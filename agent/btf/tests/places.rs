//! Every field of the sensor's table against the BTF of each supported kernel.
//!
//! `fixtures/<kernel>.btf` is cut by `examples/btf-cut.rs`; `fixtures/<kernel>.places` is what must come out
//! of it, written anew by `LINNET_WRITE_PLACES=1 cargo test -p linnet-btf`. The stored offsets, bits and
//! values were compared with what a C compiler makes of bpftool's header of the full BTF.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what a test builds on has to be there")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use linnet_btf::{BtfFile, Field, KERNEL_BTF};

mod table;

const KERNELS: [&str; 5] = ["5.10", "6.1", "6.12", "6.18", "7.2"];

fn fixture(kernel: &str, kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("{kernel}.{kind}"))
}

fn render(path: &Path) -> String {
    let file = BtfFile::open(path).unwrap();
    let btf = file.btf().unwrap();
    let mut text = String::new();
    for (want, place) in table::FIELDS.iter().zip(btf.fields(table::FIELDS).unwrap()) {
        let Field { structure, members } = want;
        match place {
            Some(place) => {
                let member = members[place.member];
                write!(text, "{structure}.{member} {} {}", place.offset_bytes, place.size_bytes).unwrap();
                if place.bit_size != 0 {
                    write!(text, " bits {}+{}", place.bit_offset, place.bit_size).unwrap();
                }
                text.push('\n');
            }
            None => writeln!(text, "{structure}.{} missing", members.join("|")).unwrap(),
        }
    }
    for ((name, enumerator), value) in
        table::ENUMERATORS.iter().zip(btf.enumerators(table::ENUMERATORS).unwrap())
    {
        writeln!(text, "{name} {enumerator} = {}", value.map_or("missing".into(), |value| value.to_string()))
            .unwrap();
    }
    for (name, size) in table::STRUCTS.iter().zip(btf.struct_sizes(table::STRUCTS).unwrap()) {
        writeln!(text, "sizeof {name} = {}", size.map_or("missing".into(), |size| size.to_string())).unwrap();
    }
    text
}

#[test]
fn every_kernel_resolves_the_whole_table() {
    for kernel in KERNELS {
        let text = render(&fixture(kernel, "btf"));
        let golden = fixture(kernel, "places");
        if std::env::var_os("LINNET_WRITE_PLACES").is_some() {
            std::fs::write(&golden, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&golden).unwrap(), "{kernel}");
        assert!(!text.contains("missing"), "{kernel}:\n{text}");
    }
}

#[test]
fn the_running_kernel_resolves_the_whole_table() {
    if !Path::new(KERNEL_BTF).exists() {
        eprintln!("NOT RUN: the running kernel has no {KERNEL_BTF}");
        return;
    }
    let text = render(Path::new(KERNEL_BTF));
    assert!(!text.contains("missing"), "{text}");
}

#[test]
fn a_renamed_member_tells_which_alternative_it_is() {
    let parent = Field { structure: "kernfs_node", members: &["__parent", "parent"] };
    for (kernel, member) in [("5.10", 1), ("6.1", 1), ("6.12", 1), ("6.18", 0), ("7.2", 0)] {
        let file = BtfFile::open(fixture(kernel, "btf")).unwrap();
        let places = file.btf().unwrap().fields(&[parent]).unwrap();
        assert_eq!(places[0].unwrap().member, member, "{kernel}");
    }
}

#[test]
fn what_no_kernel_has_is_none_and_not_an_error() {
    let wants = [
        Field { structure: "file", members: &["f_nothing"] },
        Field { structure: "no_such_struct", members: &["f_path"] },
        Field { structure: "file", members: &[] },
        Field { structure: "file", members: &[""] },
        Field { structure: "", members: &["f_path"] },
        Field { structure: "file", members: &["f_path."] },
        Field { structure: "file", members: &["f_path.mnt.mnt_sb"] },
        Field { structure: "file", members: &["f_flags.x"] },
        Field { structure: "file", members: &["f_path\0"] },
        Field { structure: "filf", members: &["f_path"] },
        Field { structure: "fil", members: &["f_path"] },
    ];
    for kernel in KERNELS {
        let file = BtfFile::open(fixture(kernel, "btf")).unwrap();
        let btf = file.btf().unwrap();
        assert_eq!(btf.fields(&wants).unwrap(), vec![None; wants.len()], "{kernel}");
        assert_eq!(btf.fields(&[]).unwrap(), [], "{kernel}");
        let values = [("cgroup_subsys_id", "no_cgrp_id"), ("no_enum", "pids_cgrp_id"), ("", "")];
        assert_eq!(btf.enumerators(&values).unwrap(), [None; 3], "{kernel}");
        assert_eq!(btf.struct_sizes(&["no_such_struct", "", "int"]).unwrap(), [None; 3], "{kernel}");
    }
}
