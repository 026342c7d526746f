//! Any order of appending, reading, settling, losing and opening again: what a reader gets is what was appended, in
//! order, less what its account says is lost, and nothing twice unless the spool was left without being closed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_range_loop,
    reason = "the helpers are test code too"
)]

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use linnet_spool::{Bounds, Counts, Reader, Settlement, Spool};
use proptest::prelude::*;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

const NOW: Duration = Duration::ZERO;

#[derive(Clone, Debug)]
enum Act {
    /// A batch of events of these kinds.
    Append(Vec<u8>),
    /// Reader 0 or 1 takes up to so many records.
    Take(usize, usize),
    Settle(usize),
    /// With a clean end or without.
    Reopen(bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => prop::collection::vec(0_u8..8, 1..12).prop_map(Act::Append),
        4 => (0..2_usize, 1..6_usize).prop_map(|(reader, most)| Act::Take(reader, most)),
        3 => (0..2_usize).prop_map(Act::Settle),
        1 => any::<bool>().prop_map(Act::Reopen),
    ];
    prop::collection::vec(act, 1..80)
}

const NAMES: [&str; 2] = ["one", "two"];

struct Stage<'d> {
    directory: &'d Path,
    bounds: Bounds,
    spool: Option<Spool>,
    readers: Vec<Reader>,
    /// What each has taken and not settled.
    in_hand: [Vec<u64>; 2],
    in_hand_kinds: [Counts; 2],
    settled: [Vec<u64>; 2],
}

impl<'d> Stage<'d> {
    fn new(directory: &'d Path, bounds: Bounds) -> Self {
        let mut stage = Self {
            directory,
            bounds,
            spool: None,
            readers: Vec::new(),
            in_hand: Default::default(),
            in_hand_kinds: Default::default(),
            settled: Default::default(),
        };
        stage.open();
        stage
    }

    fn open(&mut self) {
        self.readers.clear();
        self.spool = None;
        let spool = Spool::open(self.directory, self.bounds, &NAMES).unwrap();
        self.readers = NAMES.iter().map(|name| spool.reader(name).unwrap()).collect();
        self.spool = Some(spool);
        self.in_hand = Default::default();
        self.in_hand_kinds = Default::default();
    }

    fn spool(&self) -> &Spool {
        self.spool.as_ref().unwrap()
    }

    fn take(&mut self, reader: usize) -> bool {
        let Some(taken) = self.readers[reader].take(NOW).unwrap() else { return false };
        let text = String::from_utf8(taken.lines().to_vec()).unwrap();
        let numbers: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(numbers.len(), taken.kinds().len());
        self.in_hand[reader].extend(numbers);
        self.in_hand_kinds[reader] = self.in_hand_kinds[reader].plus(&Counts::of(taken.kinds()));
        true
    }

    fn settle(&mut self, reader: usize) {
        let delivered = std::mem::take(&mut self.in_hand_kinds[reader]);
        self.readers[reader].settle(&Settlement { delivered, ..Settlement::default() });
        let numbers = std::mem::take(&mut self.in_hand[reader]);
        self.settled[reader].extend(numbers);
    }
}

fn run(acts: Vec<Act>, bounds: Bounds) {
    // In memory where there is room for it: each of some hundred spools is synced.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut stage = Stage::new(directory.path(), bounds);
    let (mut next, mut appended, mut crashed) = (0_u64, Counts::default(), false);
    for act in acts {
        match act {
            Act::Append(kinds) => {
                let lines: String = kinds
                    .iter()
                    .map(|_| {
                        next += 1;
                        format!("{next}\n")
                    })
                    .collect();
                stage.spool().append(&kinds, lines.as_bytes(), now_ms()).unwrap();
                appended = appended.plus(&Counts::of(&kinds));
                let fill = stage.spool().status_now().fill;
                assert!(fill.bytes <= bounds.max_bytes, "{fill:?}");
                assert_eq!(fill.appended, appended);
            }
            Act::Take(reader, most) => while_some(most, || stage.take(reader)),
            Act::Settle(reader) => stage.settle(reader),
            Act::Reopen(clean) => {
                if clean {
                    stage.spool().close().unwrap();
                } else {
                    crashed = true;
                }
                stage.open();
            }
        }
    }
    for reader in 0..2 {
        while stage.take(reader) {}
        stage.settle(reader);
        let (account, waiting) = stage.spool().status_now().readers[NAMES[reader]].clone();
        assert_eq!(waiting, Counts::default());
        assert_eq!(account.settled(), appended, "{account:?}");
        let mut got = std::mem::take(&mut stage.settled[reader]);
        if crashed {
            // What was settled and not yet stored comes again.
            got.sort_unstable();
            got.dedup();
            assert!(got.len() as u64 + account.lost() >= next, "{} + {account:?} of {next}", got.len());
        } else {
            assert!(got.is_sorted_by(|one, other| one < other));
            assert_eq!(got.len() as u64 + account.lost(), next, "{account:?}");
            assert_eq!(account.delivered.total(), got.len() as u64);
        }
    }
}

fn while_some(most: usize, mut take: impl FnMut() -> bool) {
    for _ in 0..most {
        if !take() {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_or_out_of_order_while_there_is_room(acts in acts()) {
        run(acts, Bounds { max_bytes: 1 << 20, max_age: Duration::from_secs(3600), segment_bytes: 600 });
    }

    #[test]
    fn what_a_full_spool_drops_is_in_the_account(acts in acts()) {
        run(acts, Bounds { max_bytes: 1500, max_age: Duration::from_secs(3600), segment_bytes: 400 });
    }
}
