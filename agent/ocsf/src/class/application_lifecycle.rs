//! The sensor started, stopped, or says how it is.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::base::{Base, Class, unmapped};

const CLASS: Class = Class { uid: 6002, category_uid: 6 };

/// OCSF Application Lifecycle of the sensor itself: `app` is the product of the prelude.
///
/// A health report is one too, as activity 99 (Other) with the name `Health Report`: OCSF 1.8 has no class for
/// the state of a running sensor, and this one keeps all that a sensor says of itself in good order together. What
/// goes wrong with the stream of events is an [`ApplicationError`](super::ApplicationError).
#[derive(Debug, Clone, Copy)]
pub struct ApplicationLifecycle<'a, U: Serialize = ()> {
    /// What every event has.
    pub base: Base<'a>,
    /// What happened.
    pub activity: LifecycleActivity,
    /// Counters and whatever else OCSF has no name for; must be written as a JSON object.
    pub unmapped: Option<U>,
}

/// What happened to the sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifecycleActivity {
    /// It watches from now on.
    Start,
    /// It watches no more.
    Stop,
    /// It tells something again that it had left out.
    Enable,
    /// It leaves something out from now on.
    Disable,
    /// It says how it is.
    HealthReport,
}

impl<U: Serialize> Serialize for ApplicationLifecycle<'_, U> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let activity_id = match self.activity {
            LifecycleActivity::Start => 3,
            LifecycleActivity::Stop => 4,
            LifecycleActivity::Enable => 6,
            LifecycleActivity::Disable => 7,
            LifecycleActivity::HealthReport => 99,
        };
        let mut event = self.base.begin(serializer, CLASS, activity_id)?;
        if self.activity == LifecycleActivity::HealthReport {
            event.serialize_field("activity_name", "Health Report")?;
        }
        event.serialize_field("app", &self.base.prelude.product)?;
        unmapped(&mut event, self.unmapped.as_ref())?;
        self.base.end_with_host(event)
    }
}
