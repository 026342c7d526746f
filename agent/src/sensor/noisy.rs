//! Cgroups that make more records than one may: the kernel side leaves the rest out, and here is told of whom, since when and how much.
//!
//! The kernel side keeps no state but moments and counts. A cgroup is limited from the first record that was left out until
//! none was for [`RATE_QUIET_NS`]. Nothing is looked at while the total stands still and nobody is limited.

use std::{collections::BTreeMap, rc::Rc};

use linnet_ebpf::{KINDS, RATE_QUIET_NS};
use linnet_fleet::health::{LossesByKind, RateLimited, RateLimits};
use linnet_ocsf::class::LifecycleActivity;
use serde_json::json;

use super::{
    ledger::{KIND_NAMES, limited_total},
    report::timestamp,
    run::Sensor,
};
use crate::{
    event::{Clock, clock},
    kernel::rates::LimitedGroup,
    process::cgroups::{Cgroup, Cgroups},
};

/// How many are told in the health document.
const TOLD: usize = 16;

type Counts = [u64; KINDS as usize];

/// What is known of a cgroup that was limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Episode {
    cgroup_id: u64,
    first_ns: u64,
    last_ns: u64,
    /// Left out in this episode.
    counts: Counts,
}

/// A cgroup is limited from now on, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was first limited at `first_ns`.
    Begins(Episode),
    /// It was last limited at `last_ns`.
    Ends(Episode),
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    episode: Episode,
    /// Left out in earlier episodes.
    before: Counts,
    is_limited: bool,
}

/// The cgroups that were limited lately.
#[derive(Default)]
pub struct Noisy {
    groups: BTreeMap<u64, Known>,
    total: u64,
    times: u64,
}

impl Noisy {
    /// Looks, if there is anything new to see: `total` is what was left out of all cgroups.
    fn step(
        &mut self,
        total: u64,
        now_ns: u64,
        read: impl FnOnce() -> BTreeMap<u64, LimitedGroup>,
    ) -> Vec<Change> {
        if total == self.total && !self.groups.values().any(|known| known.is_limited) {
            return Vec::new();
        }
        self.total = total;
        let mut changes = Vec::new();
        let mut before = std::mem::take(&mut self.groups);
        for (cgroup_id, group) in read() {
            let mut known = before.remove(&cgroup_id).unwrap_or_default();
            known.episode.cgroup_id = cgroup_id;
            let known = self.follow(known, group, now_ns, &mut changes);
            self.groups.insert(cgroup_id, known);
        }
        // The kernel side has forgotten these, so they are quiet.
        changes.extend(
            before.values().filter(|known| known.is_limited).map(|known| Change::Ends(known.episode)),
        );
        changes
    }

    fn follow(
        &mut self,
        mut known: Known,
        group: LimitedGroup,
        now_ns: u64,
        changes: &mut Vec<Change>,
    ) -> Known {
        let is_less = |all: Counts, than: Counts| all.iter().zip(than).any(|(one, than)| *one < than);
        let so_far = sum(known.before, known.episode.counts);
        if is_less(group.limited, so_far) {
            // Forgotten and met again: its counts begin anew.
            known.before = Counts::default();
        } else if group.first_ns != known.episode.first_ns {
            known.before = so_far;
        }
        let counts = difference(group.limited, known.before);
        let cgroup_id = known.episode.cgroup_id;
        let LimitedGroup { first_ns, last_ns, .. } = group;
        if first_ns != known.episode.first_ns {
            if known.is_limited {
                changes.push(Change::Ends(known.episode));
            }
            known.is_limited = true;
            self.times += 1;
            known.episode = Episode { cgroup_id, first_ns, last_ns, counts };
            changes.push(Change::Begins(known.episode));
        }
        known.episode = Episode { cgroup_id, first_ns, last_ns, counts };
        if known.is_limited && now_ns.saturating_sub(last_ns) > RATE_QUIET_NS {
            known.is_limited = false;
            changes.push(Change::Ends(known.episode));
        }
        known
    }

