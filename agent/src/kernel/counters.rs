//! The kernel's side of the loss equation: attempted, lost and limited, summed over the CPUs, and what the kernel
//! itself refused to run.

use std::{fs, os::fd::AsRawFd};

use aya::maps::{MapData, MapError, PerCpuArray};
use linnet_ebpf::{Counters, KINDS};
use zerocopy::FromBytes;

/// One kind's counts since the programs were loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounts {
    /// Records that a program set out to write.
    pub attempted: u64,
    /// Records for which the ring had no room.
    pub lost: u64,
    /// Records that were left out because their cgroup had sent too many.
    pub limited: u64,
    /// Events for which the program was not run because it already ran on that CPU (`recursion_misses`,
    /// reported since 5.12; older kernels don't preempt these programs).
    pub missed: u64,
}

/// Bytes of [`Counters`], as a type that is plain data to the map's library.
type Raw = [u64; size_of::<Counters>() / size_of::<u64>()];

/// Reads the counters' map and the programs' own statistics.
pub struct CounterMap {
    map: PerCpuArray<MapData, Raw>,
}

impl CounterMap {
    /// Takes the map over.
    pub fn new(map: PerCpuArray<MapData, Raw>) -> Self {
        Self { map }
    }

    /// Sums of all CPUs, by kind.
    ///
    /// # Errors
    /// When the kernel refuses the look-up.
    pub fn read(&self) -> Result<[KernelCounts; KINDS as usize], MapError> {
        let mut sums = [KernelCounts::default(); KINDS as usize];
        for (kind, sum) in (0..KINDS).zip(&mut sums) {
            for raw in self.map.get(&kind, 0)?.iter() {
                let bytes = zerocopy::IntoBytes::as_bytes(raw);
                if let Ok(counters) = Counters::read_from_bytes(bytes) {
                    sum.attempted += counters.attempted;
                    sum.lost += counters.lost;
                    sum.limited += counters.limited;
                }
            }
        }
        Ok(sums)
    }
}

/// `recursion_misses` of a loaded program, from its descriptor's fdinfo; 0 where the kernel doesn't tell.
pub fn recursion_misses(program: &impl AsRawFd) -> u64 {
    let path = format!("/proc/self/fdinfo/{}", program.as_raw_fd());
    fs::read_to_string(path).ok().and_then(|text| parse_recursion_misses(&text)).unwrap_or(0)
}

fn parse_recursion_misses(fdinfo: &str) -> Option<u64> {
    fdinfo.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recursion_misses_are_read_from_fdinfo() {
        assert_eq!(parse_recursion_misses("prog_type:\t17\nrecursion_misses:\t12\n"), Some(12));
        assert_eq!(parse_recursion_misses("prog_type:\t17\n"), None);
        assert_eq!(parse_recursion_misses("recursion_misses:\tx\n"), None);
    }
}
