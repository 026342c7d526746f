//! Databases of package managers.

use std::{fs, path::Path};

use linnet_packages::{
    Package, dpkg,
    ownership::{Question, dpkg_lists, read_dpkg_list},
    rpm,
};

use crate::{place, repair, seed::taken};

/// dpkg's status, or a list of files. There are no more packages than paragraphs, and only a path that stands in the list as a
/// line is owned.
pub fn dpkg(bytes: &[u8]) {
    let root = place::empty("dpkg");
    let put = |path: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
    };
    put(dpkg::STATUS);
    put("var/lib/dpkg/status.d/base");
    put("var/lib/dpkg/info/base.list");
    for database in dpkg::databases(&root) {
        let mut packages = dpkg::Packages::open(&database).unwrap();
        let mut found = 0;
        while let Some(package) = packages.next_package().unwrap() {
            found += 1;
            assert!(!package.name.is_empty());
            shown(&package);
        }
        assert!(found <= bytes.len() / "Package:a\n".len() + 1, "{found} packages");
    }
    let mut question = Question::default();
    question.ask(b"/usr/bin/dash");
    for list in dpkg_lists(&root).unwrap() {
        read_dpkg_list(&list, &mut question).unwrap();
    }
    if question.is_owned(b"/usr/bin/dash") {
        taken();
    }
    let stands =
        bytes.split(|byte| *byte == b'\n').any(|line| matches!(line, b"/usr/bin/dash" | b"/bin/dash"));
    assert!(stands || !question.is_owned(b"/usr/bin/dash"), "a path is owned that is in no list");
}

/// rpm's databases; the first byte says which: SQLite, SQLite with a log behind it, Berkeley DB, or one header in a Berkeley DB that
/// is well. A reading ends, and there are no more packages than the file has room for. A log that is not what was written is none:
/// another bit of the first byte damages it.
pub fn rpm(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let root = place::empty("rpm");
    let directory = root.join("var/lib/rpm");
    fs::create_dir_all(&directory).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(directory.join(name), bytes).unwrap();
    match kind % 4 {
        0 => put("rpmdb.sqlite", bytes),
        1 => {
            // As many pages of the database as its header says, or half of all; the rest is its log.
            let page_bytes =
                bytes.get(16..18).map_or(512, |two| usize::from(u16::from_be_bytes([two[0], two[1]])));
            let pages = bytes.get(31).map_or(1, |pages| usize::from(*pages));
            let at = (page_bytes * pages).min(bytes.len());
            let (database, log) = bytes.split_at(at);
            let mut log = log.to_vec();
            repair::write_ahead_log(&mut log, page_bytes);
            put("rpmdb.sqlite", database);
            if let (4, Some(sum)) = (kind & 4, log.get_mut(32 + 16)) {
                *sum ^= 1;
                let without = read(&root);
                put("rpmdb.sqlite-wal", &log);
                assert_eq!(read(&root), without, "a log counts whose checksum is wrong");
            }
            put("rpmdb.sqlite-wal", &log);
        }
        2 => put("Packages", bytes),
        _ => put("Packages", &berkeley_db(bytes)),
    }
    let found = read(&root).len();
    // A header with a name and a version has 42 bytes.
    assert!(found <= bytes.len() / 32 + 4, "{found} packages out of {} bytes", bytes.len());
}

fn read(root: &Path) -> Vec<Package> {
    let mut found = Vec::new();
    for database in rpm::databases(root) {
        let Ok(mut packages) = rpm::Packages::open(&database) else { continue };
        while let Ok(Some(package)) = packages.next_package() {
            shown(&package);
            found.push(package);
        }
    }
    found
}

fn shown(package: &Package) {
    let _ = (package.key(), package.full_version());
    taken();
}

/// A hash of two pages with one value.
fn berkeley_db(value: &[u8]) -> Vec<u8> {
    const PAGE: usize = 65_536;
    let value = &value[..value.len().min(PAGE - 64)];
    let mut file = vec![0; 2 * PAGE];
    file[12..16].copy_from_slice(&0x0006_1561_u32.to_le_bytes());
    file[20..24].copy_from_slice(&65_536_u32.to_le_bytes());
    let page = &mut file[PAGE..];
    page[20..22].copy_from_slice(&2_u16.to_le_bytes());
    page[25] = 13;
    let key_at = PAGE - 5;
    let value_at = key_at - 1 - value.len();
    page[26..28].copy_from_slice(&u16::try_from(key_at).unwrap().to_le_bytes());
    page[28..30].copy_from_slice(&u16::try_from(value_at).unwrap().to_le_bytes());
    page[key_at] = 1;
    page[value_at] = 1;
    page[value_at + 1..key_at].copy_from_slice(value);
    file
}
