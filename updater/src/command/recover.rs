//! `rollback`, `recover`, and the dead-man.

use super::context::{Context, Failed};
use super::report::Report;
use crate::engine::Engine;
use crate::exit_code;
use crate::layout::Link;
use crate::machine::{Cause, Failure, FailureKind, Input, Job, Phase, Release};
use crate::probation::Baseline;
use crate::release_dir;
use crate::service::{self, Condition};

/// Goes back to the release before.
pub fn rollback(context: &Context<'_>, why: Option<String>) -> Result<Report, Failed> {
    let lock = context.lock()?;
    let tell = |text: &str| context.tell(text);
    let mut engine = context.engine(&lock, &tell)?;
    let recovered = engine.recover(Input::Interrupted)?;
    if engine.state.phase != Phase::Idle {
        return Ok(Report::of(&recovered));
    }
    let why = why.unwrap_or_else(|| "an operator asked for it".to_owned());
    to_previous(context, &mut engine, Failure::new(FailureKind::Operator, why), |_| false)
}

/// Goes from the installed release to the one before it, unless that `is_unfit`.
pub(super) fn to_previous(
    context: &Context<'_>,
    engine: &mut Engine<'_>,
    failure: Failure,
    is_unfit: impl Fn(&Release) -> bool,
) -> Result<Report, Failed> {
    let current =
        engine.state.installed.clone().ok_or_else(|| nothing_to_go_back_to("nothing is installed"))?;
    let name = release_dir::read_link(&context.layout, Link::Previous)
        .ok_or_else(|| nothing_to_go_back_to("there is no release before this one"))?;
    let marker = release_dir::verify(&context.layout, &name).map_err(|error| {
        nothing_to_go_back_to(&format!("the release before this one is not whole: {error}"))
    })?;
    if let Some(floor) = engine.state.floor
        && marker.release.version < floor
    {
        let message = format!("{} is below this host's floor {floor}", marker.release);
        return Err(Failed::new(exit_code::FLOOR, message));
    }
    if is_unfit(&marker.release) {
        return Err(nothing_to_go_back_to(&format!(
            "{}, the release before, was revoked too",
            marker.release
        )));
    }
    let job = Job {
        cause: Cause::Operator,
        target: current.clone(),
        from: Some(marker.release),
        // The other way round stays possible.
        previous: Some(current),
        floor: None,
        allowance_ms: 0,
        baseline: Baseline::default(),
    };
    let outcome = engine.drive(Input::Revert(Box::new(job), failure), None)?;
    Ok(Report::of(&outcome))
}

fn nothing_to_go_back_to(why: &str) -> Failed {
    Failed::new(exit_code::ERROR, format!("{why}, so there is nothing to go back to"))
}

/// Finishes or undoes what was interrupted.
pub fn recover(context: &Context<'_>, dead_man: bool, agent_failed: bool) -> Result<Report, Failed> {
    let lock = if dead_man { context.lock_by_force() } else { context.lock() };
    let lock = match lock {
        // Whoever holds it watches the agent and sees that it failed.
        Err(failed) if agent_failed && failed.code == exit_code::LOCKED => {
            return Ok(Report::done("an updater is at work and sees it itself"));
        }
        other => other?,
    };
    let tell = |text: &str| context.tell(text);
    let mut engine = context.engine(&lock, &tell)?;
    let input = match (dead_man, agent_failed) {
        (true, _) => {
            Input::TimedOut("probation did not end in time, and nobody watched it any more".to_owned())
        }
        // At boot the same unit runs, and nothing has failed yet.
        (_, true) => match context.service.condition() {
            Condition::Failed(why) => Input::TimedOut(format!("{why}, and nobody watched it")),
            _ => Input::Interrupted,
        },
        _ => Input::Interrupted,
    };
    let outcome = engine.recover(input)?;
    Ok(Report::of(&outcome))
}

/// Waits as a process of its own, and then does what `recover --dead-man` does.
pub fn dead_man(context: &Context<'_>) -> Result<Report, Failed> {
    if service::wait_in_the_background(&context.layout, &context.clock) {
        return recover(context, true, false);
    }
    Ok(Report::done("the transaction ended by itself"))
}
