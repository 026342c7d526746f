//! Spools that were torn, flipped, or written by another version.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "the helpers are test code too"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use linnet_spool::{Bounds, Counts, Reader, Settlement, Spool, SpoolError};

const BOUNDS: Bounds =
    Bounds { max_bytes: 1 << 20, max_age: Duration::from_secs(3600), segment_bytes: 1 << 18 };
const KINDS: [&[u8]; 4] = [&[0, 1], &[1, 1, 2], &[5], &[0, 3]];

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// In memory where there is room for it: each of hundreds of spools is synced.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A spool of four records in one segment, whose one reader has read nothing.
fn filled() -> (tempfile::TempDir, PathBuf, Vec<u64>) {
    let directory = scratch();
    let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
    let mut ends = Vec::new();
    for (index, kinds) in KINDS.iter().enumerate() {
        spool.append(kinds, line(index, kinds).as_bytes(), now_ms()).unwrap();
        ends.push(spool.status_now().fill.bytes);
    }
    spool.close().unwrap();
    let segment = directory.path().join("0000000000000001.seg");
    assert!(segment.exists());
    (directory, segment, ends)
}

fn line(index: usize, kinds: &[u8]) -> String {
    kinds.iter().map(|kind| format!("{{\"record\":{index},\"kind\":{kind}}}\n")).collect()
}

fn appended() -> Counts {
    KINDS.iter().fold(Counts::default(), |sum, kinds| sum.plus(&Counts::of(kinds)))
}

/// All that comes: its kinds, and its lines.
fn all_of(reader: &mut Reader) -> (Counts, Vec<u8>) {
    let (mut counts, mut lines) = (Counts::default(), Vec::new());
    while let Some(taken) = reader.take(Duration::ZERO).unwrap() {
        counts = counts.plus(&Counts::of(taken.kinds()));
        lines.extend_from_slice(taken.lines());
    }
    (counts, lines)
}

/// What is read, as indices of records, and the reader's account at the end.
fn read(directory: &Path) -> (Vec<usize>, linnet_spool::Account, Counts) {
    let spool = Spool::open(directory, BOUNDS, &["sink"]).unwrap();
    let mut reader = spool.reader("sink").unwrap();
    let (mut got, mut delivered) = (Vec::new(), Counts::default());
    while let Some(taken) = reader.take(Duration::ZERO).unwrap() {
        let index = KINDS.iter().enumerate().position(|(index, kinds)| {
            *kinds == taken.kinds() && line(index, kinds).as_bytes() == taken.lines()
        });
        got.push(index.expect("what is read was written"));
        delivered = delivered.plus(&Counts::of(taken.kinds()));
    }
    reader.settle(&Settlement { delivered, ..Settlement::default() });
    let status = spool.status_now();
    let (account, waiting) = status.readers["sink"].clone();
    assert_eq!(waiting, Counts::default());
    assert_eq!(account.delivered, delivered);
    (got, account, status.fill.appended)
}

#[test]
fn a_segment_cut_at_any_byte_gives_the_records_before_the_cut() {
    let (directory, segment, ends) = filled();
    let whole = fs::read(&segment).unwrap();
    let state = fs::read(directory.path().join("readers.json")).unwrap();
    for len in 0..whole.len() {
        fs::write(&segment, &whole[..len]).unwrap();
        fs::write(directory.path().join("readers.json"), &state).unwrap();
        let (got, _, _) = read(directory.path());
        let complete = ends.iter().filter(|end| **end <= len as u64).count();
        assert_eq!(got, (0..complete).collect::<Vec<_>>(), "cut at {len}");
        for extra in ["0000000000000002.seg", "0000000000000001.seg"] {
            let _ = fs::remove_file(directory.path().join(extra));
        }
    }
}

