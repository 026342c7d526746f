//! What the sensor says of itself among the events: start, stop, health, loss.

use linnet_ocsf::{
    class::{ApplicationError, ApplicationLifecycle, Base, LifecycleActivity, Severity, Status},
    line::{LineError, write_line},
};
use serde_json::Value;

use super::{clock, exec::Frame};

/// Appends a lifecycle event with `unmapped` as its details.
///
/// # Errors
/// None that these values can cause.
pub fn write_lifecycle(
    out: &mut Vec<u8>,
    frame: Frame<'_>,
    activity: LifecycleActivity,
    message: &str,
    unmapped: &Value,
) -> Result<(), LineError> {
    let base = Base {
        sequence: Some(frame.sequence),
        status: Some(Status::Success),
        message: Some(message),
        ..Base::new(frame.prelude, clock::epoch_ms())
    };
    write_line(out, &ApplicationLifecycle { base, activity, unmapped: Some(unmapped) })
}

/// Appends a loss report: events that are missing from the stream since the last one.
///
/// # Errors
/// None that these values can cause.
pub fn write_loss(
    out: &mut Vec<u8>,
    frame: Frame<'_>,
    count: u64,
    since_ms: i64,
    message: &str,
    unmapped: &Value,
) -> Result<(), LineError> {
    let now = clock::epoch_ms();
    let base = Base {
        sequence: Some(frame.sequence),
        severity: Severity::Medium,
        status: Some(Status::Failure),
        message: Some(message),
        ..Base::new(frame.prelude, now)
    };
    let event = ApplicationError {
        base,
        count: Some(count),
        start_time_ms: Some(since_ms),
        end_time_ms: Some(now),
        unmapped: Some(unmapped),
    };
    write_line(out, &event)
}
