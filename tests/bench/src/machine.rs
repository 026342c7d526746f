//! What the whole machine spends, and how quiet it is.
//!
//! Busy time is what is left of wall time on all processors after idle time and time stolen by a hypervisor. The
//! kernel measures idle time by the clock, but the busy kinds only by samples at timer ticks, which is too coarse here.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::param::clock_ticks_per_second;

/// The time counters at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot {
    at: Instant,
    not_busy_ticks: u64,
    cpus: u32,
}

impl Snapshot {
    /// Reads `/proc/stat`.
    pub fn take() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        let at = Instant::now();
        let (not_busy_ticks, cpus) = parse(&text).context("read the cpu lines of /proc/stat")?;
        Ok(Self { at, not_busy_ticks, cpus })
    }

    /// Busy time of all processors since an earlier snapshot, in nanoseconds.
    pub fn busy_ns_since(&self, earlier: &Self) -> u64 {
        let wall_ns = self.at.duration_since(earlier.at).as_nanos() as u64 * u64::from(self.cpus);
        let ticks = self.not_busy_ticks.saturating_sub(earlier.not_busy_ticks);
        wall_ns.saturating_sub(ticks * (1_000_000_000 / clock_ticks_per_second().max(1)))
    }
}

/// Idle, waiting and stolen ticks of all processors, and how many processors there are.
fn parse(text: &str) -> Option<(u64, u32)> {
    let all = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = all.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    let (idle, waiting, stolen) = (fields.get(3)?, fields.get(4)?, fields.get(7)?);
    let cpus = text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    Some((idle + waiting + stolen, u32::try_from(cpus).ok()?))
}

/// How many processes wanted a processor in the last minute.
pub fn load_average() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
    let first = text.split_ascii_whitespace().next().context("read the first field of /proc/loadavg")?;
    first.parse().context("read the first field of /proc/loadavg")
}

/// Kernel release and number of processors.
pub fn description() -> Result<String> {
    let kernel = rustix::system::uname();
    let snapshot = Snapshot::take()?;
    Ok(format!("Linux {}, {} processors", kernel.release().to_string_lossy(), snapshot.cpus))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn idle_waiting_and_stolen_time_is_not_busy() {
        let text =
            "cpu  1 2 3 100 20 5 6 7 0 0\ncpu0 1 1 1 50 10 0 0 0 0 0\ncpu1 0 1 2 50 10 0 0 0 0 0\nintr 1\n";
        assert_eq!(parse(text), Some((127, 2)));
        assert_eq!(parse("intr 1\n"), None);
    }

    #[test]
    fn busy_time_is_wall_time_of_all_processors_less_the_rest() {
        let at = Instant::now();
        let earlier = Snapshot { at, not_busy_ticks: 100, cpus: 2 };
        let later = Snapshot { at: at + Duration::from_secs(1), not_busy_ticks: 150, cpus: 2 };
        let rest_ns = 50 * (1_000_000_000 / clock_ticks_per_second());
        assert_eq!(later.busy_ns_since(&earlier), 2_000_000_000 - rest_ns);
    }
}
