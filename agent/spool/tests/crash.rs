//! A writer that is killed at random, and disks that are full or can be read only.
//!
//! The parts with a small tmpfs need root and say so where they can't run.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use linnet_spool::{Bounds, Counts, Reader, Settlement, Spool, SpoolError};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

const DIRECTORY: &str = "LINNET_SPOOL_CHILD";
const BOUNDS: Bounds =
    Bounds { max_bytes: 64 << 20, max_age: Duration::from_secs(3600), segment_bytes: 16 << 10 };
const ROUNDS: u64 = 12;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Reads all numbers that are there, and settles them.
fn read(reader: &mut Reader) -> Vec<u64> {
    let (mut numbers, mut delivered) = (Vec::new(), Counts::default());
    while let Some(taken) = reader.take(Duration::ZERO).unwrap() {
        let text = std::str::from_utf8(taken.lines()).unwrap();
        numbers.extend(text.lines().map(|line| line.trim().parse::<u64>().unwrap()));
        delivered = delivered.plus(&Counts::of(taken.kinds()));
    }
    reader.settle(&Settlement { delivered, ..Settlement::default() });
    numbers
}

/// Not a test of its own: the process that the next one kills.
#[test]
fn the_writer_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let spool = Spool::open(Path::new(&directory), BOUNDS, &["sink"]).unwrap();
    let mut number = spool.status_now().fill.appended.total();
    let mut out = std::io::stdout();
    loop {
        let len = 1 + (number * 7919) % 600;
        spool
            .append(
                &[(number % 8) as u8],
                format!("{number:len$}\n", len = len as usize).as_bytes(),
                now_ms(),
            )
            .unwrap();
        writeln!(out, "\nacknowledged {number}").unwrap();
        number += 1;
    }
}

#[test]
fn kill_9_at_any_moment_loses_nothing_that_append_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    // The reader is there before the first event.
    drop(Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap());
    let (mut acknowledged, mut got) = (0, Vec::new());
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_writer_that_is_killed", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        let until = 50 + round * 37;
        for line in lines.by_ref().map_while(Result::ok) {
            let Some(number) = line.strip_prefix("acknowledged ") else { continue };
            acknowledged = number.parse::<u64>().unwrap() + 1;
            seen += 1;
            if seen == until {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= until, "the writer wrote {seen}");
        let spool = Spool::open(directory.path(), BOUNDS, &["sink"]).unwrap();
        got.extend(read(&mut spool.reader("sink").unwrap()));
        assert!(got.len() as u64 >= acknowledged, "round {round}: {} of {acknowledged}", got.len());
        let (account, waiting) = spool.status_now().readers["sink"].clone();
        assert_eq!((account.lost(), waiting), (0, Counts::default()));
        spool.close().unwrap();
    }
    assert!(got.iter().copied().eq(0..got.len() as u64), "in order, without gaps, none twice");
}

