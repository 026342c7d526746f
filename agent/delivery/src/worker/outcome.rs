//! What becomes of the events of a request that was not simply taken.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;
use linnet_fleet::dice;
use linnet_spool::{Counts, Settlement};

use super::{Stopped, Worker};
use crate::{
    backend::Item,
    load::{Fate, Load, Part},
    share::share,
};

/// A refused event that cannot be kept either.
const NOT_KEPT: &str = "refused_not_kept";
/// Events that the other side refused without saying which.
const UNNAMED: &str = "refused_unnamed";

impl Worker {
    /// What the other side failed on: again, later, in halves, or not at all.
    pub(super) fn take_differently(
        &mut self,
        load: &mut Load,
        mut part: Part,
        why: &str,
        settlement: &mut Settlement,
        parts: &mut VecDeque<Part>,
    ) {
        match part.failed(self.taken) {
            Fate::Again => parts.push_front(part),
            Fate::Behind => {
                if parts.iter().all(Part::has_failed) {
                    load.keep_only(parts.iter_mut().chain([&mut part]));
                    if parts.is_empty() || load.lines.len() < 2 * self.max_bytes {
                        self.gather_more(load, settlement, parts);
                    }
                }
                parts.push_back(part);
            }
            Fate::Divided(other) => parts.extend([part, other]),
            Fate::Blamed => {
                let why = format!("{why}, {} times, while others were taken", part.failures());
                part.events.iter().for_each(|&event| self.put_aside(load, event, &why, settlement));
            }
        }
    }

    /// Something else to try, if there is any.
    fn gather_more(&mut self, load: &mut Load, settlement: &mut Settlement, parts: &mut VecDeque<Part>) {
        // What can't be read now is found again by the next gathering.
        if let Ok(Some(taken)) = self.reader.take(Duration::ZERO) {
            let from = load.events.len();
            self.add(&taken, load, settlement);
            parts.extend(load.cut(from, self.max_events, self.max_bytes));
        }
    }

    /// Each event by its own answer; what has to be sent again is a part again.
    pub(super) fn settle_each(
        &mut self,
        load: &mut Load,
        part: &Part,
        items: Vec<Item>,
        settlement: &mut Settlement,
        parts: &mut VecDeque<Part>,
    ) -> Result<(), Stopped> {
        let (mut later, mut failed, mut why_again) = (Vec::new(), Vec::new(), None);
        let (mut accepted, mut refused) = (false, 0);
        for (&event, item) in part.events.iter().zip(items) {
            match item {
                Item::Accepted => {
                    accepted = true;
                    settlement.delivered.count(load.line(event).1);
                }
                Item::Refused(why) => {
                    refused += 1;
                    self.put_aside(load, event, &why, settlement);
                }
                Item::Later(why) => {
                    later.push(event);
                    why_again = Some(why);
                }
                Item::Failed(why) => {
                    failed.push(event);
                    why_again = Some(why);
                }
            }
        }
        let Some(why) = why_again else {
            if accepted {
                self.note_success();
            } else if refused > 0 {
                self.pause = self.pace.refused(refused, dice());
            }
            return Ok(());
        };
        // It takes something, and not all: that is no reason to ask it again at once.
        self.taken += u64::from(accepted);
        if !later.is_empty() {
            parts.push_front(part.with(later));
        }
        if !failed.is_empty() {
            self.take_differently(load, part.with(failed), &why, settlement, parts);
        }
        self.back_off(&why, None)
    }

    /// So many of them are gone and nobody says which: their number is exact, their kinds are shared out.
    pub(super) fn settle_partly(
        &mut self,
        load: &Load,
        part: &[usize],
        refused: usize,
        why: &str,
        settlement: &mut Settlement,
    ) {
        let mut sent = Counts::default();
        part.iter().for_each(|&event| sent.count(load.line(event).1));
        let gone = share(&sent, refused as u64);
        settlement.delivered = settlement.delivered.plus(&sent.minus(&gone));
        let slot = settlement.dropped.entry(UNNAMED).or_default();
        *slot = slot.plus(&gone);
        self.complain(&format!("{why}; it is not said which, they count as dropped ({UNNAMED})"));
    }

    /// One event that the other side does not want for what it is.
    pub(super) fn put_aside(&mut self, load: &Load, event: usize, why: &str, settlement: &mut Settlement) {
        let (line, kind) = load.line(event);
        match self.letters.keep(line, why, Timestamp::now()) {
            Ok(()) => settlement.refused.count(kind),
            Err(error) => {
                settlement.dropped.entry(NOT_KEPT).or_default().count(kind);
                self.complain(&format!("a refused event could not be kept: {error}"));
            }
        }
        self.complain(&format!("an event was refused and put aside: {why}"));
    }
}