#[test]
fn after_a_torn_record_is_cut_new_ones_follow() {
    let (directory, segment, ends) = filled();
    let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(ends[3] - 1).unwrap();
    let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
    assert_eq!(spool.status_now().fill.cut_bytes, ends[3] - 1 - ends[2]);
    spool.append(&[7], b"new\n", now_ms()).unwrap();
    let mut reader = spool.reader("sink").unwrap();
    let mut last = Vec::new();
    while let Some(taken) = reader.take(Duration::ZERO).unwrap() {
        last = taken.lines().to_vec();
    }
    assert_eq!(last, b"new\n");
}

/// One bit of each byte; all bits of all headers are tried beside the headers' code.
#[test]
fn a_flipped_bit_in_any_byte_costs_at_most_its_record_and_is_counted_by_kind() {
    let (directory, segment, ends) = filled();
    // A record after it, in a segment of its own: then no damage is at the very end.
    {
        let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
        spool.append(&[6], b"after\n", now_ms()).unwrap();
        spool.close().unwrap();
    }
    let whole = fs::read(&segment).unwrap();
    let all = appended().plus(&Counts::of(&[6]));
    let other: Vec<_> = ["readers.json", "0000000000000002.seg"]
        .map(|name| directory.path().join(name))
        .into_iter()
        .map(|path| (fs::read(&path).unwrap(), path))
        .collect();
    for byte in 0..whole.len() {
        let bit = byte * 8 + byte % 8;
        let mut bytes = whole.clone();
        bytes[byte] ^= 1 << (byte % 8);
        fs::write(&segment, &bytes).unwrap();
        for (bytes, path) in &other {
            fs::write(path, bytes).unwrap();
        }
        let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
        let mut reader = spool.reader("sink").unwrap();
        let (delivered, _) = all_of(&mut reader);
        reader.settle(&Settlement { delivered, ..Settlement::default() });
        let (account, waiting) = spool.status_now().readers["sink"].clone();
        assert_eq!((account.settled(), waiting), (all, Counts::default()), "bit {bit}");
        let hit = ends.iter().position(|end| (bit as u64 / 8) < *end).unwrap();
        let lost = account.dropped.get("damaged").copied().unwrap_or_default();
        let expected = if bit / 8 < 100 { Counts::default() } else { Counts::of(KINDS[hit]) };
        assert_eq!(lost, expected, "bit {bit}");
        drop((reader, spool));
        for name in ["0000000000000003.seg", "0000000000000001.seg"] {
            let _ = fs::remove_file(directory.path().join(name));
        }
    }
}

/// Whole and with right checksums, but not where they were written.
#[test]
fn records_that_stand_in_another_order_count_as_damaged_and_all_is_accounted_for() {
    let (directory, segment, ends) = filled();
    let whole = fs::read(&segment).unwrap();
    let cuts: Vec<usize> = std::iter::once(100).chain(ends.iter().map(|end| *end as usize)).collect();
    let record = |index: usize| &whole[cuts[index]..cuts[index + 1]];
    // The order that is written, and what can be read of it.
    let cases: [(&[usize], &[usize]); 4] = [
        (&[0, 2, 1, 3], &[0, 2, 3]),
        (&[3, 0, 1, 2], &[3]),
        (&[0, 1, 1, 1, 2, 3], &[0, 1, 2, 3]),
        (&[3, 2, 1, 0], &[3]),
    ];
    for (order, expected) in cases {
        let (directory, segment, _) = filled();
        let records: Vec<u8> = order.iter().flat_map(|index| record(*index)).copied().collect();
        fs::write(&segment, [&whole[..100], &records].concat()).unwrap();
        let (got, account, appended) = read(directory.path());
        assert_eq!(got, expected, "{order:?}");
        assert_eq!((account.settled(), appended), (self::appended(), self::appended()), "{order:?}");
    }
    drop(directory);
}