    fn limited(&self) -> impl Iterator<Item = &Episode> {
        self.groups.values().filter(|known| known.is_limited).map(|known| &known.episode)
    }

    /// For the health document.
    pub fn health(&self, records_per_s: u32, cgroups: &Cgroups, clock: Clock) -> RateLimits {
        let mut now: Vec<_> =
            self.limited().map(|episode| told(episode, &name(cgroups, episode), clock)).collect();
        now.sort_by_key(|group| std::cmp::Reverse(group.counts.values().sum::<u64>()));
        let groups = now.len() as u64;
        now.truncate(TOLD);
        RateLimits { records_per_s, groups, now, times: self.times }
    }

    /// Why less is told than was asked for, with what to do.
    pub fn degraded(&self, cgroups: &Cgroups) -> Option<String> {
        let first = self.limited().next()?;
        let others = match self.limited().count() - 1 {
            0 => String::new(),
            count => format!(" and of {count} others"),
        };
        Some(format!(
            "records of the cgroup {}{others} are left out, because they are too many: see what it runs, or raise ring.cgroup_records_per_s",
            path(&name(cgroups, first), first)
        ))
    }
}

fn sum(mut one: Counts, other: Counts) -> Counts {
    one.iter_mut().zip(other).for_each(|(one, other)| *one = one.saturating_add(other));
    one
}

fn difference(mut one: Counts, other: Counts) -> Counts {
    one.iter_mut().zip(other).for_each(|(one, other)| *one = one.saturating_sub(other));
    one
}

fn name(cgroups: &Cgroups, episode: &Episode) -> Option<Rc<Cgroup>> {
    cgroups.of_id(episode.cgroup_id)
}

/// Its path; of one that was forgotten meanwhile, its id.
fn path(cgroup: &Option<Rc<Cgroup>>, episode: &Episode) -> String {
    cgroup.as_ref().map_or_else(|| format!("with id {}", episode.cgroup_id), |cgroup| cgroup.path.to_string())
}

fn told(episode: &Episode, cgroup: &Option<Rc<Cgroup>>, clock: Clock) -> RateLimited {
    let container = cgroup.as_ref().and_then(|cgroup| cgroup.container.as_ref());
    let counts = KIND_NAMES.into_iter().zip(episode.counts).map(|(kind, count)| (kind.to_owned(), count));
    RateLimited {
        cgroup: path(cgroup, episode),
        cgroup_id: episode.cgroup_id,
        container: container.map(|container| container.id.to_string()),
        runtime: container.map(|container| container.runtime.to_owned()),
        since: timestamp(clock.epoch_ms(episode.first_ns)),
        last_at: timestamp(clock.epoch_ms(episode.last_ns)),
        counts: counts.collect(),
    }
}

