//! A reader, as the spool follows it: where it is, what it has in hand, and what it will never get.

use crate::{
    account::Lost,
    counts::Counts,
    state::{Hole, Position, Stored},
};

/// So many losses apart from each other are remembered of what a reader has not read yet. With the longest numbers and eight readers
/// they are 3 MB in `readers.json`, which is believed up to 4 MiB.
const MAX_HOLES: usize = 1024;

/// A reader, as the spool follows it.
#[derive(Debug)]
pub(crate) struct Tracked {
    /// What is read next, and the counts before it.
    pub cursor: Position,
    pub reached: Counts,
    /// What was taken last ends here.
    pub taken: Position,
    pub in_flight: Counts,
    pub stored: Stored,
}

impl Tracked {
    pub fn new(stored: Stored) -> Self {
        let (cursor, reached) = (stored.position, stored.reached);
        Self { cursor, reached, taken: cursor, in_flight: Counts::default(), stored }
    }

    /// Counts what lies between as lost, unless it is counted already.
    pub fn lose(&mut self, from: Counts, to: Counts, reason: Lost) {
        if to.is_within(&from) {
            return;
        }
        let lost = self.uncounted(&from, &to);
        if !lost.is_zero() {
            self.stored.account.drop(reason.as_str(), &lost);
        }
        // Holes lie apart, with something that waits in between: one that meets others becomes one with them.
        let mut whole = Hole { from, to };
        self.stored.holes.retain(|hole| {
            let meets = hole.from.is_within(&whole.to) && whole.from.is_within(&hole.to);
            if meets {
                whole = Hole { from: whole.from.min(&hole.from), to: whole.to.max(&hole.to) };
            }
            !meets
        });
        self.stored.holes.push(whole);
    }

    /// Whether more losses lie before it than can be remembered.
    pub fn has_too_many_holes(&self) -> bool {
        self.stored.holes.len() > MAX_HOLES
    }

    /// How many of them lie between.
    pub fn holes_within(&self, from: &Counts, to: &Counts) -> usize {
        let within = |hole: &&Hole| from.is_within(&hole.from) && hole.to.is_within(to);
        self.stored.holes.iter().filter(within).count()
    }

    /// What lies between, less what is counted as lost already.
    fn uncounted(&self, from: &Counts, to: &Counts) -> Counts {
        let holes = self.stored.holes.iter();
        let known =
            holes.fold(Counts::default(), |sum, hole| sum.plus(&hole.to.min(to).minus(&hole.from.max(from))));
        to.minus(from).minus(&known)
    }

    /// The cursor stands where the spool's counts are `here`: what is missing on the way was damaged.
    pub fn arrive(&mut self, here: &Counts) {
        if !here.is_within(&self.reached) {
            let from = self.reached;
            self.lose(from, *here, Lost::Damaged);
            self.reached = self.reached.max(here);
        }
    }

    /// All that was taken is settled.
    pub fn settle(&mut self) {
        self.in_flight = Counts::default();
        // After a drop the cursor is ahead of what was taken; both are behind what is settled.
        self.stored.position = self.taken.max(self.stored.position);
        self.stored.reached = self.reached;
        let reached = self.reached;
        self.stored.holes.retain(|hole| !hole.to.is_within(&reached));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A state of a spool in which there was only one kind.
    fn at(count: u64) -> Counts {
        let mut counts = Counts::default();
        counts.0[0] = count;
        counts
    }

    proptest! {
        #[test]
        fn each_event_is_lost_once_however_losses_meet(losses in prop::collection::vec((0_u64..60, 0_u64..12), 1..40)) {
            let mut reader = Tracked::new(Stored::default());
            let mut lost = [false; 80];
            for (from, len) in losses {
                reader.lose(at(from), at(from + len), Lost::DiskFull);
                (from..from + len).for_each(|event| lost[event as usize] = true);
                let expected = lost.iter().filter(|lost| **lost).count() as u64;
                prop_assert_eq!(reader.stored.account.lost(), expected);
                // No more of them are remembered than there are.
                let runs = lost.chunk_by(|one, next| one == next).filter(|run| run[0]).count();
                prop_assert_eq!(reader.stored.holes.len(), runs);
            }
        }
    }
}
