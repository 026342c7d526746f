//! Probation: whether the new agent proves itself.
//!
//! [`Watch`] judges what is seen, purely; [`watch`] looks once a second until there is a verdict. Whether any server can
//! be reached is no criterion: an outage elsewhere must not roll a fleet back.

mod baseline;
mod judge;

use std::path::Path;
use std::time::Duration;

use linnet_fleet::health::Health;
use rustix::process::{Pid, test_kill_process};

use crate::clock::Clock;
use crate::layout::Layout;
use crate::service::{Condition, Service};

pub use baseline::Baseline;
pub use judge::{Observation, Rules, Verdict, Watch};

const LOOK: Duration = Duration::from_secs(1);

/// What is to be seen of the agent now.
#[must_use]
pub fn observe(layout: &Layout, service: &dyn Service, clock: &dyn Clock) -> Observation {
    let health = match Health::read(&layout.health()) {
        Ok(health) if health.boot_id == clock.moment().boot_id => Ok(health),
        Ok(_) => Err("its health document is of another boot".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let alive = health.as_ref().is_ok_and(|health| lives(health.pid));
    Observation { health, alive, condition: service.condition() }
}

fn lives(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    // A zombie answers, too; it has ended all the same.
    let zombie =
        std::fs::read_to_string(Path::new("/proc").join(pid.as_raw_nonzero().to_string()).join("stat"))
            .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')));
    test_kill_process(pid).is_ok() && !zombie
}

/// Watches until there is a verdict. `on_wait` is told why it is not good yet, whenever that changes.
pub fn watch(
    mut watch: Watch,
    layout: &Layout,
    service: &dyn Service,
    clock: &dyn Clock,
    mut on_wait: impl FnMut(&str),
) -> Verdict {
    let mut told = String::new();
    loop {
        let seen = observe(layout, service, clock);
        match watch.observe(clock.moment().up_ms, &seen) {
            Verdict::Wait(why) => {
                if why != told {
                    on_wait(&why);
                    told = why;
                }
            }
            verdict => return verdict,
        }
        clock.sleep(LOOK);
    }
}

/// Waits until an agent of this version lives, for a rollback: less is asked than in probation, because there is nothing
/// to go back to.
///
/// # Errors
/// Why not, when the patience is at its end.
pub fn revived(
    version: &str,
    patience: Duration,
    layout: &Layout,
    service: &dyn Service,
    clock: &dyn Clock,
) -> Result<(), String> {
    let until = clock.moment().up_ms.saturating_add(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
    loop {
        let seen = observe(layout, service, clock);
        let why = match &seen.health {
            Ok(health) if seen.alive && health.version == version => return Ok(()),
            Ok(health) if seen.alive => format!("the agent that runs is {}", health.version),
            Ok(_) => "its process is gone".to_owned(),
            Err(why) => why.clone(),
        };
        if let Condition::Failed(why) = seen.condition {
            return Err(why);
        }
        if clock.moment().up_ms >= until {
            return Err(format!("no word of agent {version} in {} s: {why}", patience.as_secs()));
        }
        clock.sleep(LOOK);
    }
}
