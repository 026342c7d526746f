//! Processor time as a budget: it fills with the time that passes, and what is spent above it is slept off. Pure.

use std::time::Duration;

/// What may be spent at once at the start, so that the first findings don't take minutes.
const FIRST: Duration = Duration::from_millis(50);
/// Idle time that can be saved up.
const SAVED: Duration = Duration::from_secs(30);

/// The budget; times are since any moment.
#[derive(Debug)]
pub(crate) struct Budget {
    share: f64,
    /// Seconds of processor time that may be spent now; below zero they have to be slept off.
    level: f64,
    wall: Duration,
    spent: Duration,
}

impl Budget {
    /// A share of one core in thousandths.
    pub(crate) fn new(permille: u32, wall: Duration, spent: Duration) -> Self {
        Self { share: f64::from(permille) / 1000.0, level: FIRST.as_secs_f64(), wall, spent }
    }

    /// Another share from now on.
    pub(crate) fn set_share(&mut self, permille: u32) {
        self.share = f64::from(permille) / 1000.0;
    }

    /// How long to sleep, given both clocks.
    pub(crate) fn account(&mut self, wall: Duration, spent: Duration) -> Option<Duration> {
        let passed = wall.saturating_sub(self.wall).as_secs_f64();
        let used = spent.saturating_sub(self.spent).as_secs_f64();
        (self.wall, self.spent) = (wall, spent);
        let most = SAVED.as_secs_f64() * self.share;
        let level = self.level + passed * self.share;
        self.level = level.min(most.max(self.level)) - used;
        (self.level < 0.0).then(|| Duration::from_secs_f64((-self.level / self.share).min(60.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn what_is_spent_is_slept_off() {
        let mut budget = Budget::new(10, ms(0), ms(0));
        assert_eq!(budget.account(ms(0), ms(50)), None);
        let sleep = budget.account(ms(0), ms(60)).unwrap();
        assert_eq!(sleep.as_millis(), 1000);
        assert_eq!(budget.account(ms(1000), ms(60)), None);
    }

    #[test]
    fn the_average_of_a_greedy_plugin_is_its_share() {
        let mut budget = Budget::new(10, ms(0), ms(0));
        let (mut wall, mut spent) = (ms(0), ms(0));
        while wall < Duration::from_secs(600) {
            (wall, spent) = (wall + ms(3), spent + ms(3));
            if let Some(sleep) = budget.account(wall, spent) {
                wall += sleep;
            }
        }
        let share = spent.as_secs_f64() / wall.as_secs_f64();
        assert!((0.0095..=0.0102).contains(&share), "{share}");
    }

    #[test]
    fn a_day_of_idling_saves_up_no_more_than_half_a_minute_s_share() {
        let mut budget = Budget::new(10, ms(0), ms(0));
        let day = Duration::from_secs(86_400);
        budget.account(day, ms(0));
        assert!(budget.account(day, ms(301)).is_some());
    }
}
