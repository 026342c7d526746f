//! The bound on what one cgroup may send, as the agent sets it, and what the kernel side says of those that came up against it.

use std::collections::BTreeMap;

use aya::maps::{Array, HashMap, MapData, MapError};
use linnet_ebpf::{KINDS, RATE_GROUPS, RATE_KINDS, Rate, RateLimit};
use zerocopy::{FromBytes, IntoBytes};

/// How far ahead of its rate a cgroup may run, in nanoseconds: two seconds' worth, which starts of services and builds need.
const BURST_NS: u64 = 2_000_000_000;

type RawLimit = [u64; size_of::<RateLimit>() / size_of::<u64>()];
type RawRate = [u64; size_of::<Rate>() / size_of::<u64>()];

/// What was left out of one cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitedGroup {
    /// When something was first left out this time, since boot.
    pub first_ns: u64,
    /// When something was last left out.
    pub last_ns: u64,
    /// Records that were left out since the group was first seen, by kind.
    pub limited: [u64; KINDS as usize],
}

/// The two maps.
pub struct Rates {
    limit: Array<MapData, RawLimit>,
    rates: HashMap<MapData, u64, RawRate>,
}

impl Rates {
    /// Takes the maps over.
    pub fn new(limit: Array<MapData, RawLimit>, rates: HashMap<MapData, u64, RawRate>) -> Self {
        Self { limit, rates }
    }

    /// Sets what one cgroup may send, from now on. 0 is no limit.
    ///
    /// # Errors
    /// When the kernel refuses the write.
    pub fn set(&mut self, records_per_s: u32) -> Result<(), MapError> {
        let mut raw: RawLimit = [0; size_of::<RateLimit>() / size_of::<u64>()];
        raw.as_mut_bytes().copy_from_slice(limit(records_per_s).as_bytes());
        self.limit.set(0, raw, 0)
    }

    /// The cgroups of which anything was left out, each once. Those that were quiet for longest may be forgotten.
    ///
    /// Where an entry goes away under way, the kernel begins with the first one again: so what comes twice counts once, and a map
    /// that changes faster than it is read is given up with what was read.
    pub fn limited(&self) -> BTreeMap<u64, LimitedGroup> {
        let entries = self.rates.iter().take(2 * RATE_GROUPS as usize);
        let groups = entries.filter_map(|entry| {
            let (cgroup_id, raw) = entry.ok()?;
            Some((cgroup_id, group(Rate::read_from_bytes(raw.as_bytes()).ok()?)?))
        });
        groups.collect()
    }
}

fn limit(records_per_s: u32) -> RateLimit {
    let interval_ns = if records_per_s == 0 { 0 } else { 1_000_000_000 / u64::from(records_per_s) };
    RateLimit { interval_ns, burst_ns: BURST_NS }
}

fn group(rate: Rate) -> Option<LimitedGroup> {
    const { assert!(KINDS as usize <= RATE_KINDS) };
    let mut limited = [0; KINDS as usize];
    for (count, raw) in limited.iter_mut().zip(rate.limited) {
        *count = raw;
    }
    let any = limited.iter().any(|count| *count > 0);
    any.then_some(LimitedGroup { first_ns: rate.first_ns, last_ns: rate.last_ns, limited })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_an_interval_and_no_rate_is_none() {
        assert_eq!(limit(30_000).interval_ns, 33_333);
        assert_eq!(limit(1).interval_ns, 1_000_000_000);
        assert_eq!(limit(0).interval_ns, 0);
        assert_ne!(limit(1_000_000_000).interval_ns, 0);
    }

    #[test]
    fn a_group_of_which_nothing_was_left_out_is_not_told() {
        let mut rate = Rate { due_ns: 1, first_ns: 0, last_ns: 0, limited: [0; RATE_KINDS] };
        assert_eq!(group(rate), None);
        rate.limited = [1, 2, 3, 99];
        assert_eq!(group(rate).unwrap().limited, [1, 2, 3]);
    }
}
