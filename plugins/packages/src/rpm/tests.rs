//! Against databases that rpm itself has made, and against what is left of them when bytes are lost or changed.

use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;

/// Files in the large package: its header takes many pages.
const MANY: usize = 2000;

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
        || Command::new(program).arg("-V").output().is_ok()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A root with an rpm database in SQLite: a package with everything, one with 2000 files, and its subpackage.
fn installed() -> Option<tempfile::TempDir> {
    if !has("rpmbuild") {
        eprintln!("NOT RUN: rpm is not installed, so there is no real database to read");
        return None;
    }
    let room = tempfile::tempdir().unwrap();
    let spec = format!(
        "Name: linnet-probe\nVersion: 1.2\nRelease: 3\nEpoch: 4\nSummary: probe\nLicense: MIT\nVendor: The Finches\n\
         BuildArch: noarch\n%description\nx\n%package -n linnet-large\nSummary: large\nEpoch: 0\n\
         %description -n linnet-large\ny\n%install\nmkdir -p %{{buildroot}}/opt/large\ncd %{{buildroot}}/opt/large\n\
         seq {MANY} | xargs touch\n%files\n%files -n linnet-large\n/opt/large\n"
    );
    fs::write(room.path().join("probe.spec"), spec).unwrap();
    let top = format!("_topdir {}", room.path().join("top").display());
    run(Command::new("rpmbuild").current_dir(room.path()).args([
        "--quiet",
        "--define",
        &top,
        "-bb",
        "probe.spec",
    ]));
    let packages = room.path().join("top/RPMS/noarch");
    let path = room.path().join("var/lib/rpm");
    fs::create_dir_all(&path).unwrap();
    let mut rpm = Command::new("rpm");
    rpm.arg("--dbpath").arg(&path).args(["-i", "--justdb", "--nodeps"]);
    rpm.args(fs::read_dir(packages).unwrap().map(|entry| entry.unwrap().path()));
    run(&mut rpm);
    Some(room)
}

fn read(root: &Path) -> Result<Vec<Package>, RpmError> {
    let mut found = Vec::new();
    for database in databases(root) {
        let mut packages = Packages::open(&database)?;
        while let Some(package) = packages.next_package()? {
            found.push(package);
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

fn expect_probes(found: &[Package]) {
    let [large, probe] = found else { panic!("{found:?}") };
    assert_eq!((large.name.as_str(), large.full_version().as_str()), ("linnet-large", "0:1.2-3"));
    assert_eq!((probe.name.as_str(), probe.full_version().as_str()), ("linnet-probe", "4:1.2-3"));
    assert_eq!(probe.key(), "rpm:linnet-probe:noarch");
    assert_eq!(probe.vendor.as_deref(), Some("The Finches"));
    assert_eq!((large.source.as_deref(), probe.source.as_deref()), (Some("linnet-probe"), None));
}

#[test]
fn a_database_that_rpm_made_is_read_whole() {
    let Some(room) = installed() else { return };
    expect_probes(&read(room.path()).unwrap());
    // Under its second name it is the same.
    fs::create_dir_all(room.path().join("usr/lib/sysimage")).unwrap();
    std::os::unix::fs::symlink("../../../var/lib/rpm", room.path().join("usr/lib/sysimage/rpm")).unwrap();
    assert_eq!(databases(room.path()).len(), 1);
}

#[test]
fn what_waits_in_the_log_counts_as_far_as_it_is_committed() {
    let Some(room) = installed() else { return };
    let path = room.path().join("var/lib/rpm/rpmdb.sqlite");
    // As a running rpm leaves it: committed rows in the log, and some that are not.
    let script = "import os, sqlite3, sys\n\
        c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA journal_mode=WAL'); c.execute('PRAGMA wal_autocheckpoint=0')\n\
        blob = c.execute(\"SELECT blob FROM Packages ORDER BY length(blob)\").fetchone()[0]\n\
        c.execute('INSERT INTO Packages(blob) VALUES (?)', (blob.replace(b'linnet-probe\\0', b'linnet-extra\\0'),)); c.commit()\n\
        c.execute('PRAGMA cache_size=1'); c.execute('DELETE FROM Packages'); os._exit(0)\n";
    run(Command::new("python3").arg("-c").arg(script).arg(&path));
    assert!(fs::metadata(sqlite::log_of(&path)).unwrap().len() > 0);
    let names: Vec<_> = read(room.path()).unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["linnet-extra", "linnet-large", "linnet-probe"]);
    // A log whose end is lost counts up to what is whole.
    let log = fs::read(sqlite::log_of(&path)).unwrap();
    fs::write(sqlite::log_of(&path), &log[..200]).unwrap();
    assert_eq!(read(room.path()).unwrap().len(), 2);
}

#[test]
fn a_berkeley_db_is_read_as_rpm_reads_it() {
    let Some(room) = installed() else { return };
    if !has("db5.3_load") {
        eprintln!("NOT RUN: db5.3_load is not installed, so there is no real Berkeley DB to read");
        return;
    }
    let path = room.path().join("var/lib/rpm");
    // The same headers, in a hash made by Berkeley DB's own program.
    let script = "import sqlite3, sys\n\
        print('VERSION=3\\nformat=bytevalue\\ntype=hash\\ndb_pagesize=4096\\nHEADER=END\\n 00000000\\n 03000000')\n\
        for number, blob in sqlite3.connect(sys.argv[1]).execute('SELECT hnum, blob FROM Packages'):\n\
        \x20   print(' ' + number.to_bytes(4, 'little').hex() + '\\n ' + blob.hex())\n\
        print('DATA=END')\n";
    let dump = Command::new("python3").arg("-c").arg(script).arg(path.join("rpmdb.sqlite")).output().unwrap();
    fs::write(room.path().join("dump"), &dump.stdout).unwrap();
    fs::remove_file(path.join("rpmdb.sqlite")).unwrap();
    run(Command::new("db5.3_load").arg("-f").arg(room.path().join("dump")).arg(path.join("Packages")));
    expect_probes(&read(room.path()).unwrap());
    damaged(room.path(), &path.join("Packages"));
}

#[test]
fn damage_is_told_and_never_believed() {
    let Some(room) = installed() else { return };
    damaged(room.path(), &room.path().join("var/lib/rpm/rpmdb.sqlite"));
}

/// Cuts and changes a database everywhere; every reading ends, with packages or an error.
fn damaged(root: &Path, path: &Path) {
    let whole = fs::read(path).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 64) {
        fs::write(path, &whole[..at]).unwrap();
        let _ = read(root);
    }
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    // Where the structure is: the first bytes of a page decide more than the others.
    let changes = proptest::collection::vec((0..whole.len() / 512, 0_usize..48, any::<u8>()), 1..6);
    for _ in 0..300 {
        let changes = changes.new_tree(&mut runner).unwrap().current();
        let mut bytes = whole.clone();
        for (sector, offset, byte) in changes {
            bytes[sector * 512 + offset] = byte;
        }
        fs::write(path, &bytes).unwrap();
        if let Ok(found) = read(root) {
            assert!(found.len() < 1000, "{} packages of two", found.len());
        }
    }
    fs::write(path, &whole).unwrap();
}

/// A Berkeley DB hash of three pages of 512 bytes: the head, a page of pairs, and one of what is too long for it.
fn berkeley_db(pairs: &[(u16, u16)], items: &[u8], overflow: &[u8]) -> tempfile::TempDir {
    let room = tempfile::tempdir().unwrap();
    let mut file = vec![0; 3 * 512];
    file[12..16].copy_from_slice(&0x0006_1561_u32.to_le_bytes());
    file[20..24].copy_from_slice(&512_u32.to_le_bytes());
    file[512 + 20..][..2].copy_from_slice(&u16::try_from(2 * pairs.len()).unwrap().to_le_bytes());
    file[512 + 25] = 13;
    let places = pairs.iter().flat_map(|(key, value)| [*key, *value]).flat_map(u16::to_le_bytes);
    let places: Vec<u8> = places.collect();
    file[512 + 26..][..places.len()].copy_from_slice(&places);
    file[1024 - items.len()..1024].copy_from_slice(items);
    file[1024..][..overflow.len()].copy_from_slice(overflow);
    let path = room.path().join("var/lib/rpm");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("Packages"), file).unwrap();
    room
}

