//! How pressed the sensor is: what its cgroup, the ring and the queue to the outputs say, from one look to the next.
//!
//! Pure: the caller reads the files and the clock. What the kernel does not tell counts as no pressure.

use std::time::Duration;

use linnet_fleet::health::{LimitValues, Usage};

use super::shed::{Family, Reading};

/// At most once in this time is it looked at, and only by a sensor that is awake anyway.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A cgroup that hits its limit is pressed for memory from this share on that can't be reclaimed. Below it the hits are the page cache of
/// the output, which the kernel takes back.
const HIT_PERMILLE: u32 = 700;
/// What such hits count as.
const HIT_COUNTS_AS_PERMILLE: u32 = 850;

/// What is gathered between two looks.
#[derive(Debug, Default)]
pub struct Gauge {
    usage: Usage,
    written: [u64; Family::ALL.len()],
    at: Duration,
    ring_peak_permille: u32,
    queue_full: Duration,
}

impl Gauge {
    /// The ring has been seen this full.
    pub fn note_ring(&mut self, bytes: u64, of_bytes: u64) {
        self.ring_peak_permille = self.ring_peak_permille.max(permille(bytes, of_bytes));
    }

    /// The queue to the outputs was full for this long.
    pub fn note_full_queue(&mut self, waited: Duration) {
        self.queue_full += waited;
    }

    /// Makes a reading of what was gathered and of the difference to the look before, and begins anew. `written` are
    /// the events of each family so far, `now` is the time since some beginning.
    pub fn read(
        &mut self,
        usage: &Usage,
        limits: &LimitValues,
        written: [u64; Family::ALL.len()],
        now: Duration,
    ) -> Reading {
        let before = std::mem::replace(&mut self.usage, *usage);
        let elapsed = now.saturating_sub(std::mem::replace(&mut self.at, now));
        let written_before = std::mem::replace(&mut self.written, written);
        let limit = [limits.memory_max_bytes, limits.memory_high_bytes].into_iter().flatten().min();
        let memory = usage.memory_held_bytes.zip(limit).map_or(0, |(held, limit)| permille(held, limit));
        let hits = |usage: &Usage| usage.memory_events.high.or(usage.memory_events.max);
        let was_hit = grown(hits(&before), hits(usage)) > 0;
        let periods = grown(before.nr_periods, usage.nr_periods);
        let throttled = grown(before.nr_throttled, usage.nr_throttled);
        let elapsed_us = micros(elapsed);
        Reading {
            memory_permille: if was_hit && memory >= HIT_PERMILLE {
                memory.max(HIT_COUNTS_AS_PERMILLE)
            } else {
                memory
            },
            memory_stall_permille: permille(grown(before.memory_stall_us, usage.memory_stall_us), elapsed_us)
                .min(1000),
            throttled_permille: permille(throttled, periods).min(1000),
            ring_permille: std::mem::take(&mut self.ring_peak_permille),
            output_permille: permille(micros(std::mem::take(&mut self.queue_full)), elapsed_us).min(1000),
            written: std::array::from_fn(|family| {
                let of = |counts: &[u64]| counts.get(family).copied().unwrap_or(0);
                of(&written).saturating_sub(of(&written_before))
            }),
        }
    }
}

/// Growth of a counter that both looks have.
fn grown(before: Option<u64>, now: Option<u64>) -> u64 {
    before.zip(now).map_or(0, |(before, now)| now.saturating_sub(before))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Nothing of nothing is nothing.
fn permille(part: u64, whole: u64) -> u32 {
    let permille = u128::from(part) * 1000 / u128::from(whole.max(1));
    u32::try_from(permille).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use linnet_fleet::health::MemoryEvents;

    use super::*;

    const LIMITS: LimitValues = LimitValues {
        cpu_quota_us: None,
        cpu_period_us: None,
        cpu_burst_us: None,
        memory_high_bytes: None,
        memory_max_bytes: Some(1000),
        pids_max: None,
    };

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_no_pressure() {
        let mut gauge = Gauge::default();
        for second in 0..3 {
            let reading = gauge.read(&Usage::default(), &LimitValues::default(), [0; 2], at(second));
            assert_eq!(reading, Reading::default());
        }
    }

    #[test]
    fn differences_count_and_not_what_was_before() {
        let mut gauge = Gauge::default();
        let usage = |periods, throttled, stall| Usage {
            nr_periods: Some(periods),
            nr_throttled: Some(throttled),
            memory_stall_us: Some(stall),
            ..Usage::default()
        };
        gauge.read(&usage(1000, 900, 5_000_000), &LIMITS, [70, 7], at(10));
        gauge.note_ring(10, 100);
        gauge.note_ring(30, 100);
        gauge.note_ring(20, 100);
        gauge.note_full_queue(Duration::from_millis(300));
        gauge.note_full_queue(Duration::from_millis(200));
        let reading = gauge.read(&usage(1010, 905, 5_200_000), &LIMITS, [75, 7], at(12));
        let wanted = Reading {
            memory_permille: 0,
            memory_stall_permille: 100,
            throttled_permille: 500,
            ring_permille: 300,
            output_permille: 250,
            written: [5, 0],
        };
        assert_eq!(reading, wanted);
        assert_eq!(gauge.read(&usage(1010, 905, 5_200_000), &LIMITS, [75, 7], at(13)), Reading::default());
    }

    #[test]
    fn memory_is_measured_by_the_tightest_limit_and_hits_count_where_little_can_be_reclaimed() {
        for (held, high_bytes, hits, wanted) in [
            (500, None, 0, 500),
            (500, Some(800), 0, 625),
            (500, None, 9, 500),
            (700, None, 0, 700),
            (700, None, 1, 850),
            (990, None, 1, 990),
            (2000, None, 0, 2000),
        ] {
            let mut gauge = Gauge::default();
            let usage = |hits| Usage {
                memory_held_bytes: Some(held),
                memory_events: MemoryEvents { high: Some(hits), max: Some(0), oom_kill: Some(0) },
                ..Usage::default()
            };
            let limits = LimitValues { memory_high_bytes: high_bytes, ..LIMITS };
            gauge.read(&usage(3), &limits, [0; 2], at(1));
            let reading = gauge.read(&usage(3 + hits), &limits, [0; 2], at(2));
            assert_eq!(reading.memory_permille, wanted, "{held} {high_bytes:?} {hits}");
        }
    }

    #[test]
    fn counters_that_go_back_and_looks_at_the_same_moment_do_no_harm() {
        let mut gauge = Gauge::default();
        let usage = |value| Usage { nr_periods: Some(value), nr_throttled: Some(value), ..Usage::default() };
        gauge.read(&usage(u64::MAX), &LIMITS, [u64::MAX; 2], at(9));
        gauge.note_full_queue(Duration::MAX);
        let reading = gauge.read(&usage(0), &LIMITS, [0; 2], at(3));
        assert_eq!((reading.throttled_permille, reading.output_permille), (0, 1000));
        gauge.read(&usage(u64::MAX), &LIMITS, [0; 2], Duration::MAX);
    }
}
