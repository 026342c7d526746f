use proptest::prelude::*;

use super::*;

const HOST: &[u8] = b"\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
60 27 254:0 /var/lib/docker/volumes/v/_data /mnt/with\\040space rw - ext4 /dev/vda rw
61 27 0:45 / /var/lib/docker/overlay2/abc/merged rw,relatime shared:7 master:3 - overlay overlay rw,lowerdir=/x
62 27 254:0 /etc/hosts /srv/hosts rw - ext4 /dev/vda rw
63 27 0:50 /@/data /data rw - btrfs /dev/vdb rw,subvol=/@/data
64 27 254:0 /gone//deleted /srv/gone rw - ext4 /dev/vda rw
65 27 259:1048575 / /deep rw - xfs /dev/nvme0n1p1 rw
";

fn found(dev: u32, path: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let table = MountTable::parse(HOST);
    table.candidates(dev, path).iter().map(|place| (text(place.mount_point), text(place.below))).collect()
}

fn pairs(places: &[(&str, &str)]) -> Vec<(String, String)> {
    places.iter().map(|(point, below)| ((*point).to_owned(), (*below).to_owned())).collect()
}

#[test]
fn file_is_sought_in_every_mount_that_shows_it_whole_file_system_first() {
    let root = kernel_dev(254, 0);
    assert_eq!(found(root, b"/bin/ls"), pairs(&[("/", "bin/ls")]));
    assert_eq!(
        found(root, b"/var/lib/docker/volumes/v/_data/run"),
        pairs(&[("/", "var/lib/docker/volumes/v/_data/run"), ("/mnt/with space", "run")])
    );
    assert_eq!(found(root, b"/etc/hosts"), pairs(&[("/", "etc/hosts"), ("/srv/hosts", "")]));
    assert_eq!(
        found(kernel_dev(0, 45), b"/bin/busybox"),
        pairs(&[("/var/lib/docker/overlay2/abc/merged", "bin/busybox")])
    );
    assert_eq!(found(kernel_dev(259, 1_048_575), b"/a"), pairs(&[("/deep", "a")]));
}

#[test]
fn file_outside_the_mounted_part_has_no_place() {
    assert_eq!(found(kernel_dev(0, 50), b"/@/data/x"), pairs(&[("/data", "x")]));
    assert_eq!(found(kernel_dev(0, 50), b"/@/database/x"), pairs(&[]));
    assert_eq!(found(kernel_dev(0, 50), b"/x"), pairs(&[]));
    assert_eq!(found(kernel_dev(0, 99), b"/x"), pairs(&[]));
    assert_eq!(found(kernel_dev(0, 21), b"/self/exe"), pairs(&[]), "proc holds no executables");
}

#[test]
fn hostile_path_has_no_place() {
    for path in
        [&b"/../etc/passwd"[..], b"/a/../b", b"/a/./b", b"//a", b"/a/", b"a", b"", b"/", b"/a\0b", b"/.."]
    {
        assert_eq!(found(kernel_dev(254, 0), path), pairs(&[]), "{path:?}");
    }
    assert_eq!(found(kernel_dev(254, 0), b"/..a/b.."), pairs(&[("/", "..a/b..")]));
}

#[test]
fn mount_id_gives_the_device() {
    let table = MountTable::parse(HOST);
    assert_eq!(table.dev_of_mount(63), Some(kernel_dev(0, 50)));
    assert_eq!(table.dev_of_mount(1), None);
    assert!(table.bytes() < 1024);
}

#[test]
fn broken_lines_are_passed_over() {
    let text = b"\n1\n1 2\n1 2 3 / /\n1 2 3:4 / / rw\n1 2 3:4 / / rw - \n1 2 x:4 / / rw - ext4 a b\n\
        1 2 9999:4 / / rw - ext4 a b\n7 2 3:4 / /ok rw - ext4";
    assert_eq!(MountTable::parse(text).candidates(kernel_dev(3, 4), b"/f").len(), 1);
}

#[test]
fn mounts_and_candidates_are_capped() {
    let text: String = (0..20_000).map(|id| format!("{id} 1 8:1 / /m{id} rw - ext4 s o\n")).collect();
    let table = MountTable::parse(text.as_bytes());
    assert_eq!(table.mounts.len(), MAX_MOUNTS);
    assert_eq!(table.candidates(kernel_dev(8, 1), b"/f").len(), MAX_CANDIDATES);
}

/// As `mangle()` of the kernel's `fs/proc_namespace.c` writes it.
fn escaped(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in name {
        if b" \t\n\\#".contains(&byte) {
            out.extend_from_slice(format!("\\{byte:03o}").as_bytes());
        } else {
            out.push(byte);
        }
    }
    out
}

proptest! {
    #[test]
    fn any_bytes_are_survived(text in prop::collection::vec(any::<u8>(), 0..400), path in prop::collection::vec(any::<u8>(), 0..40)) {
        let table = MountTable::parse(&text);
        let _ = table.candidates(0, &path);
    }

    #[test]
    fn torn_text_is_survived(cut in 0..HOST.len(), flip in 0..HOST.len(), byte in any::<u8>()) {
        let mut text = HOST.to_vec();
        text[flip] = byte;
        text.truncate(cut);
        let table = MountTable::parse(&text);
        let _ = table.candidates(kernel_dev(254, 0), b"/bin/ls");
    }

    #[test]
    fn escaped_names_come_back(name in prop::collection::vec(1u8..=255, 1..60)) {
        let mut out = Vec::new();
        unescape_into(&escaped(&name), &mut out);
        prop_assert_eq!(out, name);
    }

    #[test]
    fn stripping_undoes_joining(root in "(/[a-c]{1,2}){0,3}", below in "[a-c]{1,2}(/[a-c]{1,2}){0,3}") {
        let root = if root.is_empty() { "/".to_owned() } else { root };
        let joined = format!("{}/{below}", root.trim_end_matches('/'));
        prop_assert_eq!(strip_root(joined.as_bytes(), root.as_bytes()), Some(below.as_bytes()));
    }

    #[test]
    fn what_is_stripped_was_whole_components(path in "(/[a-b]{1,2}){1,4}", root in "(/[a-b]{1,2}){1,4}") {
        let expected = if path == root {
            Some("")
        } else {
            path.strip_prefix(&format!("{root}/"))
        };
        prop_assert_eq!(strip_root(path.as_bytes(), root.as_bytes()), expected.map(str::as_bytes));
    }
}
