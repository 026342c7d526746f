//! No sensor: the storms that everything else is compared with.
//!
//! They run right before each session, so that a slow drift of the machine burdens both sides of a pair alike.

use anyhow::Result;

use crate::session::{Plan, Storm, Timed, timed};
use crate::stage::Stage;

/// The storms without a sensor.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Baseline {
    /// With one worker.
    pub one: Timed,
    /// With two workers.
    pub two: Timed,
}

/// Measures them, after one storm to warm up.
pub fn measure(stage: &mut Stage, plan: &Plan) -> Result<Baseline> {
    let room = stage.room()?;
    // An audit daemon that did not stop cleanly may have left its rules.
    stage.audit.close()?;
    let storm = |suffix, workers, execs| {
        timed(stage, &Storm { room: &room, suffix, workers, execs, birth: plan.birth }, None)
    };
    storm("w", 2, plan.warm_up_execs)?;
    let one = storm("a", 1, plan.execs)?;
    let two = storm("b", 2, plan.execs)?;
    stage.clear(room)?;
    Ok(Baseline { one, two })
}