/// A tmpfs of so many bytes; none where it can't be had.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(bytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(format!("size={bytes}")).unwrap();
        match mount("tmpfs", directory.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str())) {
            Ok(()) => Some(Self(directory)),
            Err(error) => {
                eprintln!("NOT RUN: no tmpfs can be mounted here: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

#[test]
fn a_disk_that_is_full_at_any_write_costs_what_is_counted_and_nothing_else() {
    const PAGE: u64 = 4096;
    // Positions, the room kept for them and the lock take some pages themselves.
    for pages in 9..16 {
        let Some(disk) = SmallDisk::new(pages * PAGE) else { return };
        let directory = disk.path().join("spool");
        let (mut delivered, mut refused, mut next) = (0, 0, 0_u64);
        for _ in 0..3 {
            let spool = Spool::open(&directory, Bounds { segment_bytes: 6000, ..BOUNDS }, &["sink"]).unwrap();
            let mut reader = spool.reader("sink").unwrap();
            for _ in 0..60 {
                match spool.append(&[(next % 8) as u8], format!("{next:700}\n").as_bytes(), now_ms()) {
                    Ok(()) => {}
                    Err(SpoolError::Full { .. }) => refused += 1,
                    Err(error) => unreachable!("{error}"),
                }
                next += 1;
            }
            delivered += read(&mut reader).len() as u64;
            let (account, waiting) = spool.status_now().readers["sink"].clone();
            assert_eq!(waiting, Counts::default());
            assert_eq!(delivered + account.lost(), next, "{pages} pages: {account:?}");
            assert_eq!(account.dropped.get("disk_full").map_or(0, Counts::total), refused);
            spool.close().unwrap_or_else(|error| panic!("{pages} pages: {error}"));
        }
        assert!(refused > 0, "{pages} pages are not small");
        assert!(delivered > 0, "{pages} pages: nothing went through");
    }
}

/// All other room of a disk, taken by somebody else.
fn fill(disk: &SmallDisk) {
    let mut file =
        std::fs::OpenOptions::new().create(true).append(true).open(disk.path().join("else")).unwrap();
    while file.write(&[b'x'; 4096]).is_ok_and(|written| written > 0) {}
}

/// What a reader has lost to a full disk, and what waits for it.
fn lost_and_waiting(spool: &Spool, name: &str) -> (u64, u64) {
    let (account, waiting) = spool.status_now().readers.get(name).unwrap().clone();
    (account.dropped.get("disk_full").map_or(0, Counts::total), waiting.total())
}

/// Appends until nothing goes in any more, and then a hundred times; how many were refused.
fn lose(spool: &Spool) -> u64 {
    let line = format!("{:700}\n", 1);
    while spool.append(&[1], line.as_bytes(), now_ms()).is_ok() {}
    1 + (0..100).filter(|_| spool.append(&[1], line.as_bytes(), now_ms()).is_err()).count() as u64
}

#[test]
fn what_was_lost_on_a_disk_that_stays_full_is_not_forgotten_with_the_process() {
    for is_closed in [true, false] {
        let Some(disk) = SmallDisk::new(1 << 20) else { return };
        let directory = disk.path().join("spool");
        let open = || Spool::open(&directory, BOUNDS, &["away", "sink"]).unwrap();
        let mut spool = open();
        for number in 0..10 {
            spool.append(&[0], format!("{number}\n").as_bytes(), now_ms()).unwrap();
        }
        assert_eq!(read(&mut spool.reader("sink").unwrap()).len(), 10);
        let mut lost = 0;
        // The room that is kept for this has two slots.
        for round in 0..3 {
            fill(&disk);
            lost += lose(&spool);
            let (dropped, waiting) = lost_and_waiting(&spool, "away");
            assert_eq!(dropped, lost, "round {round}");
            if is_closed {
                spool.close().unwrap();
            } else {
                // Nobody closes what is killed, but each second's losses are stored with the next one.
                std::thread::sleep(Duration::from_millis(1100));
                lost += lose(&spool);
            }
            drop(spool);
            spool = open();
            let (after, still_waiting) = lost_and_waiting(&spool, "away");
            assert!(after >= dropped && after <= lost, "round {round}: {after}, {dropped} and then {lost}");
            assert!(!is_closed || after == lost, "round {round}: {after} of {lost}");
            assert_eq!(still_waiting, waiting, "round {round}");
            lost = after;
        }
        std::fs::remove_file(disk.path().join("else")).unwrap();
        spool.append(&[2], b"1000\n", now_ms()).unwrap();
        spool.close().unwrap();
        drop(spool);
        // What stands in that room is not taken for the newest any more.
        let spool = open();
        let mut reader = spool.reader("away").unwrap();
        let got = read(&mut reader);
        assert!(got.starts_with(&[0, 1, 2]) && got.ends_with(&[1000]), "{got:?}");
        assert_eq!(lost_and_waiting(&spool, "away"), (lost, 0));
        assert_eq!(got.len() as u64 + lost, spool.status_now().fill.appended.total());
    }
}

#[test]
fn a_disk_that_is_full_from_the_start_is_no_reason_not_to_open() {
    let Some(disk) = SmallDisk::new(1 << 20) else { return };
    let directory = disk.path().join("spool");
    std::fs::create_dir(&directory).unwrap();
    fill(&disk);
    for _ in 0..2 {
        let spool = Spool::open(&directory, BOUNDS, &["sink"]).unwrap();
        spool.append(&[1], b"1\n", now_ms()).unwrap_err();
        assert_eq!(lost_and_waiting(&spool, "sink"), (1, 0));
    }
    std::fs::remove_file(disk.path().join("else")).unwrap();
    let spool = Spool::open(&directory, BOUNDS, &["sink"]).unwrap();
    spool.append(&[1], b"2\n", now_ms()).unwrap();
    assert_eq!(read(&mut spool.reader("sink").unwrap()), [2]);
}

#[test]
fn a_read_only_disk_is_refused_by_name_and_what_is_on_it_is_there_afterwards() {
    let Some(disk) = SmallDisk::new(1 << 20) else { return };
    let directory = disk.path().join("spool");
    let spool = Spool::open(&directory, BOUNDS, &["sink"]).unwrap();
    spool.append(&[0], b"0\n", now_ms()).unwrap();
    drop(spool);
    mount_remount(disk.path(), MountFlags::RDONLY, "").unwrap();
    let error = Spool::open(&directory, BOUNDS, &["sink"]).unwrap_err().to_string();
    assert!(error.contains(directory.to_str().unwrap()) && error.contains("ead-only"), "{error}");
    mount_remount(disk.path(), MountFlags::empty(), "").unwrap();
    let spool = Spool::open(&directory, BOUNDS, &["sink"]).unwrap();
    assert_eq!(read(&mut spool.reader("sink").unwrap()), [0]);
}
