use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use super::*;

fn of(bytes: &[u8], content_bytes: Option<usize>) -> Digest {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let seen = look_at(&file).unwrap();
    digest(&file, &seen, content_bytes, &mut vec![0; CHUNK_BYTES], || ()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn hash_is_that_of_the_standard() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(hex(&of(b"", None).sha256), empty);
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hex(&of(b"abc", None).sha256), abc);
    let million = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    assert_eq!(hex(&of(&vec![b'a'; 1_000_000], None).sha256), million);
}

#[test]
fn content_is_cut_with_a_mark_and_the_true_length() {
    let bytes: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
    let content = of(&bytes, Some(200_000)).content.unwrap();
    assert_eq!((&*content.bytes, content.true_len, content.cut), (&bytes[..200_000], 300_000, true));
    let whole = of(b"#!/bin/sh\n", Some(10)).content.unwrap();
    assert_eq!((&*whole.bytes, whole.true_len, whole.cut), (&b"#!/bin/sh\n"[..], 10, false));
    let nothing = of(b"", Some(10)).content.unwrap();
    assert_eq!((nothing.bytes.len(), nothing.cut), (0, false));
    assert!(of(b"x", None).content.is_none());
}

/// Calls `change` before the second read of a file of three chunks.
fn changed_while_read(change: impl Fn(&File)) -> Result<Digest, Missing> {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&vec![1; 3 * CHUNK_BYTES], 0).unwrap();
    std::thread::sleep(2 * TICKS);
    let seen = look_at(&file).unwrap();
    let mut reads = 0;
    digest(&file, &seen, None, &mut vec![0; CHUNK_BYTES], || {
        reads += 1;
        if reads == 2 {
            change(&file);
        }
    })
}

#[test]
fn file_that_is_written_cut_or_grown_while_it_is_read_is_thrown_away() {
    assert!(changed_while_read(|_| ()).is_ok());
    assert_eq!(changed_while_read(|file| file.write_all_at(b"x", 0).unwrap()).unwrap_err(), Missing::Changed);
    assert_eq!(changed_while_read(|file| file.set_len(7).unwrap()).unwrap_err(), Missing::Changed);
    assert_eq!(
        changed_while_read(|file| file.set_len(9 * CHUNK_BYTES as u64).unwrap()).unwrap_err(),
        Missing::Changed
    );
}

#[test]
fn fresh_file_is_left_to_ripen_and_an_old_or_future_one_is_not() {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    let at = |sec| InodeTime { sec, nsec: u32::try_from(now.tv_nsec).unwrap() };
    let wait = ripeness(at(now.tv_sec));
    assert!(wait > Duration::ZERO && wait <= 2 * TICKS, "{wait:?}");
    for offset in [-3600, -1, 1, 3600] {
        assert_eq!(ripeness(at(now.tv_sec + offset)), Duration::ZERO);
    }
    let _ = ripeness(InodeTime { sec: i64::MIN, nsec: u32::MAX });
    let _ = ripeness(InodeTime { sec: i64::MAX, nsec: u32::MAX });
}

fn absent_bytes(file: &File, len: usize) -> u64 {
    let mut residency = Residency::of(file, len as u64).unwrap();
    residency.absent(0, len).iter().map(|run| run.end - run.start).sum()
}

#[test]
fn page_cache_is_left_as_it_was_found() {
    let name = "page_cache_is_left_as_it_was_found";
    let file = tempfile::tempfile().unwrap();
    let len = 16 * CHUNK_BYTES;
    file.write_all_at(&vec![7; len], 0).unwrap();
    file.sync_all().unwrap();
    std::thread::sleep(2 * TICKS);
    let seen = look_at(&file).unwrap();
    let pass = || digest(&file, &seen, None, &mut vec![0; CHUNK_BYTES], || ()).unwrap().sha256;
    let sum = pass();
    assert_eq!(absent_bytes(&file, len), 0, "what was there stays");
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    rustix::fs::fadvise(&file, 0, None, Advice::Random).unwrap();
    // One chunk is in use by others: of it, nothing may go.
    assert_eq!(pread(&file, &mut vec![0; CHUNK_BYTES], 3 * CHUNK_BYTES as u64), Ok(CHUNK_BYTES));
    let absent = absent_bytes(&file, len);
    if absent != 15 * CHUNK_BYTES as u64 {
        let _ = writeln!(std::io::stderr(), "SKIPPED {name}: this file system keeps its pages (tmpfs?)");
        return;
    }
    assert_eq!(pass(), sum);
    assert_eq!(absent_bytes(&file, len), absent, "what was not there is gone again, the rest is not");
}
