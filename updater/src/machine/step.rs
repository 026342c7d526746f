//! One step of the machine: `(state, input) -> (state, action)`.

use super::failure::{Failure, FailureKind};
use super::input::{Action, Illegal, Input, Moment};
use super::phase::{Job, Phase, Probation, State};

/// Steps of one transaction, or of one rollback, after which it is given up as a loop. A good update takes eight.
pub const MAX_TRANSITIONS: u32 = 32;
/// How often probation is begun for one release: the first time, and once more after an interruption.
pub const MAX_PROBATIONS: u32 = 2;

/// Takes `state` one step on. The caller persists the new state before it does what the action says.
///
/// # Errors
/// [`Illegal`] when the phase does not take this input; the caller goes on with the state that it had.
pub fn step(mut state: State, input: Input, now: &Moment) -> Result<(State, Action), Illegal> {
    let began = matches!(input, Input::Begin(_) | Input::BeginStaged(_) | Input::Revert(..));
    let phase = std::mem::take(&mut state.phase);
    let before = phase.name();
    let next = advance(phase, input, now)?;
    state.transitions = if began { 1 } else { state.transitions.saturating_add(1) };
    let next = bounded(next, &mut state.transitions);

    // A phase that is only done over is not entered: a failure counts once.
    match &next {
        again if again.name() == before => {}
        Phase::Failed { job, failure } => state.failures.remember(&job.target, failure),
        Phase::RolledBack { job, failure } => {
            state.failures.remember(&job.target, failure);
            state.installed.clone_from(&job.from);
        }
        Phase::Committed { job } => {
            state.installed = Some(job.target.clone());
            state.raise_floor(job.floor.as_ref());
            state.failures.overtaken_by(&job.target);
        }
        _ => {}
    }
    if next == Phase::Idle {
        state.transitions = 0;
    }
    let action = action_of(&next);
    state.phase = next;
    Ok((state, action))
}

/// The act of a phase.
fn action_of(phase: &Phase) -> Action {
    match phase {
        Phase::Idle | Phase::Stuck { .. } => Action::Rest,
        Phase::Downloading { .. } => Action::Download,
        Phase::Verified { .. } => Action::Stage,
        Phase::Staged { .. } => Action::Verify,
        Phase::Preflight { .. } => Action::Preflight,
        Phase::Switching { .. } => Action::Switch,
        Phase::Probation { .. } => Action::Watch,
        Phase::Committed { .. } => Action::Settle,
        Phase::Failed { .. } => Action::Clean,
        Phase::RollingBack { .. } => Action::Restore,
        Phase::RolledBack { .. } => Action::Revive,
    }
}

