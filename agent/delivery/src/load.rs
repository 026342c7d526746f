//! The events of a request, and what becomes of those whose request fails again and again.
//!
//! A backend that fails on one event, as a pipeline does that throws, answers with a server's error each time, and nothing tells that
//! from an outage but that it takes others meanwhile. So a part that fails for long steps behind; when something else was taken since,
//! it is divided, and what fails alone in the end is to blame itself. In an outage nothing is taken, so nothing is blamed. Pure.

use std::{collections::VecDeque, ops::Range};

/// Failures of a part after which another is tried before it.
const STUBBORN: u32 = 10;

/// The events that were taken from the spool and are not settled.
#[derive(Default)]
pub(crate) struct Load {
    pub lines: Vec<u8>,
    /// Where each is in `lines`, and its kind.
    pub events: Vec<(Range<usize>, u8)>,
}

impl Load {
    /// An event's line and kind.
    pub fn line(&self, event: usize) -> (&[u8], u8) {
        self.events
            .get(event)
            .map_or((&[], 0), |(range, kind)| (self.lines.get(range.clone()).unwrap_or_default(), *kind))
    }

    pub fn add(&mut self, line: &[u8], kind: u8) {
        let start = self.lines.len();
        self.lines.extend_from_slice(line);
        self.events.push((start..self.lines.len(), kind));
    }

    /// Forgets what none of these parts has: it is settled.
    pub fn keep_only<'p>(&mut self, parts: impl IntoIterator<Item = &'p mut Part>) {
        let all = std::mem::take(self);
        for event in parts.into_iter().flat_map(|part| &mut part.events) {
            let (line, kind) = all.line(*event);
            *event = self.events.len();
            self.add(line, kind);
        }
    }

    /// Into requests of the allowed size, from this event on.
    pub fn cut(&self, from: usize, max_events: usize, max_bytes: usize) -> VecDeque<Part> {
        let (mut parts, mut part, mut bytes) = (VecDeque::new(), Vec::new(), 0);
        for (event, (range, _)) in self.events.iter().enumerate().skip(from) {
            let len = range.len();
            if !part.is_empty() && (part.len() >= max_events || bytes + len > max_bytes) {
                parts.push_back(Part::new(std::mem::take(&mut part)));
                bytes = 0;
            }
            part.push(event);
            bytes += len;
        }
        if !part.is_empty() {
            parts.push_back(Part::new(part));
        }
        parts
    }
}

/// Events of a load that go in one request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub events: Vec<usize>,
    failures: u32,
    /// What the backend had taken when it first failed.
    taken: u64,
}

/// What to do with a part that the other side failed on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Once more.
    Again,
    /// Others first: perhaps they are taken.
    Behind,
    /// This is its other half; both go behind.
    Divided(Part),
    /// It is one event, and others are taken: it goes aside.
    Blamed,
}

impl Part {
    pub fn new(events: Vec<usize>) -> Self {
        Self { events, failures: 0, taken: 0 }
    }

    /// Other events, with the same past.
    pub fn with(&self, events: Vec<usize>) -> Self {
        Self { events, ..*self }
    }

    /// Whether the other side has failed on it.
    pub fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// How often.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Leaves at most so many, and gives the rest.
    pub fn cut(&mut self, most: usize) -> Option<Self> {
        (most < self.events.len()).then(|| Self::new(self.events.split_off(most)))
    }

    /// The other side failed on it; `taken` grows with each request of which something was taken.
    pub fn failed(&mut self, taken: u64) -> Fate {
        if self.failures == 0 {
            self.taken = taken;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < STUBBORN {
            return Fate::Again;
        }
        if taken == self.taken {
            return Fate::Behind;
        }
        if self.events.len() < 2 {
            return Fate::Blamed;
        }
        (self.failures, self.taken) = (STUBBORN / 2, taken);
        let half = self.events.split_off(self.events.len() / 2);
        Fate::Divided(self.with(half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_cut_by_number_and_by_size() {
        let mut load = Load::default();
        for len in [10, 10, 10, 90, 200, 1] {
            load.add(&vec![b'x'; len], 1);
        }
        let cut = |from, events, bytes| {
            load.cut(from, events, bytes).into_iter().map(|part| part.events).collect::<Vec<_>>()
        };
        assert_eq!(cut(0, 2, 1000), [vec![0, 1], vec![2, 3], vec![4, 5]]);
        assert_eq!(cut(0, 10, 100), [vec![0, 1, 2], vec![3], vec![4], vec![5]]);
        assert_eq!(cut(4, 10, 1000), [vec![4, 5]]);
        assert!(cut(6, 10, 1000).is_empty());
    }

    #[test]
    fn what_is_settled_is_forgotten_and_the_rest_keeps_its_lines() {
        let mut load = Load::default();
        for kind in 0..6 {
            load.add(format!("{kind}\n").as_bytes(), kind);
        }
        let mut parts = [Part::new(vec![4, 5]), Part::new(vec![1])];
        load.keep_only(&mut parts);
        assert_eq!(load.lines, b"4\n5\n1\n");
        let lines: Vec<_> =
            parts.iter().flat_map(|part| &part.events).map(|event| load.line(*event)).collect();
        assert_eq!(lines, [(&b"4\n"[..], 4), (b"5\n", 5), (b"1\n", 1)]);
    }

    #[test]
    fn in_an_outage_nothing_is_divided_and_nothing_is_blamed() {
        for events in [1, 50] {
            let mut part = Part::new((0..events).collect());
            let fates: Vec<_> = (0..1000).map(|_| part.failed(7)).collect();
            assert!(fates.iter().all(|fate| matches!(fate, Fate::Again | Fate::Behind)));
            assert_eq!(part.events.len(), events);
        }
    }

    #[test]
    fn the_one_event_that_a_backend_fails_on_is_found_and_no_other() {
        const BAD: usize = 37;
        let mut parts = VecDeque::from([Part::new((0..100).collect())]);
        let (mut taken, mut blamed, mut requests) = (0, Vec::new(), 0);
        while let Some(mut part) = parts.pop_front() {
            requests += 1;
            assert!(requests < 200, "{parts:?}");
            // Something else comes along.
            if requests % 20 == 0 {
                taken += 1;
            }
            if !part.events.contains(&BAD) {
                taken += 1;
                continue;
            }
            match part.failed(taken) {
                Fate::Again => parts.push_front(part),
                Fate::Behind => parts.push_back(part),
                Fate::Divided(other) => parts.extend([part, other]),
                Fate::Blamed => blamed.extend(part.events),
            }
        }
        assert_eq!(blamed, [BAD]);
    }
}
