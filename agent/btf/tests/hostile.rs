//! Bytes that nobody vouches for: no blob panics, hangs or takes much memory; what is wrong is a typed error.

#![expect(clippy::unwrap_used, reason = "what a test builds on has to be there")]

use std::io::Write as _;
use std::path::Path;

use linnet_btf::{Btf, BtfError, BtfFile, Field, MAX_BTF_BYTES};
use proptest::prelude::*;
use proptest::sample::Index;

mod blob;
mod table;

use blob::{Blob, STRUCT, TYPEDEF, info};

fn fixture() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/7.2.btf")).unwrap()
}

/// Asks everything; whatever is answered lies inside a struct.
fn ask_all(bytes: &[u8]) -> Result<(), BtfError> {
    let btf = Btf::parse(bytes)?;
    let places = btf.fields(table::FIELDS)?;
    btf.enumerators(table::ENUMERATORS)?;
    btf.struct_sizes(table::STRUCTS)?;
    for place in places.into_iter().flatten() {
        assert_eq!(place.offset_bytes, place.bit_offset / 8);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = ask_all(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_header_never_panic(
        types in prop::collection::vec(any::<u8>(), 0..512),
        strings in prop::collection::vec(any::<u8>(), 0..128),
    ) {
        let _ = ask_all(&Blob { types, strings: [vec![0], strings, vec![0]].concat(), layout: None }.bytes());
    }

    #[test]
    fn flipped_bytes_never_panic(flips in prop::collection::vec((any::<Index>(), any::<u8>()), 1..32)) {
        let mut bytes = fixture();
        for (index, byte) in flips {
            *index.get_mut(&mut bytes) = byte;
        }
        let _ = ask_all(&bytes);
    }

    #[test]
    fn exchanged_words_never_panic(swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 1..64)) {
        let mut bytes = fixture();
        let words = bytes.as_chunks_mut::<4>().0;
        for (one, other) in swaps {
            words.swap(one.index(words.len()), other.index(words.len()));
        }
        let _ = ask_all(&bytes);
    }

    #[test]
    fn a_cut_blob_is_an_error(len in any::<Index>()) {
        let bytes = fixture();
        ask_all(&bytes[..len.index(bytes.len())]).unwrap_err();
    }
}

#[test]
fn the_first_bytes_tell_what_is_wrong() {
    let header = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fixture();
        change(&mut bytes);
        Btf::parse(&bytes).unwrap_err().to_string()
    };
    for (message, expected) in [
        (Btf::parse(&[]).unwrap_err().to_string(), "shorter than its magic"),
        (header(&|bytes| bytes[..2].copy_from_slice(&[0xeb, 0x9f])), "big-endian"),
        (header(&|bytes| bytes[..2].copy_from_slice(&[0x1f, 0x8b])), "not BTF: the first bytes are 0x8b1f"),
        (header(&|bytes| bytes[2] = 2), "version 2"),
        (header(&|bytes| bytes[4] = 23), "hdr_len is under 24"),
        (header(&|bytes| bytes[7] = 0xff), "hdr_len is beyond the end"),
        (header(&|bytes| bytes[15] = 0xff), "type section is beyond"),
        (header(&|bytes| bytes[19] = 0xff), "string section is beyond"),
        (header(&|bytes| *bytes.last_mut().unwrap() = b'x'), "begin and end with a zero"),
    ] {
        assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
    }
}

/// A struct whose anonymous member is itself, in a circle of no end.
#[test]
fn a_struct_inside_itself_is_an_error() {
    let blob = Blob::new(&["file"]).with([1, info(STRUCT, 1), 8]).with([0, 1, 0]);
    let error = ask_all(&blob.bytes()).unwrap_err();
    assert!(matches!(error, BtfError::Type { id: 1, what: "is nested too deep" }), "{error}");
}

/// Each level holds the next one many times: without a budget, the search would take 64^15 steps.
#[test]
fn types_that_multiply_are_an_error() {
    let mut blob = Blob::new(&["file"]);
    for level in 1..=15u32 {
        blob = blob.with([u32::from(level == 1), info(STRUCT, 64), 8]);
        for _ in 0..64 {
            blob = blob.with([0, level + 1, 0]);
        }
    }
    blob = blob.with([0, info(STRUCT, 0), 8]);
    let error = ask_all(&blob.bytes()).unwrap_err();
    assert!(matches!(error, BtfError::TooComplex), "{error}");
}

#[test]
fn typedefs_in_a_circle_are_an_error() {
    let blob = Blob::new(&["file"]).with([1, info(TYPEDEF, 0), 2]).with([0, info(TYPEDEF, 0), 1]);
    let btf = blob.bytes();
    let btf = Btf::parse(&btf).unwrap();
    let wants = [Field { structure: "file", members: &["f_path"] }];
    assert!(matches!(btf.fields(&wants), Err(BtfError::Type { id: 1, .. })));
    assert!(matches!(btf.struct_sizes(&["file"]), Err(BtfError::Type { id: 1, .. })));
}

#[test]
fn a_reference_to_a_type_that_does_not_exist_is_an_error() {
    let blob = Blob::new(&["file", "f_path"]).with([1, info(STRUCT, 1), 8]).with([6, 0x7fff_ffff, 0]);
    let error = ask_all(&blob.bytes()).unwrap_err();
    assert!(matches!(error, BtfError::Type { id: 0x7fff_ffff, .. }), "{error}");
}

#[test]
fn a_member_beyond_its_struct_is_an_error() {
    let blob = Blob::new(&["file", "f_path"]).with([1, info(STRUCT, 1), 8]).with([6, 0, 65]);
    let error = ask_all(&blob.bytes()).unwrap_err();
    assert!(matches!(error, BtfError::Type { id: 1, what: "has a member beyond its end" }), "{error}");
}

#[test]
fn a_file_that_cannot_hold_btf_is_refused_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    };
    let error = BtfFile::open(folder.path().join("none")).unwrap_err();
    assert!(matches!(&error, BtfError::Io { operation: "open", .. }), "{error}");
    let error = BtfFile::open(folder.path()).unwrap_err();
    assert!(matches!(&error, BtfError::NotRegular { .. }), "{error}");
    let error = BtfFile::open("/dev/zero").unwrap_err();
    assert!(matches!(&error, BtfError::NotRegular { .. }), "{error}");
    let error = BtfFile::open(file("elf", b"\x7fELF")).unwrap_err();
    assert!(matches!(&error, BtfError::Elf { what: "it is cut off", .. }), "{error}");
    for empty in ["", "x"] {
        let file = BtfFile::open(file("short", empty.as_bytes())).unwrap();
        assert!(matches!(file.btf(), Err(BtfError::Header(_))));
    }
    let huge = file("huge", b"BTF!");
    std::fs::File::options().write(true).open(&huge).unwrap().set_len(MAX_BTF_BYTES + 1).unwrap();
    let error = BtfFile::open(&huge).unwrap_err();
    assert!(
        matches!(&error, BtfError::TooLarge { len_bytes, .. } if *len_bytes == MAX_BTF_BYTES + 1),
        "{error}"
    );
    assert!(error.to_string().contains(huge.to_str().unwrap()), "{error}");
}

#[test]
fn a_named_pipe_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(matches!(BtfFile::open(&path), Err(BtfError::NotRegular { .. })));
}
