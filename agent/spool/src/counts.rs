//! Events by kind.

use serde::{Deserialize, Serialize};

/// Kinds that can be told apart. What each is, only the caller knows.
pub const KINDS: usize = 8;

/// No spool comes to so many events, or segments: what says so is damaged, and from here there is room to count on.
pub(crate) const BEYOND: u64 = 1 << 62;

/// Numbers of events, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(pub [u64; KINDS]);

impl Counts {
    /// Counts events by their kinds; a kind out of range counts as the last one.
    #[must_use]
    pub fn of(kinds: &[u8]) -> Self {
        let mut counts = Self::default();
        for &kind in kinds {
            counts.count(kind);
        }
        counts
    }

    /// One more of a kind.
    pub fn count(&mut self, kind: u8) {
        if let Some(slot) = self.0.get_mut(usize::from(kind).min(KINDS - 1)) {
            *slot = slot.saturating_add(1);
        }
    }

    /// Of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, one| sum.saturating_add(*one))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|one| *one == 0)
    }

    /// Whether a spool may have come to them.
    pub(crate) fn is_possible(&self) -> bool {
        self.0.iter().all(|one| *one < BEYOND)
    }

    /// Kind by kind.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// Kind by kind; never below zero.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    /// The greater, kind by kind.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        self.with(other, Ord::max)
    }

    /// The less, kind by kind.
    #[must_use]
    pub fn min(&self, other: &Self) -> Self {
        self.with(other, Ord::min)
    }

    /// Whether no kind has more than in `other`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(own, other)| *own <= other)
    }

    fn with(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        let mut counts = *self;
        for (own, other) in counts.0.iter_mut().zip(other.0) {
            *own = combine(*own, other);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_is_counted_as_the_last_one() {
        assert_eq!(Counts::of(&[0, 3, 3, 7, 200]).0, [1, 0, 0, 2, 0, 0, 0, 2]);
    }
}
