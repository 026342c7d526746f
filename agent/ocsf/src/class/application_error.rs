//! Events were lost.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::base::{Base, Class, unmapped};

const CLASS: Class = Class { uid: 6008, category_uid: 6 };

/// OCSF Application Error, General Error: the class for "issues with an application that generates OCSF events",
/// and so the sensor's loss report.
///
/// `count` is the number of events that are missing, `start_time` and `end_time` are the span in which they were
/// lost, and `unmapped` has the counters by kind and reason.
#[derive(Debug, Clone, Copy)]
pub struct ApplicationError<'a, U: Serialize = ()> {
    /// What every event has.
    pub base: Base<'a>,
    /// How many events are missing.
    pub count: Option<u64>,
    /// From when on, in milliseconds since the epoch.
    pub start_time_ms: Option<i64>,
    /// Until when, in milliseconds since the epoch.
    pub end_time_ms: Option<i64>,
    /// Counters and whatever else OCSF has no name for; must be written as a JSON object.
    pub unmapped: Option<U>,
}

impl<U: Serialize> Serialize for ApplicationError<'_, U> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = self.base.begin(serializer, CLASS, 1)?;
        if let Some(count) = self.count {
            event.serialize_field("count", &count)?;
        }
        for (key, time) in [("start_time", self.start_time_ms), ("end_time", self.end_time_ms)] {
            if let Some(time) = time {
                event.serialize_field(key, &time)?;
            }
        }
        unmapped(&mut event, self.unmapped.as_ref())?;
        self.base.end_with_host(event)
    }
}
