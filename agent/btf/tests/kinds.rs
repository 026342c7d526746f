//! What each kind of type means for a field: small blobs written by hand.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what a test builds on has to be there")]

use linnet_btf::{Btf, BtfError, Field, Place};

mod blob;

use blob::{ARRAY, Blob, CONST, ENUM, ENUM64, FLAG, INT, POINTER, STRUCT, TYPEDEF, UNION, info};

/// Offsets of the names in [`names`].
const S: u32 = 1;
const A: u32 = 3;
const B: u32 = 5;
const C: u32 = 7;
const T: u32 = 9;

fn names() -> Blob {
    Blob::new(&["s", "a", "b", "c", "t"])
}

fn place(blob: &Blob, structure: &str, members: &[&str]) -> Option<Place> {
    let bytes = blob.bytes();
    let btf = Btf::parse(&bytes).unwrap();
    btf.fields(&[Field { structure, members }]).unwrap()[0]
}

fn at(bytes: u32, size_bytes: u32, member: usize) -> Option<Place> {
    Some(Place { offset_bytes: bytes, size_bytes, bit_offset: bytes * 8, bit_size: 0, member })
}

fn bits(bit_offset: u32, bit_size: u32) -> Option<Place> {
    Some(Place { offset_bytes: bit_offset / 8, size_bytes: 4, bit_offset, bit_size, member: 0 })
}

#[test]
fn a_bitfield_has_offset_and_size_in_bits() {
    let blob = names().with([0, info(INT, 0), 4, 32]);
    let flagged =
        blob.clone().with([S, info(STRUCT, 2) | FLAG, 8]).with([A, 1, 32]).with([B, 1, 2 << 24 | 42]);
    assert_eq!(place(&flagged, "s", &["a"]), at(4, 4, 0));
    assert_eq!(place(&flagged, "s", &["b"]), bits(42, 2));
}

#[test]
fn a_bitfield_in_an_anonymous_union_adds_up() {
    let blob = names()
        .with([0, info(INT, 0), 4, 32])
        .with([0, info(STRUCT, 1) | FLAG, 4])
        .with([B, 1, 3 << 24 | 5])
        .with([S, info(STRUCT, 2) | FLAG, 12])
        .with([A, 1, 0])
        .with([0, 2, 64]);
    assert_eq!(place(&blob, "s", &["b"]), bits(69, 3));
}

/// Before the kind flag, the integer's own encoding told the bits: offset 3, size 2.
#[test]
fn a_bitfield_in_the_old_manner_has_the_bits_of_its_integer() {
    let blob = names()
        .with([0, info(INT, 0), 4, 3 << 16 | 2])
        .with([T, info(TYPEDEF, 0), 1])
        .with([S, info(STRUCT, 1), 8])
        .with([A, 2, 32]);
    assert_eq!(place(&blob, "s", &["a"]), bits(35, 2));
}

#[test]
fn a_path_leads_into_embedded_structs_but_not_through_pointers() {
    let blob = names()
        .with([0, info(INT, 0), 4, 32])
        .with([T, info(STRUCT, 2), 8])
        .with([A, 1, 0])
        .with([B, 1, 32])
        .with([0, info(CONST, 0), 2])
        .with([0, info(POINTER, 0), 2])
        .with([S, info(STRUCT, 2), 24])
        .with([C, 3, 64])
        .with([T, 4, 128]);
    assert_eq!(place(&blob, "s", &["c.b"]), at(12, 4, 0));
    assert_eq!(place(&blob, "s", &["t"]), at(16, 8, 0));
    assert_eq!(place(&blob, "s", &["t.b"]), None);
    assert_eq!(place(&blob, "s", &["t.b", "x", "c.a"]), at(8, 4, 2));
    assert_eq!(place(&blob, "s", &["c.b.a"]), None);
}

#[test]
fn an_array_has_the_size_of_all_elements() {
    let blob = names()
        .with([0, info(INT, 0), 2, 16])
        .with([0, info(ARRAY, 0), 0, 1, 1, 3])
        .with([0, info(ARRAY, 0), 0, 2, 1, 5])
        .with([0, info(ARRAY, 0), 0, 1, 1, 0])
        .with([S, info(STRUCT, 2), 32])
        .with([A, 3, 16])
        .with([B, 4, 256]);
    assert_eq!(place(&blob, "s", &["a"]), at(2, 30, 0));
    assert_eq!(place(&blob, "s", &["b"]), at(32, 0, 0));
}

