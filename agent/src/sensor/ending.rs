//! The time that is left once the sensor is to end. An output that takes nothing is not waited for. One that takes something is, but
//! not until systemd kills, after 20 s: a last document that says how things stand is worth more than a batch.

use std::time::{Duration, Instant};

/// How long an output may take nothing.
pub const IDLE: Duration = Duration::from_secs(8);
/// How long a file may be read that an exec waits for.
const FILES: Duration = Duration::from_secs(4);
/// How long the outputs of a service have in all.
const OUTPUTS: Duration = Duration::from_secs(10);
/// When all but the last metrics is to be done.
const ALL: Duration = Duration::from_secs(16);
/// What backends get in any case, and at most.
const LEAST: Duration = Duration::from_secs(2);
const MOST: Duration = Duration::from_secs(8);

/// The end has begun.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    began: Instant,
    taken: Instant,
    is_service: bool,
}

impl Ending {
    /// It begins now. A service manager that waits for the end does so for a while only.
    pub fn new(now: Instant, is_service: bool) -> Self {
        Self { began: now, taken: now, is_service }
    }

    /// An output has taken something.
    pub fn taken(&mut self, now: Instant) {
        self.taken = now;
    }

    /// When files are waited for no longer: a file system that hangs may not be back before `hash.wait_ms` is over.
    pub fn files_until(&self) -> Instant {
        self.began + FILES
    }

    /// When the outputs are waited for no longer, if they take nothing more.
    pub fn outputs_until(&self) -> Instant {
        let idle = self.taken + IDLE;
        self.last().map_or(idle, |last| last.min(idle))
    }

    /// When they are waited for no longer, whatever they do.
    pub fn last(&self) -> Option<Instant> {
        self.is_service.then_some(self.began + OUTPUTS)
    }

    /// How long backends over the network have.
    pub fn for_backends(&self, now: Instant) -> Duration {
        (self.began + ALL).saturating_duration_since(now).clamp(LEAST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_still_takes_something_is_waited_for_and_not_for_ever() {
        let at = |from: Instant, s| from + Duration::from_secs(s);
        let began = Instant::now();
        let mut ending = Ending::new(began, true);
        assert_eq!((ending.files_until(), ending.outputs_until()), (at(began, 4), at(began, 8)));
        ending.taken(at(began, 1));
        assert_eq!(ending.outputs_until(), at(began, 9));
        ending.taken(at(began, 7));
        assert_eq!(ending.outputs_until(), at(began, 10));
        let mut by_hand = Ending::new(began, false);
        by_hand.taken(at(began, 60));
        assert_eq!(by_hand.outputs_until(), at(began, 68));
        assert_eq!(ending.for_backends(at(began, 10)), Duration::from_secs(6));
        assert_eq!(ending.for_backends(at(began, 60)), LEAST);
        assert_eq!(ending.for_backends(began), MOST);
    }
}
