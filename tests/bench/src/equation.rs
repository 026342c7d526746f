//! The loss equation, held against the agent's health document and against what the storm knows.
//!
//! The agent's own sums must come out, and they must explain what is missing: an exec that is neither in the output nor
//! counted as lost would be the worst of all, a gap that looks like silence.

use linnet_fleet::health::{Health, Losses};
use serde::Serialize;

use crate::verify::Verdict;

/// The kind of event that a storm makes.
const EXEC: &str = "exec";

/// What became of the execs, by the agent's own account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Events that the kernel side tried to report.
    pub attempted: u64,
    /// Those that the agent took out of the ring.
    pub received: u64,
    /// Those for which the ring had no room, of which their cgroup had made too many, that the kernel skipped, or that the agent gave up, for whatever reason.
    pub lost: u64,
    /// What does not add up, a sentence each; empty when everything does.
    pub contradictions: Vec<String>,
}

/// Everything that the agent says it lost of this kind.
fn lost(losses: &Losses) -> u64 {
    let given_up = losses.shed.values().chain(losses.dropped.values()).sum::<u64>();
    losses.lost_ring + losses.rate_limited + losses.missed_by_kernel + losses.decode_errors + given_up
}

/// Draws up the account of a drained agent; with a verdict, what is missing there must be lost here.
#[must_use]
pub fn account(health: &Health, verdict: Option<&Verdict>) -> Account {
    let mut contradictions = Vec::new();
    for (kind, losses) in &health.losses {
        for (sum, imbalance) in [
            ("attempted = received + lost", losses.ring_imbalance()),
            ("received = delivered + all that was left out", losses.agent_imbalance()),
        ] {
            if imbalance != 0 {
                contradictions.push(format!("{kind}: {sum} is off by {imbalance}: {losses:?}"));
            }
        }
        if losses.waiting != 0 {
            contradictions
                .push(format!("{kind}: {} events still wait: the agent has not drained", losses.waiting));
        }
    }
    let exec = health.losses.get(EXEC).cloned().unwrap_or_default();
    let lost = lost(&exec);
    if let Some(verdict) = verdict {
        if verdict.missing > lost {
            contradictions
                .push(format!("{} execs are missing in the output, but only {lost} lost", verdict.missing));
        }
        if verdict.expected > exec.attempted + exec.missed_by_kernel {
            contradictions.push(format!(
                "the storm made {} execs, but the agent knows of {}",
                verdict.expected,
                exec.attempted + exec.missed_by_kernel
            ));
        }
    }
    Account { attempted: exec.attempted, received: exec.received, lost, contradictions }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn health(losses: Losses) -> Health {
        Health { losses: BTreeMap::from([(EXEC.to_owned(), losses)]), ..Health::default() }
    }

    fn balanced() -> Losses {
        Losses { attempted: 100, received: 90, lost_ring: 10, delivered: 90, ..Losses::default() }
    }

    #[test]
    fn sums_that_come_out_and_explain_the_gap_are_no_contradiction() {
        let verdict = Verdict { expected: 95, missing: 10, ..Verdict::default() };
        let account = account(&health(balanced()), Some(&verdict));
        assert_eq!((account.attempted, account.received, account.lost), (100, 90, 10));
        assert_eq!(account.contradictions, Vec::<String>::new());
    }

    #[test]
    fn every_sum_that_does_not_come_out_is_told() {
        for losses in [
            Losses { received: 89, delivered: 89, ..balanced() },
            Losses { delivered: 89, ..balanced() },
            Losses { delivered: 89, waiting: 1, ..balanced() },
        ] {
            assert_eq!(account(&health(losses.clone()), None).contradictions.len(), 1, "{losses:?}");
        }
    }

    #[test]
    fn a_gap_that_nothing_explains_is_told() {
        let verdict = Verdict { expected: 95, missing: 11, ..Verdict::default() };
        assert_eq!(account(&health(balanced()), Some(&verdict)).contradictions.len(), 1);
        let verdict = Verdict { expected: 101, ..Verdict::default() };
        assert_eq!(account(&health(balanced()), Some(&verdict)).contradictions.len(), 1);
    }
}