#[test]
fn an_array_beyond_all_memory_is_an_error() {
    let blob = names()
        .with([0, info(ARRAY, 0), 0, 2, 1, u32::MAX])
        .with([0, info(ARRAY, 0), 0, 3, 1, u32::MAX])
        .with([0, info(ARRAY, 0), 0, 4, 1, u32::MAX])
        .with([0, info(INT, 0), 4, 32])
        .with([S, info(STRUCT, 1), 8])
        .with([A, 1, 0]);
    let bytes = blob.bytes();
    let wants = [Field { structure: "s", members: &["a"] }];
    assert!(matches!(Btf::parse(&bytes).unwrap().fields(&wants), Err(BtfError::Type { .. })));
}

#[test]
fn the_first_definition_that_has_the_member_counts() {
    let blob = names()
        .with([0, info(INT, 0), 4, 32])
        .with([S, info(STRUCT, 0), 0])
        .with([S, info(STRUCT, 1), 4])
        .with([B, 1, 0])
        .with([S, info(STRUCT, 2), 8])
        .with([B, 1, 0])
        .with([A, 1, 32]);
    assert_eq!(place(&blob, "s", &["a"]), at(4, 4, 0));
    assert_eq!(place(&blob, "s", &["a", "b"]), at(0, 4, 1));
    assert_eq!(Btf::parse(&blob.bytes()).unwrap().struct_sizes(&["s"]).unwrap(), [Some(4)]);
}

#[test]
fn a_typedef_names_a_struct_unless_a_struct_has_the_name() {
    let aliased = names()
        .with([0, info(INT, 0), 4, 32])
        .with([S, info(TYPEDEF, 0), 3])
        .with([0, info(UNION, 1), 8])
        .with([A, 1, 32]);
    assert_eq!(place(&aliased, "s", &["a"]), at(4, 4, 0));
    assert_eq!(Btf::parse(&aliased.bytes()).unwrap().struct_sizes(&["s"]).unwrap(), [Some(8)]);
    let both = aliased.with([S, info(STRUCT, 1), 4]).with([A, 1, 0]);
    assert_eq!(place(&both, "s", &["a"]), at(0, 4, 0));
}

#[test]
fn enumerators_are_signed_where_the_flag_says_so() {
    let blob = names()
        .with([S, info(ENUM, 1), 4, A, u32::MAX])
        .with([T, info(ENUM, 1) | FLAG, 4, A, u32::MAX])
        .with([C, info(ENUM64, 2) | FLAG, 8, A, 7, u32::MAX])
        .with([B, u32::MAX, 1])
        .with([0, info(ENUM, 1), 4, B, 9]);
    let bytes = blob.bytes();
    let wants = [("s", "a"), ("t", "a"), ("c", "a"), ("c", "b"), ("", "b"), ("s", "b"), ("s", "a")];
    let values = Btf::parse(&bytes).unwrap().enumerators(&wants).unwrap();
    let wide = i64::from(u32::MAX);
    assert_eq!(
        values,
        [Some(wide), Some(-1), Some(7 - (1 << 32)), Some((1 << 32) + wide), Some(9), None, Some(wide)]
    );
}

/// Kind 20 with one word fixed and 8 bytes for each element, as the layout section of Linux 7.1 tells.
#[test]
fn a_kind_of_the_future_is_skipped_where_the_layout_describes_it() {
    let blob = names()
        .with([0, info(20, 2), 0])
        .with([1, 2, 3, 4, 5])
        .with([0, info(INT, 0), 4, 32])
        .with([S, info(STRUCT, 1), 4])
        .with([A, 2, 0]);
    let error = Btf::parse(&blob.bytes()).unwrap_err();
    assert!(matches!(error, BtfError::Type { id: 1, .. }), "{error}");
    let mut layout = vec![0; 20 * 4];
    layout.extend([4, 8, 0, 0]);
    let described = Blob { layout: Some(layout), ..blob };
    assert_eq!(place(&described, "s", &["a"]), at(0, 4, 0));
}

/// Linux 7.1 widened the count of members from 16 bits to 24.
#[test]
fn a_struct_may_have_more_than_65535_members() {
    let mut blob = names().with([0, info(INT, 0), 4, 32]).with([S, info(STRUCT, 70_000), 4 * 70_000]);
    for index in 0..70_000 {
        blob = blob.with([if index == 69_999 { A } else { B }, 1, index * 32]);
    }
    assert_eq!(place(&blob, "s", &["a"]), at(4 * 69_999, 4, 0));
}

#[test]
fn any_type_is_found_by_its_id() {
    for count in [1, 31, 32, 33, 63, 64, 65, 200] {
        let mut blob = names();
        for _ in 0..count - 1 {
            blob = blob.with([0, info(ENUM, 1), 4, A, 0]);
        }
        blob = blob.with([0, info(INT, 0), 8, 64]);
        blob = blob.with([S, info(STRUCT, 1), 8]).with([A, count, 0]);
        assert_eq!(place(&blob, "s", &["a"]), at(0, 8, 0), "{count}");
        assert_eq!(Btf::parse(&blob.bytes()).unwrap().type_count(), count + 1);
    }
}
