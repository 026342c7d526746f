//! Hostile archives: each trick is one named case, made here byte by byte, and refused for its own reason.
//!
//! After each case: nothing outside of the directory changed, nothing inside is anything but a regular file or a
//! directory, nothing is longer than was signed, and there is no `manifest.json`, which alone makes a release.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's own building blocks: a panic is its failure"
)]

mod cases;
mod tar;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use linnet_fleet::package::{
    Caps, FileMode, ManifestHead, PackageError, PackagePath, Packer, Refusal, Root, Unpacked, unpack,
    verify_tree,
};
use linnet_keys::Sha256Digest;
use proptest::prelude::*;

use crate::cases::{AGENT, NOTES, UNPACKED_BYTES, good_entries};
use crate::tar::{gzip, tar};

/// A place with a directory to unpack into and things beside it that must stay.
struct Place {
    top: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("into")).unwrap();
        fs::write(top.path().join("outside"), "untouched").unwrap();
        Self { top }
    }

    fn tree(&self) -> PathBuf {
        self.top.path().join("into")
    }

    fn unpack(&self, archive: &[u8]) -> Result<Unpacked, PackageError> {
        self.unpack_as(archive, archive.len() as u64, digest(archive))
    }

    fn unpack_as(&self, archive: &[u8], bytes: u64, sha256: Sha256Digest) -> Result<Unpacked, PackageError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(archive).unwrap();
        unpack(&file, bytes, sha256, &Root::open(&self.tree()).unwrap(), Caps::signed(UNPACKED_BYTES))
    }

    /// What is there, as path to kind and content, so that a link or a mode shows.
    fn listing(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut ahead = vec![self.top.path().to_owned()];
        while let Some(directory) = ahead.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let meta = fs::symlink_metadata(&path).unwrap();
                let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
                let name = path.strip_prefix(self.top.path()).unwrap().to_str().unwrap().to_owned();
                found.insert(name, (meta.permissions().mode(), content));
                if meta.is_dir() {
                    ahead.push(path);
                }
            }
        }
        found
    }
}

fn digest(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest::of(bytes)
}

fn good() -> Vec<u8> {
    gzip(&tar(&good_entries()))
}

#[test]
fn a_good_package_becomes_its_tree_and_verifies() {
    let place = Place::new();
    let unpacked = place.unpack(&good()).unwrap();
    let tree: Vec<_> = place.listing().into_iter().filter(|(name, _)| name.starts_with("into/")).collect();
    let manifest = unpacked.manifest().as_bytes().to_vec();
    let expected = [
        ("into/bin", 0o040_755, vec![]),
        ("into/bin/agent", 0o100_755, AGENT.1.to_vec()),
        ("into/manifest.json", 0o100_644, manifest),
        ("into/notes", 0o100_755, NOTES.1.to_vec()),
    ];
    assert_eq!(tree, expected.map(|(name, mode, content)| (name.to_owned(), (mode, content))));
    verify_tree(&Root::open(&place.tree()).unwrap(), unpacked.manifest()).unwrap();
}

#[test]
fn every_trick_is_refused_for_its_reason_and_leaves_nothing() {
    let cases = cases::all();
    for case in &cases {
        let place = Place::new();
        let Err(error) = place.unpack(&case.archive) else { panic!("{} was unpacked", case.name) };
        assert!((case.refused_for)(&error), "{} was refused for another reason: {error}", case.name);
        assert!(!error.to_string().contains('\x1b'), "{}: {error}", case.name);
        let left = place.listing();
        assert_eq!(left.get("outside").unwrap().1, b"untouched", "{}", case.name);
        assert!(!left.contains_key("into/manifest.json"), "{} left a manifest", case.name);
        for (name, (mode, content)) in &left {
            assert!(matches!(mode & 0o170_000, 0o040_000 | 0o100_000), "{} left {name}", case.name);
            assert!(name.as_str() == "outside" || name.starts_with("into"), "{} left {name}", case.name);
            assert!(content.len() as u64 <= UNPACKED_BYTES, "{} left {} bytes", case.name, content.len());
        }
    }
    // Not `println!`, which a passing test hides: the count is part of what the suite says.
    writeln!(std::io::stdout(), "hostile archives: {} cases refused", cases.len()).unwrap();
    assert!(cases.len() > 100);
    let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
}