/// Where a segment ends is said by the next one's header; when that is damaged, by its own records.
#[test]
fn a_damaged_header_costs_nothing_of_the_segment_before_it() {
    let (directory, _, _) = filled();
    {
        let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
        spool.append(&[6], b"after\n", now_ms()).unwrap();
        spool.close().unwrap();
    }
    let next = directory.path().join("0000000000000002.seg");
    let mut bytes = fs::read(&next).unwrap();
    bytes[30] ^= 1;
    fs::write(&next, &bytes).unwrap();
    let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
    let mut reader = spool.reader("sink").unwrap();
    let mut records = 0;
    while reader.take(Duration::ZERO).unwrap().is_some() {
        records += 1;
    }
    assert_eq!(records, KINDS.len() + 1);
}

/// A host without a clock of its own begins in 1970, until it is told the time.
#[test]
fn what_was_written_before_the_clock_was_set_is_not_taken_for_old() {
    let directory = scratch();
    let hour_ms = 3_600_000;
    let expect = |time_ms: i64, read: bool| {
        let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
        spool.append(&[1], b"waits\n", time_ms).unwrap();
        spool.close().unwrap();
        drop(spool);
        let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
        // Ages are looked at when something comes.
        spool.append(&[1], b"new\n", now_ms()).unwrap();
        let mut reader = spool.reader("sink").unwrap();
        let (delivered, lines) = all_of(&mut reader);
        let expected: &[u8] = if read { b"waits\nnew\n" } else { b"new\n" };
        assert_eq!(lines, expected, "written at {time_ms}");
        reader.settle(&Settlement { delivered, ..Settlement::default() });
        spool.close().unwrap();
    };
    expect(5_000, true);
    expect(now_ms() + 90 * 24 * hour_ms, true);
    expect(now_ms() - hour_ms / 2, true);
    expect(now_ms() - 2 * hour_ms, false);
}

/// The segment that is written to goes away, or can't be read (a directory stands in for a disk that gives nothing back).
#[test]
fn a_segment_that_does_not_come_back_is_counted_and_holds_nothing_up() {
    for is_gone in [true, false] {
        let directory = scratch();
        let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
        let mut reader = spool.reader("sink").unwrap();
        spool.append(&[1, 1], b"{}\n{}\n", now_ms()).unwrap();
        let segment = directory.path().join("0000000000000001.seg");
        fs::remove_file(&segment).unwrap();
        if !is_gone {
            fs::create_dir(&segment).unwrap();
        }
        let mut failures = 0;
        let mut take = || loop {
            match reader.take(Duration::ZERO) {
                Ok(taken) => return taken,
                Err(_) => failures += 1,
            }
            assert!(failures < 10, "it fails for ever");
        };
        assert!(take().is_none());
        spool.append(&[2], b"{}\n", now_ms()).unwrap();
        assert_eq!(take().expect("what came afterwards").kinds(), [2]);
        assert!(take().is_none());
        assert_eq!(failures, if is_gone { 0 } else { 2 });
        reader.settle(&Settlement { delivered: Counts::of(&[2]), ..Settlement::default() });
        let (account, waiting) = spool.status_now().readers["sink"].clone();
        assert_eq!((account.delivered.total(), account.lost(), waiting), (1, 2, Counts::default()));
        assert_eq!(account.dropped["damaged"], Counts::of(&[1, 1]));
    }
}

/// The same at a start. Which of them it is makes a difference: only the next one says where one ends.
#[test]
fn a_segment_that_can_not_be_read_at_a_start_costs_what_is_in_it() {
    for bad in 1..=3 {
        let directory = scratch();
        let bounds = Bounds { max_bytes: 4 * 400, segment_bytes: 400, ..BOUNDS };
        {
            let spool = Spool::open(directory.path(), bounds, &["sink"]).unwrap();
            for _ in 0..3 {
                spool.append(&[1; 8], &b"{\"0123456789\":1}\n".repeat(8), now_ms()).unwrap();
            }
            spool.close().unwrap();
        }
        let segment = directory.path().join(format!("{bad:016x}.seg"));
        fs::remove_file(&segment).unwrap();
        fs::create_dir(&segment).unwrap();
        let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
        spool.append(&[2], b"{}\n", now_ms()).unwrap();
        let mut reader = spool.reader("sink").unwrap();
        let (mut delivered, mut failures) = (Counts::default(), 0);
        loop {
            match reader.take(Duration::ZERO) {
                Ok(Some(taken)) => delivered = delivered.plus(&Counts::of(taken.kinds())),
                Ok(None) => break,
                Err(_) => failures += 1,
            }
            assert!(failures < 10, "it fails for ever");
        }
        assert_eq!((delivered.0[1], delivered.0[2]), (16, 1), "segment {bad}");
        reader.settle(&Settlement { delivered, ..Settlement::default() });
        let (account, waiting) = spool.status_now().readers["sink"].clone();
        assert_eq!(
            (account.lost(), waiting),
            (if bad < 3 { 8 } else { 0 }, Counts::default()),
            "segment {bad}"
        );
    }
}

