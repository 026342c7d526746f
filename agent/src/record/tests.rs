//! Decoding: golden records built by hand, and hostile ones.

use linnet_ebpf::{Exec, Exit, Fork, Header};
use proptest::prelude::*;
use zerocopy::{FromZeros, IntoBytes};

use super::*;

fn header(kind: u16, len: usize) -> Header {
    Header {
        len: u32::try_from(len).unwrap(),
        kind,
        version: RECORD_VERSION,
        seq: 1,
        boot_ns: 5,
        cpu: 0,
        reserved: 0,
    }
}

/// Records come 8-aligned from the ring; a `Vec<u64>` is too.
fn aligned(bytes: &[u8]) -> Vec<u64> {
    let mut words = vec![0u64; bytes.len().div_ceil(8)];
    words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    words
}

fn exec_record() -> Vec<u8> {
    let mut exec = Exec::new_zeroed();
    exec.pid = 42;
    exec.argv_len = 8;
    exec.argv_true_len = 8;
    exec.filename.len = 8;
    exec.exe_path.below = 7;
    exec.cwd.below = 5;
    exec.cgroup.len = 4;
    let tail = b"ls\0-la\0\0/bin/ls\0ls\0bin\0root\0cg1\0";
    exec.header = header(KIND_EXEC, size_of::<Exec>() + tail.len());
    let mut bytes = exec.as_bytes().to_vec();
    bytes.extend_from_slice(tail);
    bytes
}

#[test]
fn an_exec_gives_its_parts() {
    let bytes = exec_record();
    let words = aligned(&bytes);
    let Record::Exec(exec) = decode(&words.as_bytes()[..bytes.len()]).unwrap() else { panic!("not an exec") };
    assert_eq!(exec.body.pid, 42);
    assert_eq!(exec.argv, b"ls\0-la\0\0");
    assert_eq!(exec.filename, b"/bin/ls");
    assert_eq!(exec.exe.leaf(), Some(&b"ls"[..]));
    assert_eq!(exec.cwd.leaf(), Some(&b"root"[..]));
    assert_eq!(exec.cgroup.leaf(), Some(&b"cg1"[..]));
    assert!(exec.script.is_empty());
}

#[test]
fn every_truncation_is_an_error_and_never_a_panic() {
    let bytes = exec_record();
    let words = aligned(&bytes);
    for len in 0..bytes.len() {
        assert!(
            matches!(decode(&words.as_bytes()[..len]), Err(DecodeError::Short { .. })),
            "{len} bytes of {} were accepted",
            bytes.len()
        );
    }
}

#[test]
fn another_version_or_kind_is_refused_by_name() {
    let mut exit = Exit::new_zeroed();
    exit.header = header(KIND_EXIT, size_of::<Exit>());
    exit.header.version = RECORD_VERSION + 1;
    assert_eq!(decode(exit.as_bytes()).unwrap_err(), DecodeError::Version(RECORD_VERSION + 1));
    exit.header = header(77, size_of::<Exit>());
    assert_eq!(decode(exit.as_bytes()).unwrap_err(), DecodeError::Kind(77));
    assert_eq!(kind(exit.as_bytes()), Some(77));
}

#[test]
fn a_fork_whose_cgroup_runs_past_the_record_is_short() {
    let mut fork = Fork::new_zeroed();
    fork.header = header(KIND_FORK, size_of::<Fork>());
    fork.cgroup.len = 1;
    let got = size_of::<Fork>();
    assert_eq!(decode(fork.as_bytes()).unwrap_err(), DecodeError::Short { got, need: got + 1 });
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600), kind in 0u16..4) {
        let mut bytes = bytes;
        if bytes.len() >= 8 {
            bytes[4..6].copy_from_slice(&kind.to_le_bytes());
            bytes[6..8].copy_from_slice(&RECORD_VERSION.to_le_bytes());
        }
        let words = aligned(&bytes);
        if let Ok(Record::Exec(exec)) = decode(&words.as_bytes()[..bytes.len()]) {
            let mut out = Vec::new();
            exec.exe.write_in_namespace(&mut out);
            exec.cwd.write_in_filesystem(&mut out);
            prop_assert!(exec.argv.len() <= bytes.len());
        }
    }
}
