//! How much room a table keeps that storms fill and calm empties: enough for the storms of late, and not for ever that of the worst.

/// Room that is never worth giving back.
const SLACK: usize = 1024;

/// The most that was needed lately.
#[derive(Debug, Default)]
pub struct Room {
    /// The most since the last look.
    peak: usize,
    /// The most of late: it goes down by a sixteenth with each look.
    lately: usize,
}

impl Room {
    /// So much is needed now.
    pub fn note(&mut self, needed: usize) {
        self.peak = self.peak.max(needed);
    }

    /// Looks, now and then: what to shrink to, where there is much more room than was needed of late.
    pub fn look(&mut self, needed: usize, capacity: usize) -> Option<usize> {
        self.lately = self.peak.max(needed).max(self.lately - self.lately / 16);
        self.peak = needed;
        (capacity > 3 * self.lately + SLACK).then_some(2 * self.lately)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storms_that_come_again_keep_their_room_and_one_that_does_not_gives_it_back() {
        let mut room = Room::default();
        for _ in 0..100 {
            room.note(3400);
            assert_eq!(room.look(100, 7168), None);
            assert_eq!(room.look(100, 7168), None);
        }
        room.note(8000);
        let looks = (0..100).position(|_| {
            room.note(3400);
            room.look(100, 14_336).is_some()
        });
        assert!(looks.is_some_and(|looks| (5..30).contains(&looks)), "{looks:?}");
        for _ in 0..200 {
            room.look(100, 7168);
        }
        assert!(room.look(100, 7168).is_some_and(|to| (200..400).contains(&to)));
        assert_eq!(room.look(100, 448), None);
    }
}
