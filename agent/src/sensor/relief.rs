//! Staying small: looks at the pressure, and has the pipeline leave out what [`super::shed`] decides.
//!
//! Each change is an event of its own, so that who reads the stream knows what it lacks, since when and why.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use linnet_fleet::health::{LimitValues, Pressure, Shedding, Usage};
use linnet_ocsf::class::LifecycleActivity;
use serde_json::json;

use super::{
    pressure::{Gauge, LOOK_INTERVAL},
    report::timestamp,
    run::Sensor,
    shed::{Cause, Change, Reading, Shedder},
};
use crate::event::clock;

/// The state of it.
pub struct Relief {
    began: Instant,
    looked_at: Instant,
    shedder: Shedder,
    reading: Reading,
    since_ms: i64,
    times: u64,
    /// What is gathered for the next look.
    pub gauge: Gauge,
}

impl Relief {
    /// Nothing is left out yet.
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            looked_at: now,
            shedder: Shedder::default(),
            reading: Reading::default(),
            since_ms: 0,
            times: 0,
            gauge: Gauge::default(),
        }
    }

    /// For the health document.
    pub fn health(&self, counts: BTreeMap<String, u64>) -> Shedding {
        let Reading {
            memory_permille,
            memory_stall_permille,
            throttled_permille,
            ring_permille,
            output_permille,
            ..
        } = self.reading;
        let cause = self.shedder.cause();
        Shedding {
            now: self.shedder.shed().iter().map(|thing| thing.as_str().to_owned()).collect(),
            cause: cause.map(|cause| cause.as_str().to_owned()),
            since: cause.map(|_| timestamp(self.since_ms)),
            times: self.times,
            counts,
            pressure: Pressure {
                memory_permille,
                memory_stall_permille,
                throttled_permille,
                ring_permille,
                output_permille,
            },
        }
    }

    /// Why less is told than was asked for, with what to do.
    pub fn degraded(&self) -> Option<String> {
        let advice = match self.shedder.cause()? {
            Cause::Memory => "raise limits.memory_max_bytes, or lower ring.bytes",
            Cause::Cpu => "raise limits.cpu_permille",
            Cause::Output => "the outputs are too slow for what this host does: see the sinks",
        };
        let things: Vec<&str> = self.shedder.shed().iter().map(|thing| thing.as_str()).collect();
        let cause = self.shedder.cause()?.as_str();
        Some(format!("left out under pressure ({cause}): {}; if this goes on, {advice}", things.join(", ")))
    }
}

impl Sensor {
    /// Looks, when it is time. Called by a loop that is awake: an idle sensor looks at its ticks only.
    pub(super) fn look_at_pressure(&mut self, now: Instant) {
        if now.saturating_duration_since(self.relief.looked_at) < LOOK_INTERVAL {
            return;
        }
        self.relief.looked_at = now;
        let (usage, limits) = self.parts.limits.as_ref().map_or_else(
            || (Usage::default(), LimitValues::default()),
            |limits| (limits.usage(), limits.limits().effective),
        );
        let written = self.parts.pipeline.written_by_family();
        let moment = now.saturating_duration_since(self.relief.began);
        let reading = self.relief.gauge.read(&usage, &limits, written, moment);
        self.relief.reading = reading;
        if let Some(change) = self.relief.shedder.step(&reading, moment) {
            self.change(change, moment);
        }
        if self.relief.shedder.cause() == Some(Cause::Memory) {
            self.parts.pipeline.view().release_memory();
        }
    }

    fn change(&mut self, change: Change, moment: Duration) {
        let relief = &mut self.relief;
        let count = relief.shedder.shed().len();
        if count == 1 && matches!(change, Change::Sheds(..)) {
            relief.since_ms = clock::epoch_ms();
            relief.times += 1;
        }
        let cause = relief.shedder.cause().unwrap_or(Cause::Memory);
        let things = relief.shedder.shed().to_vec();
        self.parts.pipeline.set_shed(&things, cause);
        let (activity, message) = match change {
            Change::Sheds(thing, cause) => (
                LifecycleActivity::Disable,
                format!("left out from now on for want of {}: {}", want(cause), thing.as_str()),
            ),
            Change::Resumes(thing) => (LifecycleActivity::Enable, format!("told again: {}", thing.as_str())),
        };
        log::warn!("{message}");
        log::debug!("after {moment:?}: {:?}", self.relief.reading);
        let shedding = self.relief.health(self.parts.pipeline.shed_counts());
        self.tell(activity, &message, &json!({ "shedding": shedding }));
    }
}

fn want(cause: Cause) -> &'static str {
    match cause {
        Cause::Memory => "memory",
        Cause::Cpu => "processor time",
        Cause::Output => "room at the outputs",
    }
}