#[test]
fn another_length_or_digest_is_refused_before_anything_is_parsed() {
    let place = Place::new();
    let before = place.listing();
    // Each of these would also be refused for its form, were it read.
    for archive in [b"<html>".to_vec(), good()] {
        let longer = place.unpack_as(&archive, archive.len() as u64 - 1, digest(&archive)).unwrap_err();
        assert!(matches!(longer, PackageError::Length { .. }), "{longer}");
        let shorter = place.unpack_as(&archive, archive.len() as u64 + 1, digest(&archive)).unwrap_err();
        assert!(matches!(shorter, PackageError::Length { .. }), "{shorter}");
        let other = place.unpack_as(&archive, archive.len() as u64, digest(b"other")).unwrap_err();
        assert!(matches!(other, PackageError::Digest { .. }), "{other}");
    }
    assert_eq!(place.listing(), before);
}

#[test]
fn what_is_not_a_regular_file_is_no_package() {
    let place = Place::new();
    let into = Root::open(&place.tree()).unwrap();
    for path in ["/dev/zero", "/proc/self"] {
        let error = unpack(&File::open(path).unwrap(), 0, digest(b""), &into, Caps::signed(0)).unwrap_err();
        assert!(matches!(error, PackageError::Tree { refusal: Refusal::Kind(_), .. }), "{error}");
    }
}

#[test]
fn only_an_empty_directory_itself_is_unpacked_into() {
    let place = Place::new();
    fs::write(place.tree().join("there"), "first").unwrap();
    let error = place.unpack(&good()).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
    let link = place.top.path().join("link");
    symlink(place.tree(), &link).unwrap();
    assert!(matches!(Root::open(&link), Err(PackageError::Io { .. })));
}

#[test]
fn a_changed_tree_is_told_by_file_and_kind() {
    type Change = fn(&Path);
    let changes: [(&str, &str, Change); 15] = [
        ("content", "bin/agent", |t| fs::write(t.join("bin/agent"), "the aGent").unwrap()),
        ("shorter", "bin/agent", |t| fs::write(t.join("bin/agent"), "the").unwrap()),
        ("emptied", "notes", |t| fs::write(t.join("notes"), "").unwrap()),
        ("removed", "notes", |t| fs::remove_file(t.join("notes")).unwrap()),
        ("directory removed", "bin/agent", |t| fs::remove_dir_all(t.join("bin")).unwrap()),
        ("mode", "bin/agent", |t| mode(&t.join("bin/agent"), 0o777)),
        ("set-uid", "bin/agent", |t| mode(&t.join("bin/agent"), 0o4755)),
        ("directory's mode", "bin", |t| mode(&t.join("bin"), 0o777)),
        ("second name", "notes", |t| fs::hard_link(t.join("notes"), t.join("../notes")).unwrap()),
        ("added", "bin/extra", |t| fs::write(t.join("bin/extra"), "x").unwrap()),
        ("added directory", "extra", |t| fs::create_dir(t.join("extra")).unwrap()),
        ("manifest", "manifest.json", |t| fs::write(t.join("manifest.json"), "{}").unwrap()),
        ("no manifest", "manifest.json", |t| fs::remove_file(t.join("manifest.json")).unwrap()),
        ("link", "notes", |t| {
            fs::rename(t.join("notes"), t.join("../notes")).unwrap();
            symlink("../notes", t.join("notes")).unwrap();
        }),
        ("linked directory", "bin", |t| {
            fs::rename(t.join("bin"), t.join("../bin")).unwrap();
            symlink("../bin", t.join("bin")).unwrap();
        }),
    ];
    for (name, file, change) in changes {
        let place = Place::new();
        let manifest = place.unpack(&good()).unwrap().into_manifest();
        change(&place.tree());
        let error = verify_tree(&Root::open(&place.tree()).unwrap(), &manifest).unwrap_err();
        assert!(error.to_string().contains(file), "{name}: {error}");
    }
}

