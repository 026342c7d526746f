//! The loss equation's books: what became of each record after the ring.
//!
//! For each kind, `received = decode_errors + filtered + dropped + delivered + waiting`. A record is entered as received
//! first, and then leaves by exactly one of these doors. What the sinks' thread decides (delivered, dropped) is counted there.

use std::collections::BTreeMap;

use linnet_ebpf::KINDS;
use linnet_fleet::health::{Losses, LossesByKind};

use crate::{
    kernel::counters::KernelCounts,
    sink::{DropReason, Shared},
};

/// Names of the kinds in every account.
pub const KIND_NAMES: [&str; KINDS as usize] = ["fork", "exec", "exit"];

/// Why a record made no event, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Settings don't ask for this kind of event.
    Disabled,
    /// The end of a process that never took an image of its own; written only with fork events.
    ForkOnly,
    /// The sensor's own test process.
    Canary,
    /// A second end of the same process.
    Duplicate,
}

impl Filter {
    const ALL: [Self; 4] = [Self::Disabled, Self::ForkOnly, Self::Canary, Self::Duplicate];

    fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::ForkOnly => "fork_only",
            Self::Canary => "canary",
            Self::Duplicate => "duplicate",
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    received: u64,
    decode_errors: u64,
    filtered: [u64; Filter::ALL.len()],
}

/// The books.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: [Account; KINDS as usize],
    strangers: u64,
}

impl Ledger {
    /// A record came out of the ring.
    pub fn received(&mut self, kind: u16) {
        match self.accounts.get_mut(usize::from(kind)) {
            Some(account) => account.received += 1,
            None => self.strangers += 1,
        }
    }

    /// It was not understood.
    pub fn undecodable(&mut self, kind: u16) {
        if let Some(account) = self.accounts.get_mut(usize::from(kind)) {
            account.decode_errors += 1;
        }
    }

    /// It makes no event, on purpose.
    pub fn filtered(&mut self, kind: u16, filter: Filter) {
        if let Some(slot) = self
            .accounts
            .get_mut(usize::from(kind))
            .and_then(|account| account.filtered.get_mut(filter as usize))
        {
            *slot += 1;
        }
    }

    /// Records of no known kind, which belong to none of the accounts.
    pub fn strangers(&self) -> u64 {
        self.strangers
    }

    /// The whole equation, by kind. What is in no other account is waiting: in a queue, or for its hash.
    pub fn losses(&self, kernel: &[KernelCounts; KINDS as usize], sinks: &Shared) -> LossesByKind {
        self.accounts
            .iter()
            .zip(kernel)
            .zip(KIND_NAMES)
            .enumerate()
            .map(|(kind, ((account, counts), name))| {
                let filtered = named(Filter::ALL.map(Filter::as_str), account.filtered);
                let dropped_counts = sinks.dropped(kind);
                let dropped = named(DropReason::ALL.map(DropReason::as_str), dropped_counts);
                let delivered = sinks.delivered(kind);
                let settled = account.decode_errors
                    + account.filtered.iter().sum::<u64>()
                    + dropped_counts.iter().sum::<u64>()
                    + delivered;
                let losses = Losses {
                    attempted: counts.attempted,
                    received: account.received,
                    lost_ring: counts.lost,
                    missed_by_kernel: counts.missed,
                    decode_errors: account.decode_errors,
                    filtered,
                    shed: BTreeMap::new(),
                    dropped,
                    delivered,
                    waiting: account.received.saturating_sub(settled),
                };
                (name.to_owned(), losses)
            })
            .collect()
    }
}

fn named<const N: usize>(names: [&str; N], counts: [u64; N]) -> BTreeMap<String, u64> {
    names
        .into_iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

/// Events that are missing from the stream for good: lost in the ring, missed by the kernel, not understood, dropped by the sinks.
pub fn missing_total(losses: &LossesByKind) -> u64 {
    losses
        .values()
        .map(|one| {
            one.lost_ring
                + one.missed_by_kernel
                + one.decode_errors
                + one.dropped.values().sum::<u64>()
                + one.shed.values().sum::<u64>()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_no_account_is_waiting() {
        let mut ledger = Ledger::default();
        for _ in 0..5 {
            ledger.received(1);
        }
        ledger.undecodable(1);
        ledger.filtered(1, Filter::Canary);
        let counts = KernelCounts { attempted: 7, lost: 2, missed: 1 };
        let losses =
            ledger.losses(&[KernelCounts::default(), counts, KernelCounts::default()], &Shared::default());
        let exec = losses.get("exec").unwrap();
        assert_eq!((exec.waiting, exec.ring_imbalance(), exec.agent_imbalance()), (3, 0, 0));
        assert_eq!(exec.filtered.get("canary"), Some(&1));
        assert_eq!(missing_total(&losses), 4);
    }

    #[test]
    fn a_record_of_an_unknown_kind_is_counted_apart() {
        let mut ledger = Ledger::default();
        ledger.received(99);
        ledger.undecodable(99);
        assert_eq!(ledger.strangers(), 1);
    }
}