impl Sensor {
    /// Tells of cgroups that are limited from now on, or no longer.
    pub(super) fn look_at_noise(&mut self, losses: &LossesByKind) {
        let total = limited_total(losses);
        let rates = &self.parts.programs.rates;
        let changes = self.noisy.step(total, clock::boot_ns(), || rates.limited());
        let per_s = self.settings.ring.cgroup_records_per_s;
        for change in changes {
            let (Change::Begins(episode) | Change::Ends(episode)) = change;
            let told = {
                let cgroups = self.parts.pipeline.cgroups();
                told(&episode, &name(cgroups, &episode), Clock::now())
            };
            let (activity, message) = match change {
                Change::Begins(_) => (
                    LifecycleActivity::Disable,
                    format!("of the cgroup {}, records above {per_s} a second are left out", told.cgroup),
                ),
                Change::Ends(_) => (
                    LifecycleActivity::Enable,
                    format!(
                        "of the cgroup {}, all is told again; {} records were left out",
                        told.cgroup,
                        episode.counts.iter().sum::<u64>()
                    ),
                ),
            };
            log::warn!("{message}");
            let details = json!({ "rate_limit": { "records_per_s": per_s, "group": told } });
            self.tell(activity, &message, &details);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn group(cgroup_id: u64, first_s: u64, last_s: u64, limited: Counts) -> (u64, LimitedGroup) {
        (cgroup_id, LimitedGroup { first_ns: first_s * S, last_ns: last_s * S, limited })
    }

    fn step(noisy: &mut Noisy, now_s: u64, groups: &[(u64, LimitedGroup)]) -> Vec<(bool, u64, Counts)> {
        let total = groups.iter().flat_map(|(_, group)| group.limited).sum();
        let changes = noisy.step(total, now_s * S, || groups.iter().copied().collect());
        changes
            .into_iter()
            .map(|change| match change {
                Change::Begins(one) => (true, one.cgroup_id, one.counts),
                Change::Ends(one) => (false, one.cgroup_id, one.counts),
            })
            .collect()
    }

    #[test]
    fn a_beginning_and_an_end_are_told_once_and_each_episode_has_its_own_counts() {
        let mut noisy = Noisy::default();
        assert_eq!(step(&mut noisy, 10, &[]), []);
        assert_eq!(step(&mut noisy, 20, &[group(7, 19, 20, [1, 2, 0])]), [(true, 7, [1, 2, 0])]);
        assert_eq!(step(&mut noisy, 25, &[group(7, 19, 25, [5, 9, 0])]), []);
        assert_eq!(step(&mut noisy, 30, &[group(7, 19, 27, [6, 9, 0])]), []);
        assert_eq!(step(&mut noisy, 38, &[group(7, 19, 27, [6, 9, 0])]), [(false, 7, [6, 9, 0])]);
        // At rest nothing is read.
        assert!(noisy.step(15, 50 * S, || unreachable!("nothing is new")).is_empty());
        assert_eq!(step(&mut noisy, 70, &[group(7, 69, 70, [6, 9, 4])]), [(true, 7, [0, 0, 4])]);
        assert_eq!(noisy.times, 2);
    }

    #[test]
    fn an_episode_between_two_looks_is_told_whole() {
        let mut noisy = Noisy::default();
        let told = step(&mut noisy, 40, &[group(7, 19, 20, [1, 0, 0])]);
        assert_eq!(told, [(true, 7, [1, 0, 0]), (false, 7, [1, 0, 0])]);
        step(&mut noisy, 50, &[group(7, 45, 50, [2, 0, 0])]);
        // The next one began before the end of this one was seen.
        let told = step(&mut noisy, 64, &[group(7, 62, 64, [5, 0, 0])]);
        assert_eq!(told, [(false, 7, [1, 0, 0]), (true, 7, [3, 0, 0])]);
    }

    #[test]
    fn what_the_kernel_side_forgot_has_ended_and_may_begin_anew() {
        let mut noisy = Noisy::default();
        step(&mut noisy, 20, &[group(7, 19, 20, [9, 9, 9]), group(8, 19, 20, [1, 0, 0])]);
        assert_eq!(step(&mut noisy, 22, &[group(7, 19, 22, [9, 9, 10])]), [(false, 8, [1, 0, 0])]);
        assert_eq!(step(&mut noisy, 24, &[]), [(false, 7, [9, 9, 10])]);
        assert_eq!(step(&mut noisy, 26, &[group(7, 25, 26, [0, 1, 0])]), [(true, 7, [0, 1, 0])]);
    }

    #[test]
    fn the_health_document_names_whom_it_can_and_says_what_to_do() {
        let mut noisy = Noisy::default();
        step(&mut noisy, 20, &[group(7, 19, 20, [1, 2, 3])]);
        let told = noisy.health(100, &Cgroups::new(), Clock::now());
        assert_eq!((told.records_per_s, told.groups, told.times), (100, 1, 1));
        let group = told.now.first().unwrap();
        assert_eq!((&*group.cgroup, group.counts.get("exit")), ("with id 7", Some(&3)));
        let reason = noisy.degraded(&Cgroups::new()).unwrap();
        assert!(reason.contains("ring.cgroup_records_per_s") && !reason.contains("others"), "{reason}");
        assert_eq!(Noisy::default().degraded(&Cgroups::new()), None);
    }
}
