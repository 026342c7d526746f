//! A spool that is found on the disk, whatever became of it.

use std::{fs, path::Path, time::Duration};

use linnet_spool::{Bounds, Counts, Settlement, Spool};

use crate::{place, repair, seed};

const BOUNDS: Bounds =
    Bounds { max_bytes: 4 << 20, max_age: Duration::from_secs(1 << 40), segment_bytes: 1 << 20 };

/// Flags, the number of the first segment's file, then how many 16ths of the rest are `readers.json` (up to a NUL), one segment and
/// another. A reading ends and gives no more than was there; what is appended afterwards comes, whatever lies before it; what is
/// settled does not come again; and nothing is left unaccounted for.
pub fn spool(bytes: &[u8]) {
    let [flags, number, share, rest @ ..] = bytes else { return };
    let directory = place::empty("spool");
    let has_positions = flags & 2 == 2;
    let rest = if has_positions {
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        fs::write(directory.join("readers.json"), &rest[..end]).unwrap();
        &rest[end..]
    } else {
        rest
    };
    let (first, second) = rest.split_at(rest.len() * usize::from(share % 17) / 16);
    for (number, segment) in [(u64::from(*number), first), (u64::from(*number) + 1, second)] {
        // The greatest number that there is, too.
        let number = if flags & 4 == 4 { number.wrapping_sub(0x81) } else { number };
        let mut segment = segment.to_vec();
        if flags & 1 == 1 {
            repair::segment(&mut segment);
        }
        if !segment.is_empty() {
            fs::write(directory.join(format!("{number:016x}.seg")), &segment).unwrap();
        }
    }
    used(&directory, rest.len(), has_positions);
}

fn used(directory: &Path, bytes: usize, has_positions: bool) {
    let Ok(spool) = Spool::open(directory, BOUNDS, &["a", "b"]) else { return };
    let mut reader = spool.reader("a").unwrap();
    let (mut records, mut lines, mut delivered) = (0, 0, Counts::default());
    while let Some(taken) = reader.take(Duration::ZERO).unwrap() {
        records += 1;
        seed::taken();
        lines += taken.kinds().len() + taken.lines().len();
        assert!(records * 92 <= bytes && lines <= bytes, "{records} records of {lines} bytes out of {bytes}");
        delivered = delivered.plus(&Counts::of(taken.kinds()));
        if records % 2 == 0 {
            reader.settle(&Settlement { delivered, ..Settlement::default() });
            delivered = Counts::default();
        }
    }
    reader.settle(&Settlement { delivered, ..Settlement::default() });
    let (account, waiting) = &spool.status_now().readers["a"];
    let _ = (account.lost(), account.settled());
    // What stands in `readers.json` may say anything of what became of them.
    assert!(
        has_positions || waiting.is_zero(),
        "all is read, and {waiting:?} are in no account: {account:?}"
    );

    spool.append(&[0, 3], b"{}\n{\"x\":1}\n", 1_800_000_000_000).unwrap();
    let taken = reader.take(Duration::ZERO).unwrap().expect("what is appended is read");
    assert_eq!((taken.kinds(), taken.lines()), (&[0, 3][..], &b"{}\n{\"x\":1}\n"[..]));
    reader.settle(&Settlement { delivered: Counts::of(taken.kinds()), ..Settlement::default() });
    assert!(reader.take(Duration::ZERO).unwrap().is_none());
    let status = spool.status_now();
    let (account, _) = &status.readers["a"];
    let _ = (account.lost(), status.fill.oldest_age);
    drop(reader);
    spool.close().unwrap();
    drop(spool);

    let spool = Spool::open(directory, BOUNDS, &["a", "b"]).expect("what was closed can be opened");
    let taken = spool.reader("a").unwrap().take(Duration::ZERO).unwrap();
    assert!(taken.is_none(), "what was settled comes again: {taken:?}");
    if !has_positions {
        // `b` has settled nothing; what is there comes to it as often as it is there.
        let mut reader = spool.reader("b").unwrap();
        let mut last = None;
        while let Some(taken) = reader.take(Duration::ZERO).unwrap() {
            last = Some(taken.lines().to_vec());
        }
        assert_eq!(last.as_deref(), Some(&b"{}\n{\"x\":1}\n"[..]));
    }
}
