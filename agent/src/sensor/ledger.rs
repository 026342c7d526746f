//! The loss equation's books: what became of each record after the ring.
//!
//! For each kind, `received = decode_errors + filtered + shed + dropped + delivered + waiting`. A record is entered as received
//! first, and then leaves by exactly one of these doors. What the sinks' thread decides (delivered, dropped) is counted there.

use std::collections::BTreeMap;

use linnet_ebpf::KINDS;
use linnet_fleet::health::{Losses, LossesByKind};

use super::shed::Cause;
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
    /// The draw left its process out.
    Sampled,
}

impl Filter {
    const ALL: [Self; 5] = [Self::Disabled, Self::ForkOnly, Self::Canary, Self::Duplicate, Self::Sampled];

    /// Its slot in an account.
    pub const fn reason(self) -> u16 {
        self as u16
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::ForkOnly => "fork_only",
            Self::Canary => "canary",
            Self::Duplicate => "duplicate",
            Self::Sampled => "sampled",
        }
    }
}

/// Names of ignore rules that are counted apart in one run. What comes later shares the last slot.
const MAX_RULES: usize = 256;
const LATER_RULES: &str = "ignore:later";

#[derive(Clone, Debug, Default)]
struct Account {
    received: u64,
    decode_errors: u64,
    /// By slot: those of [`Filter`], then those of the rules.
    filtered: Vec<u64>,
    shed: [u64; Cause::ALL.len()],
}

/// The books.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: [Account; KINDS as usize],
    strangers: u64,
    /// What the slots after those of [`Filter`] count; a rule keeps its slot when it is gone, for what it left out.
    rules: Vec<String>,
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
        self.left_out(kind, filter.reason());
    }

    /// It makes no event, for the reason of a slot.
    pub fn left_out(&mut self, kind: u16, reason: u16) {
        let Some(account) = self.accounts.get_mut(usize::from(kind)) else { return };
        let slot = usize::from(reason);
        if account.filtered.len() <= slot {
            account.filtered.resize(slot + 1, 0);
        }
        if let Some(count) = account.filtered.get_mut(slot) {
            *count += 1;
        }
    }

    /// The slot that counts what a rule leaves out.
    pub fn reason_of_rule(&mut self, name: &str) -> u16 {
        let name =
            if self.rules.len() < MAX_RULES { format!("ignore:{name}") } else { LATER_RULES.to_owned() };
        let place = self.rules.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.rules.push(name);
            self.rules.len() - 1
        });
        u16::try_from(Filter::ALL.len() + place).unwrap_or(u16::MAX)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let fixed = Filter::ALL.into_iter().map(|filter| -> &str { filter.as_str() });
        fixed.chain(self.rules.iter().map(String::as_str))
    }

    /// It makes no event, because the sensor is pressed.
    pub fn shed(&mut self, kind: u16, cause: Cause) {
        if let Some(slot) =
            self.accounts.get_mut(usize::from(kind)).and_then(|account| account.shed.get_mut(cause as usize))
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
                let names = self.names();
                let filtered = named(names, &account.filtered);
                let dropped_counts = sinks.dropped(kind);
                let dropped = named(DropReason::ALL.map(DropReason::as_str), &dropped_counts);
                let delivered = sinks.delivered(kind);
                let settled = account.decode_errors
                    + account.filtered.iter().sum::<u64>()
                    + account.shed.iter().sum::<u64>()
                    + dropped_counts.iter().sum::<u64>()
                    + delivered;
                let losses = Losses {
                    attempted: counts.attempted,
                    received: account.received,
                    lost_ring: counts.lost,
                    rate_limited: counts.limited,
                    missed_by_kernel: counts.missed,
                    decode_errors: account.decode_errors,
                    filtered,
                    shed: named(Cause::ALL.map(Cause::as_str), &account.shed),
                    dropped,
                    delivered,
                    waiting: account.received.saturating_sub(settled),
                };
                (name.to_owned(), losses)
            })
            .collect()
    }
}

fn named<'n>(names: impl IntoIterator<Item = &'n str>, counts: &[u64]) -> BTreeMap<String, u64> {
    names
        .into_iter()
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| (name.to_owned(), *count))
        .collect()
}

/// Records that were left out because their cgroup had made too many.
pub fn limited_total(losses: &LossesByKind) -> u64 {
    losses.values().map(|one| one.rate_limited).sum()
}

/// Events that are missing from the stream for good: lost in the ring, left out for their cgroup's rate, missed by the kernel, not
/// understood, dropped by the sinks, shed.
pub fn missing_total(losses: &LossesByKind) -> u64 {
    losses
        .values()
        .map(|one| {
            one.lost_ring
                + one.rate_limited
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
        ledger.shed(1, Cause::Output);
        let counts = KernelCounts { attempted: 11, lost: 2, limited: 4, missed: 1 };
        let losses =
            ledger.losses(&[KernelCounts::default(), counts, KernelCounts::default()], &Shared::default());
        let exec = losses.get("exec").unwrap();
        assert_eq!((exec.waiting, exec.ring_imbalance(), exec.agent_imbalance()), (2, 0, 0));
        assert_eq!(exec.shed.get("output"), Some(&1));
        assert_eq!(exec.filtered.get("canary"), Some(&1));
        assert_eq!(missing_total(&losses), 9);
    }

    #[test]
    fn what_a_rule_leaves_out_is_counted_by_its_name_also_when_it_is_gone() {
        let mut ledger = Ledger::default();
        let (one, two) = (ledger.reason_of_rule("one"), ledger.reason_of_rule("two"));
        assert_eq!(ledger.reason_of_rule("one"), one);
        for reason in [one, two, two, Filter::Sampled.reason()] {
            ledger.received(1);
            ledger.left_out(1, reason);
        }
        let losses = ledger.losses(&Default::default(), &Shared::default());
        let exec = losses.get("exec").unwrap();
        let filtered: Vec<_> = exec.filtered.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(filtered, [("ignore:one", 1), ("ignore:two", 2), ("sampled", 1)]);
        assert_eq!((exec.agent_imbalance(), exec.waiting), (0, 0));
    }

    #[test]
    fn names_of_rules_are_bounded_and_nothing_is_lost() {
        let mut ledger = Ledger::default();
        for number in 0..MAX_RULES + 10 {
            let reason = ledger.reason_of_rule(&format!("r{number}"));
            ledger.received(2);
            ledger.left_out(2, reason);
        }
        let exit = ledger.losses(&Default::default(), &Shared::default()).remove("exit").unwrap();
        assert_eq!(exit.filtered.get(LATER_RULES), Some(&10));
        assert_eq!((exit.agent_imbalance(), exit.waiting), (0, 0));
    }

    #[test]
    fn a_record_of_an_unknown_kind_is_counted_apart() {
        let mut ledger = Ledger::default();
        ledger.received(99);
        ledger.undecodable(99);
        assert_eq!(ledger.strangers(), 1);
    }
}
