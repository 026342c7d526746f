//! What the pipeline has written and what it left out, counted by family. The account of records is another: [`super::ledger`].

use std::collections::BTreeMap;

use linnet_fileview::Missing;
use linnet_settings::sinks::EventKind;

use super::shed::{Cause, Family, Thing};
use crate::event::Outcome;

/// Events written.
#[derive(Clone, Copy, Default)]
pub struct Written([u64; EventKind::ALL.len()]);

impl Written {
    /// Counts one.
    pub fn count(&mut self, kind: EventKind) {
        if let Some(count) = self.0.get_mut(kind as usize) {
            *count += 1;
        }
    }

    /// By name, without the sensor's own.
    pub fn by_family(self) -> BTreeMap<String, u64> {
        let families = EventKind::ALL.into_iter().zip(self.0).filter(|(kind, _)| *kind != EventKind::Sensor);
        families.map(|(kind, count)| (kind.as_str().to_owned(), count)).collect()
    }
}

/// What is left out under pressure, and how often it was.
#[derive(Default)]
pub struct Shedding {
    things: Vec<Thing>,
    cause: Option<Cause>,
    counts: BTreeMap<&'static str, u64>,
    due: [u64; Family::ALL.len()],
}

impl Shedding {
    /// Leaves these things out from now on, and no others.
    pub fn set(&mut self, things: &[Thing], cause: Cause) {
        self.things = things.to_vec();
        self.cause = Some(cause);
    }

    /// Events of each family that were due, written or left out.
    pub fn due(&self) -> [u64; Family::ALL.len()] {
        self.due
    }

    /// What was left out, by its name.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    /// Why an event of this family is left out, if it is. Counts it as due.
    pub fn leaves_out(&mut self, family: Family) -> Option<Cause> {
        if let Some(due) = self.due.get_mut(family as usize) {
            *due += 1;
        }
        let thing = Thing::Family(family);
        let cause = self.cause.filter(|_| self.things.contains(&thing))?;
        *self.counts.entry(thing.as_str()).or_default() += 1;
        Some(cause)
    }

    /// Counts what an event that is written lacks.
    pub fn note(&mut self, file: &Outcome) {
        let thing = match file {
            Outcome::Missing(Missing::Shed) => Thing::Hash,
            Outcome::Known(facts) if facts.content_missing == Some(Missing::Shed) => Thing::ScriptContent,
            _ => return,
        };
        *self.counts.entry(thing.as_str()).or_default() += 1;
    }
}