#[expect(clippy::match_same_arms, reason = "read by phase, as the table of the tests is")]
fn advance(phase: Phase, input: Input, now: &Moment) -> Result<Phase, Illegal> {
    let name = phase.name();
    let input_name = input.name();
    Ok(match (phase, input) {
        (Phase::Idle, Input::Begin(job)) => Phase::Downloading { job: *job },
        (Phase::Idle, Input::BeginStaged(job)) => Phase::Staged { job: *job },
        (Phase::Idle, Input::Revert(job, failure)) => Phase::RollingBack { job: *job, failure },
        (Phase::Idle, Input::Interrupted | Input::TimedOut(_)) => Phase::Idle,

        (Phase::Downloading { job }, Input::Done) => Phase::Verified { job },
        (Phase::Verified { job }, Input::Done) => Phase::Staged { job },
        (Phase::Staged { job }, Input::Done) => Phase::Preflight { job },
        (Phase::Preflight { job }, Input::Done) => Phase::Switching { job },
        (Phase::Switching { job }, Input::Done) => watched(job, 1, now),
        (Phase::Probation { job, .. }, Input::Done) => Phase::Committed { job },
        (Phase::RollingBack { job, failure }, Input::Done) => Phase::RolledBack { job, failure },
        (Phase::Committed { .. } | Phase::Failed { .. } | Phase::RolledBack { .. }, Input::Done) => {
            Phase::Idle
        }

        (
            Phase::Downloading { job }
            | Phase::Verified { job }
            | Phase::Staged { job }
            | Phase::Preflight { job },
            Input::Failed(failure),
        ) => Phase::Failed { job, failure },
        (
            Phase::Downloading { job }
            | Phase::Verified { job }
            | Phase::Staged { job }
            | Phase::Preflight { job },
            Input::Interrupted | Input::TimedOut(_),
        ) => {
            let why = format!("interrupted in {name}");
            Phase::Failed { job, failure: Failure::new(FailureKind::Interrupted, why) }
        }

        (Phase::Switching { job } | Phase::Probation { job, .. }, Input::Failed(failure)) => {
            Phase::RollingBack { job, failure }
        }
        // Nothing of the new release has run yet, so going back costs nothing and going on would be a guess.
        (Phase::Switching { job }, Input::Interrupted) => {
            let failure = Failure::new(FailureKind::Interrupted, "interrupted in SWITCHING");
            Phase::RollingBack { job, failure }
        }
        (Phase::Probation { job, probation }, Input::Interrupted) => resumed(job, &probation, now),
        (Phase::Switching { job } | Phase::Probation { job, .. }, Input::TimedOut(why)) => {
            Phase::RollingBack { job, failure: Failure::new(FailureKind::Release, why) }
        }

        // Both are harmless to leave: the next start does them again.
        (
            phase @ (Phase::Committed { .. } | Phase::Failed { .. }),
            Input::Interrupted | Input::TimedOut(_),
        ) => phase,
        (Phase::Committed { .. } | Phase::Failed { .. }, Input::Failed(_)) => Phase::Idle,

        (
            phase @ (Phase::RollingBack { .. } | Phase::RolledBack { .. }),
            Input::Interrupted | Input::TimedOut(_),
        ) => phase,
        (Phase::RollingBack { job, failure } | Phase::RolledBack { job, failure }, Input::Failed(second)) => {
            Phase::Stuck { job, failure, why: second.why }
        }
        (Phase::Stuck { job, failure, .. }, Input::Interrupted | Input::TimedOut(_)) => {
            Phase::RollingBack { job, failure }
        }

        (Phase::Stuck { .. }, _) => {
            return Err(illegal(name, input_name, "run `linnet-updater recover` first"));
        }
        (Phase::Idle, Input::Done | Input::Failed(_)) => {
            return Err(illegal(name, input_name, "nothing is under way; this is a fault of the updater"));
        }
        (_, Input::Begin(_) | Input::BeginStaged(_) | Input::Revert(..)) => {
            return Err(illegal(
                name,
                input_name,
                "another transaction is unfinished: run `linnet-updater recover` first",
            ));
        }
    })
}

fn illegal(phase: &'static str, input: &'static str, hint: &'static str) -> Illegal {
    Illegal { phase, input, hint }
}

fn watched(job: Job, attempt: u32, now: &Moment) -> Phase {
    let deadline_up_ms = now.up_ms.saturating_add(job.allowance_ms);
    Phase::Probation { job, probation: Probation { attempt, began: now.clone(), deadline_up_ms } }
}

/// Probation was cut off. The watcher or the host may have ended for reasons of its own, so it is begun anew, but only
/// once, and not after its time: a release that takes the host down must not be given chance after chance.
fn resumed(job: Job, cut_off: &Probation, now: &Moment) -> Phase {
    let expired = now.boot_id == cut_off.began.boot_id && now.up_ms >= cut_off.deadline_up_ms;
    let attempt = cut_off.attempt.saturating_add(1);
    if expired || attempt > MAX_PROBATIONS {
        let why =
            if expired { "probation was cut off and its time is up" } else { "probation was cut off again" };
        return Phase::RollingBack { job, failure: Failure::new(FailureKind::Release, why) };
    }
    watched(job, attempt, now)
}

/// Ends a transaction that goes in circles. A rollback has steps of its own to spend.
fn bounded(phase: Phase, transitions: &mut u32) -> Phase {
    let looping = *transitions > MAX_TRANSITIONS;
    let loops = || Failure::new(FailureKind::Release, format!("given up after {MAX_TRANSITIONS} steps"));
    match phase {
        Phase::RollingBack { job, failure } | Phase::RolledBack { job, failure }
            if *transitions > 2 * MAX_TRANSITIONS =>
        {
            // The next start tries again from here, with steps to spend.
            *transitions = MAX_TRANSITIONS;
            Phase::Stuck {
                job,
                failure,
                why: format!("given up after {MAX_TRANSITIONS} steps of the rollback"),
            }
        }
        Phase::Downloading { job }
        | Phase::Verified { job }
        | Phase::Staged { job }
        | Phase::Preflight { job }
            if looping =>
        {
            Phase::Failed { job, failure: loops() }
        }
        Phase::Switching { job } | Phase::Probation { job, .. } if looping => {
            Phase::RollingBack { job, failure: loops() }
        }
        // What is left of either is put right by the next start's look at the disk.
        Phase::Committed { .. } | Phase::Failed { .. } if *transitions > 2 * MAX_TRANSITIONS => Phase::Idle,
        other => other,
    }
}