#[test]
fn a_chain_of_pages_that_leads_back_into_itself_ends_soon() {
    // A megabyte, of which each page gives one byte, and its next page is itself.
    let item = [&[3, 0, 0, 0][..], &2_u32.to_le_bytes(), &(1_u32 << 20).to_le_bytes()].concat();
    let mut overflow = [0; 512];
    overflow[16..20].copy_from_slice(&2_u32.to_le_bytes());
    overflow[22..24].copy_from_slice(&1_u16.to_le_bytes());
    overflow[25] = 7;
    let room = berkeley_db(&[(512, 500)], &item, &overflow);
    let began = std::time::Instant::now();
    let error = read(room.path()).unwrap_err().to_string();
    assert!(error.contains("share their pages"), "{error}");
    assert!(began.elapsed().as_millis() < 500, "{:?}", began.elapsed());
}

#[test]
fn values_that_lie_over_each_other_are_no_values() {
    // Each is the last 300 bytes of the page but for the key.
    let header = [&[1][..], &[0; 8], &[0; 300 - 9]].concat();
    let one = berkeley_db(&[(511, 211)], &[&header[..], &[1]].concat(), &[]);
    assert!(read(one.path()).unwrap().is_empty());
    let many = berkeley_db(&[(511, 211); 20], &[&header[..], &[1]].concat(), &[]);
    assert!(matches!(read(many.path()), Err(RpmError::Malformed(_))));
}

#[test]
fn a_format_that_is_not_read_is_told() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("usr/lib/sysimage/rpm");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("Packages.db"), b"RpmP").unwrap();
    assert!(matches!(read(room.path()), Err(RpmError::Unsupported)));
    assert!(databases(Path::new("/nonexistent")).is_empty());
}

proptest! {
    #[test]
    fn any_header_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400), count in 0_u32..12) {
        let mut bytes = bytes;
        if bytes.len() > 4 {
            bytes[..4].copy_from_slice(&count.to_be_bytes());
        }
        if let Ok(header) = Header::parse(&bytes) {
            let _ = header.package();
        }
    }
}
