use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;
use crate::package::{FileMode, pack};

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self, bytes: &[u8]) -> Result<Bundle, BundleError> {
        let path: PathBuf = self.0.path().join("bundle.tar");
        fs::write(&path, bytes).unwrap();
        Bundle::open(&path)
    }

    fn refused(&self, bytes: &[u8]) -> String {
        self.open(bytes).unwrap_err().to_string()
    }
}

fn head() -> BundleHead {
    BundleHead::new(vec!["release/linnet-0.2.0-x86_64.tar.gz".to_owned()], Vec::new())
}

fn target() -> String {
    format!("targets/release/{DIGEST}.linnet-0.2.0-x86_64.tar.gz")
}

/// The files of a bundle, in their order.
fn files() -> Vec<(String, Vec<u8>)> {
    vec![
        ("1.root.json".to_owned(), b"{}".to_vec()),
        ("timestamp.json".to_owned(), b"{\"t\":1}".to_vec()),
        (target(), vec![7; 1300]),
    ]
}

fn bundle(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = BundleWriter::new(Vec::new(), &head()).unwrap();
    for (path, content) in files {
        writer.add(path, content.len() as u64, content.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}

/// A tar of these entries as they are, whatever they are called.
fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, content) in entries {
        pack::append(&mut tar, name, FileMode::Plain, content.len() as u64, *content).unwrap();
    }
    tar.extend([0; 1024]);
    tar
}

fn with_head<'e>(entries: &[(&'e str, &'e [u8])]) -> Vec<u8> {
    let head = serde_json::to_vec(&head()).unwrap();
    let mut all: Vec<(&str, &[u8])> = vec![(HEAD_NAME, &head)];
    all.extend(entries);
    tar(&all)
}

fn content(bundle: &Bundle, path: &str) -> Vec<u8> {
    let mut content = Vec::new();
    bundle.get(path).unwrap().read_to_end(&mut content).unwrap();
    content
}

#[test]
fn what_goes_in_comes_out_under_the_channel_s_names() {
    let place = Place::new();
    let opened = place.open(&bundle(&files())).unwrap();
    assert_eq!(opened.head(), &head());
    for (path, bytes) in files() {
        assert_eq!(content(&opened, &path), bytes, "{path}");
    }
    for absent in ["2.root.json", "", "/", "../1.root.json", "targets", "1.root.json/", &target()[1..]] {
        assert!(opened.get(absent).is_none(), "{absent}");
    }
    let mut reader = opened.get(&target()).unwrap();
    assert_eq!((reader.skip(1000), reader.left()), (1000, 300));
    assert_eq!((reader.skip(1000), reader.left()), (300, 0));
}

#[test]
fn a_plugin_s_long_name_fits_with_its_digest() {
    let place = Place::new();
    let path = format!("targets/plugin/{DIGEST}.{}-10.20.30-x86_64.tar.gz", "p".repeat(64));
    let opened = place.open(&bundle(&[(path.clone(), b"x".to_vec())])).unwrap();
    assert_eq!(content(&opened, &path), b"x");
}

#[test]
fn a_cut_bundle_is_refused_wherever_it_is_cut() {
    let place = Place::new();
    let whole = bundle(&files());
    // Half of the end mark is not the end.
    for bytes in (0..whole.len()).step_by(64).chain([1, 19, 20, whole.len() - 1]) {
        let says = place.refused(&whole[..bytes]);
        let expected = if bytes > HEAD_NAME.len() { "ends too early" } else { "is no bundle" };
        assert!(says.contains(expected), "{bytes}: {says}");
    }
}