#[test]
fn a_fifo_in_the_place_of_a_file_holds_nobody_up() {
    let place = Place::new();
    let manifest = place.unpack(&good()).unwrap().into_manifest();
    fs::remove_file(place.tree().join("notes")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o755);
    rustix::fs::mknodat(rustix::fs::CWD, place.tree().join("notes"), rustix::fs::FileType::Fifo, mode, 0)
        .unwrap();
    let error = verify_tree(&Root::open(&place.tree()).unwrap(), &manifest).unwrap_err();
    assert!(matches!(error, PackageError::Tree { refusal: Refusal::Kind(_), .. }), "{error}");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_the_packer_makes_is_unpacked_and_is_the_same_each_time() {
    let place = Place::new();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(90));
    let (agent, empty) = (place.top.path().join("agent"), place.top.path().join("empty"));
    fs::write(&agent, AGENT.1.repeat(100)).unwrap();
    fs::write(&empty, "").unwrap();
    let pack = || {
        let head = ManifestHead {
            kind: "release".to_owned(),
            version: "0.2.0".parse().unwrap(),
            arch: "x86_64".to_owned(),
            minimum_kernel: "5.10".parse().unwrap(),
        };
        let mut packer = Packer::new(head);
        let path = |path: &str| PackagePath::parse(path.as_bytes()).unwrap();
        packer.add(path(&long), FileMode::Plain, &empty).unwrap();
        packer.add(path("bin/agent"), FileMode::Executable, &agent).unwrap();
        let mut package = Vec::new();
        let manifest = packer.write(&mut package).unwrap();
        (package, manifest)
    };
    let (package, manifest) = pack();
    assert_eq!(pack().0, package);
    assert_eq!(place.unpack(&package).unwrap().manifest(), &manifest);
    assert_eq!(fs::read(place.tree().join("bin/agent")).unwrap(), AGENT.1.repeat(100));
    assert_eq!(fs::read(place.tree().join(long)).unwrap(), b"");
    verify_tree(&Root::open(&place.tree()).unwrap(), &manifest).unwrap();
}

proptest! {
    /// Signed as it is, a damaged package either is refused or is the same tree (a bit of gzip's own header).
    #[test]
    fn a_changed_byte_never_unpacks_to_another_tree(at: prop::sample::Index, bit in 0_u32..8) {
        let mut archive = good();
        let at = at.index(archive.len());
        archive[at] ^= 1_u8 << bit;
        let (place, untouched) = (Place::new(), Place::new());
        let signed = untouched.unpack(&good()).unwrap();
        prop_assert!(place.unpack_as(&archive, archive.len() as u64, digest(&good())).is_err());
        if let Ok(unpacked) = place.unpack(&archive) {
            prop_assert_eq!(unpacked.manifest(), signed.manifest());
            prop_assert_eq!(place.listing(), untouched.listing());
        }
    }

    /// The same below gzip, where most bits mean something.
    #[test]
    fn a_changed_byte_of_the_tar_never_unpacks_to_another_tree(at: prop::sample::Index, bit in 0_u32..8) {
        let mut plain = tar(&good_entries());
        let at = at.index(plain.len());
        plain[at] ^= 1_u8 << bit;
        let (place, untouched) = (Place::new(), Place::new());
        let signed = untouched.unpack(&good()).unwrap();
        if let Ok(unpacked) = place.unpack(&gzip(&plain)) {
            prop_assert_eq!(unpacked.manifest().files(), signed.manifest().files());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(Place::new().unpack(&bytes).is_err());
        let mut plain = bytes;
        plain.resize(plain.len().next_multiple_of(512), 0);
        prop_assert!(Place::new().unpack(&gzip(&plain)).is_err());
    }
}