/// What is settled goes when the disk knows that it is settled (a directory stands in for one that takes no positions).
#[test]
fn nothing_is_deleted_while_positions_can_not_be_stored() {
    let (directory, segment, _) = filled();
    let state = directory.path().join("readers.json");
    let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
    let aside = directory.path().join("aside");
    fs::rename(&state, &aside).unwrap();
    fs::create_dir(&state).unwrap();
    let mut reader = spool.reader("sink").unwrap();
    let (delivered, _) = all_of(&mut reader);
    reader.settle(&Settlement { delivered, ..Settlement::default() });
    // It is the last one, and is closed for this.
    spool.close().unwrap_err();
    assert!(segment.exists());
    drop(reader);
    drop(spool);
    fs::remove_dir(&state).unwrap();
    fs::rename(&aside, &state).unwrap();
    // What comes twice is not counted as lost.
    let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
    let (again, _) = all_of(&mut spool.reader("sink").unwrap());
    assert_eq!(again, delivered);
    let (account, _) = spool.status_now().readers["sink"].clone();
    assert_eq!(account.lost(), 0);
}

/// What passes, or somebody may mend, is waited for (a link to itself stands in for a lack of descriptors, or a policy that forbids it).
#[test]
fn a_segment_that_could_not_be_opened_for_long_is_read_when_it_can_be() {
    let (directory, segment, _) = filled();
    let aside = directory.path().join("aside");
    let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
    let mut reader = spool.reader("sink").unwrap();
    fs::rename(&segment, &aside).unwrap();
    std::os::unix::fs::symlink(&segment, &segment).unwrap();
    for _ in 0..10 {
        let error = reader.take(Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("open") && error.contains(segment.to_str().unwrap()), "{error}");
    }
    fs::remove_file(&segment).unwrap();
    fs::rename(&aside, &segment).unwrap();
    let (delivered, _) = all_of(&mut reader);
    assert_eq!(delivered, appended());
}

/// A sink is away, and the disk is full at every other batch (one that is too long stands in for that).
#[test]
fn losses_between_what_waits_without_end_leave_a_small_state_and_an_exact_account() {
    const ROUNDS: usize = 1_500;
    const BEFORE: usize = 300;
    let directory = scratch();
    let too_long = vec![b'x'; 2 << 20];
    let bounds = Bounds { segment_bytes: 1 << 14, ..BOUNDS };
    {
        let spool = Spool::open(directory.path(), bounds, &["sink", "other"]).unwrap();
        // These have nothing to do with it.
        for _ in 0..BEFORE {
            spool.append(&[3], b"{}\n", now_ms()).unwrap();
        }
        for _ in 0..ROUNDS {
            spool.append(&[1], b"{}\n", now_ms()).unwrap();
            spool.append(&[2], &too_long, now_ms()).unwrap_err();
        }
        spool.close().unwrap();
    }
    let state = fs::metadata(directory.path().join("readers.json")).unwrap().len();
    assert!(state < 150_000, "{state} bytes");
    let spool = Spool::open(directory.path(), bounds, &["sink", "other"]).unwrap();
    let mut reader = spool.reader("sink").unwrap();
    let (delivered, _) = all_of(&mut reader);
    reader.settle(&Settlement { delivered, ..Settlement::default() });
    let (account, waiting) = spool.status_now().readers["sink"].clone();
    let of = |reason| account.dropped.get(reason).copied().unwrap_or_default();
    assert_eq!((of("too_long").0[2], waiting), (ROUNDS as u64, Counts::default()));
    let appended = Counts::of(&[3; BEFORE]).plus(&Counts::of(&[1; ROUNDS]));
    assert_eq!(delivered.plus(&of("spool_full")), appended, "{account:?}");
    assert!(delivered.0[3] > 200 && delivered.0[1] > 500, "most of what waited is kept: {delivered:?}");
}

