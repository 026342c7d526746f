//! What became of the events of one reader.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::counts::Counts;

/// Why events never reached a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// The spool was full, and they were the oldest.
    SpoolFull,
    /// They were too old.
    Expired,
    /// What was read back is not what was written, or not there.
    Damaged,
    /// The disk was full when they were to be written.
    DiskFull,
    /// They could not be written for another reason.
    Io,
    /// The batch was longer than a record may be.
    TooLong,
}

impl Lost {
    /// Its name in accounts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SpoolFull => "spool_full",
            Self::Expired => "expired",
            Self::Damaged => "damaged",
            Self::DiskFull => "disk_full",
            Self::Io => "io",
            Self::TooLong => "too_long",
        }
    }
}

/// Where the events of a reader are, since the reader's first day:
/// `appended = delivered + filtered + refused + dropped + waiting`, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// Appended before the reader was there.
    pub start: Counts,
    /// Delivered.
    pub delivered: Counts,
    /// Not wanted by this reader.
    pub filtered: Counts,
    /// Refused by the other side, and kept elsewhere.
    pub refused: Counts,
    /// Lost, by reason.
    pub dropped: BTreeMap<String, Counts>,
}

impl Account {
    pub(crate) fn drop(&mut self, reason: &str, counts: &Counts) {
        if counts.is_zero() {
            return;
        }
        let slot = self.dropped.entry(reason.to_owned()).or_default();
        *slot = slot.plus(counts);
    }

    /// All that has been decided on.
    #[must_use]
    pub fn settled(&self) -> Counts {
        let dropped = self.dropped.values().fold(Counts::default(), |sum, one| sum.plus(one));
        self.delivered.plus(&self.filtered).plus(&self.refused).plus(&dropped)
    }

    /// All that was lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.dropped.values().fold(0, |sum, one| sum.saturating_add(one.total()))
    }

    /// What waits, when so much has been appended in all.
    #[must_use]
    pub fn waiting(&self, appended: &Counts) -> Counts {
        appended.minus(&self.start).minus(&self.settled())
    }
}

/// What a reader made of the events that it had taken. Together they must be all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// Delivered.
    pub delivered: Counts,
    /// Not wanted.
    pub filtered: Counts,
    /// Refused by the other side, and kept elsewhere.
    pub refused: Counts,
    /// Given up, by reason.
    pub dropped: BTreeMap<&'static str, Counts>,
}