#[test]
fn other_files_are_told_as_such() {
    let place = Place::new();
    for other in [
        &b""[..],
        b"x",
        b"\x1f\x8b\x08 a package",
        b"{\"signed\": {}}",
        &[0; 10240],
        &tar(&[("1.root.json", b"{}"), (HEAD_NAME, b"{}")]),
        &tar(&[("linnet-bundle.json.old", b"{}")]),
    ] {
        assert!(place.refused(other).contains("is no bundle: `linnet-keys bundle` makes one"), "{other:?}");
    }
    for path in [PathBuf::from("/dev/null"), place.0.path().to_owned()] {
        assert!(matches!(Bundle::open(&path), Err(BundleError::Foreign { .. })), "{path:?}");
    }
    let fifo = place.0.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(matches!(Bundle::open(&fifo), Err(BundleError::Foreign { .. })));
    // A link to a bundle is as good as the bundle: nothing is believed of it anyway.
    let link = place.0.path().join("link");
    place.open(&bundle(&files())).unwrap();
    symlink(place.0.path().join("bundle.tar"), &link).unwrap();
    Bundle::open(&link).unwrap();
}

#[test]
fn tricks_of_archives_are_refused() {
    let place = Place::new();
    let refused = |bytes: &[u8], says: &str| {
        let refusal = place.refused(bytes);
        assert!(refusal.contains(says), "{says}: {refusal}");
    };
    refused(&with_head(&[("a", b"1"), ("a", b"2")]), "is there twice");
    refused(&with_head(&[(HEAD_NAME, b"{}")]), "is there twice");
    refused(&with_head(&[("../a", b"1")]), "name of dots");
    refused(&with_head(&[("/etc/passwd", b"1")]), "is absolute");
    refused(&with_head(&[("a//b", b"1")]), "empty name");
    refused(&with_head(&[("a\nb", b"1")]), "other than letters");
    for kind in b"12345678LKxgSVD" {
        let mut bytes = with_head(&[("a", b"")]);
        let at = 1024;
        bytes[at + 156] = *kind;
        mend(&mut bytes[at..at + 512]);
        refused(&bytes, "is of type");
    }
    let mut trailing = bundle(&files());
    trailing.extend(b"more");
    refused(&trailing, "goes on after its end");
    let mut padded = bundle(&files());
    padded.extend(vec![0; 65 << 10]);
    refused(&padded, "goes on after its end");
    let mut dirty = with_head(&[("a", b"1")]);
    dirty[1024 + 512 + 100] = 1;
    refused(&dirty, "padding is not empty");
    // A size beyond the file's end, up to the largest that a header can state.
    for size in ["00000010000", "77777777777"] {
        let mut bytes = with_head(&[("a", b"1")]);
        bytes[1024 + 124..1024 + 135].copy_from_slice(size.as_bytes());
        mend(&mut bytes[1024..1536]);
        refused(&bytes, "ends too early");
    }
    let names: Vec<_> = (0..1100).map(|at| format!("n{at}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    refused(&with_head(&many), "more than 1024 entries");
}

/// Makes a header's checksum right again.
fn mend(block: &mut [u8]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn heads_are_capped_and_newer_forms_told() {
    let place = Place::new();
    let long = format!("{{\"schema_version\":1,\"releases\":[],\"x\":\"{}\"}}", "x".repeat(70 << 10));
    for (head, says) in [
        (&b""[..], "EOF"),
        (b"[]", "invalid"),
        (b"{\"schema_version\":1}", "missing field `releases`"),
        (b"{\"schema_version\":2}", "form 2, this program knows 1"),
        (long.as_bytes(), "longer than 65536"),
    ] {
        let refusal = place.refused(&tar(&[(HEAD_NAME, head)]));
        assert!(refusal.contains(says), "{refusal}");
    }
    let later = br#"{"schema_version":1,"releases":["r"],"made_by":"a later one"}"#;
    assert_eq!(place.open(&tar(&[(HEAD_NAME, later)])).unwrap().head().releases, ["r"]);
}

/// What a change does not break in the form, it changes in one file at most: and files are checked by their digests.
#[test]
fn no_changed_byte_moves_one_file_into_another() {
    let place = Place::new();
    let whole = bundle(&files());
    for at in 0..whole.len() {
        for bit in [1, 0x20, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            let Ok(opened) = place.open(&changed) else { continue };
            let other = files().into_iter().filter(|(path, bytes)| content(&opened, path) != *bytes);
            assert!(other.count() <= 1, "byte {at}");
        }
    }
}