#[test]
fn a_newer_segment_is_refused_by_name_and_nothing_is_changed() {
    let (directory, segment, _) = filled();
    let newer = directory.path().join("0000000000000002.seg");
    // The preface of version 2; the checksum is of the twelve bytes before it.
    let mut bytes = b"LNTSPOOL\x02\0\0\0".to_vec();
    let sum = crc32fast::hash(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes.extend(b"whatever version 2 will be");
    fs::write(&newer, &bytes).unwrap();
    let before = (fs::read(&segment).unwrap(), fs::read(directory.path().join("readers.json")).unwrap());
    let error = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap_err();
    assert!(matches!(error, SpoolError::Version { found: 2, .. }), "{error}");
    assert!(error.to_string().contains("0000000000000002.seg"), "{error}");
    let after = (fs::read(&segment).unwrap(), fs::read(directory.path().join("readers.json")).unwrap());
    assert_eq!(before, after);
    assert_eq!(fs::read(&newer).unwrap(), bytes);
}

#[test]
fn newer_positions_are_refused_and_garbled_ones_mean_that_events_come_twice() {
    let (directory, _, _) = filled();
    let state = directory.path().join("readers.json");
    fs::write(&state, r#"{"version": 2, "readers": []}"#).unwrap();
    let error = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap_err();
    assert!(matches!(error, SpoolError::StateVersion { found: 2, .. }), "{error}");
    for garbage in [&b""[..], b"{", b"\0\0\0\0", br#"{"version": 1}"#] {
        fs::write(&state, garbage).unwrap();
        let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
        let mut reader = spool.reader("sink").unwrap();
        let first = reader.take(Duration::ZERO).unwrap().unwrap();
        assert_eq!(first.kinds(), KINDS[0], "{garbage:?}");
    }
}

/// A power loss leaves an empty file, or half of one, of what was not synced.
#[test]
fn positions_that_a_power_loss_took_are_those_of_the_last_sync() {
    for left in [&b""[..], b"{\"version\":1,", b"\0\0\0\0\0\0\0\0"] {
        let (directory, _, _) = filled();
        let (_, account, appended) = read(directory.path());
        {
            let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
            spool.append(&[1], b"new\n", now_ms()).unwrap();
            spool.close().unwrap();
        }
        // The next one, whose name was on the disk before its content.
        let next = directory.path().join("next");
        fs::write(&next, left).unwrap();
        fs::rename(&next, directory.path().join("readers.json")).unwrap();
        let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
        let mut reader = spool.reader("sink").unwrap();
        let (delivered, lines) = all_of(&mut reader);
        assert_eq!((lines.as_slice(), delivered.total()), (&b"new\n"[..], 1), "{left:?}");
        reader.settle(&Settlement { delivered, ..Settlement::default() });
        let (after, waiting) = spool.status_now().readers["sink"].clone();
        assert_eq!(after.settled(), account.settled().plus(&delivered));
        assert_eq!((waiting, account.settled()), (Counts::default(), appended));
    }
}

#[test]
fn a_spool_is_one_process_s_at_a_time() {
    let (directory, _, _) = filled();
    let _first = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
    let error = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap_err();
    assert!(matches!(error, SpoolError::Locked { .. }), "{error}");
}
