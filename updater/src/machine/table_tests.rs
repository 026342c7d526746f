//! Every (state, input) pair, and what holds over any sequence of them.

use linnet_keys::release::Version;
use proptest::prelude::*;

use super::*;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn release(version: &str, fill: char) -> Release {
    Release { version: version.parse().unwrap(), digest: fill.to_string().repeat(64).parse().unwrap() }
}

fn job() -> Job {
    Job {
        cause: Cause::Update,
        target: release("0.2.0", 'b'),
        from: Some(release("0.1.0", 'a')),
        previous: None,
        floor: Some(version("0.1.0")),
        allowance_ms: 120_000,
        baseline: crate::probation::Baseline::default(),
    }
}

fn now() -> Moment {
    Moment { boot_id: "boot".to_owned(), up_ms: 1_000 }
}

fn failure() -> Failure {
    Failure::new(FailureKind::Release, "it is bad")
}

fn probation() -> Probation {
    Probation { attempt: 1, began: now(), deadline_up_ms: 121_000 }
}

fn phases() -> [Phase; 12] {
    let (job, failure) = (job(), failure());
    [
        Phase::Idle,
        Phase::Downloading { job: job.clone() },
        Phase::Verified { job: job.clone() },
        Phase::Staged { job: job.clone() },
        Phase::Preflight { job: job.clone() },
        Phase::Switching { job: job.clone() },
        Phase::Probation { job: job.clone(), probation: probation() },
        Phase::Committed { job: job.clone() },
        Phase::Failed { job: job.clone(), failure: failure.clone() },
        Phase::RollingBack { job: job.clone(), failure: failure.clone() },
        Phase::RolledBack { job: job.clone(), failure: failure.clone() },
        Phase::Stuck { job, failure, why: "no".to_owned() },
    ]
}

fn inputs() -> [Input; 7] {
    [
        Input::Begin(Box::new(job())),
        Input::BeginStaged(Box::new(job())),
        Input::Revert(Box::new(job()), failure()),
        Input::Done,
        Input::Failed(failure()),
        Input::Interrupted,
        Input::TimedOut("time is up".to_owned()),
    ]
}

/// Rows in the order of `phases`, columns in the order of `inputs`; `-` is illegal.
const TABLE: [[&str; 7]; 12] = [
    ["DOWNLOADING", "STAGED", "ROLLING_BACK", "-", "-", "IDLE", "IDLE"],
    ["-", "-", "-", "VERIFIED", "FAILED", "FAILED", "FAILED"],
    ["-", "-", "-", "STAGED", "FAILED", "FAILED", "FAILED"],
    ["-", "-", "-", "PREFLIGHT", "FAILED", "FAILED", "FAILED"],
    ["-", "-", "-", "SWITCHING", "FAILED", "FAILED", "FAILED"],
    ["-", "-", "-", "PROBATION", "ROLLING_BACK", "ROLLING_BACK", "ROLLING_BACK"],
    ["-", "-", "-", "COMMITTED", "ROLLING_BACK", "PROBATION", "ROLLING_BACK"],
    ["-", "-", "-", "IDLE", "IDLE", "COMMITTED", "COMMITTED"],
    ["-", "-", "-", "IDLE", "IDLE", "FAILED", "FAILED"],
    ["-", "-", "-", "ROLLED_BACK", "STUCK", "ROLLING_BACK", "ROLLING_BACK"],
    ["-", "-", "-", "IDLE", "STUCK", "ROLLED_BACK", "ROLLED_BACK"],
    ["-", "-", "-", "-", "-", "ROLLING_BACK", "ROLLING_BACK"],
];

fn expected_action(phase: &str) -> Action {
    match phase {
        "IDLE" | "STUCK" => Action::Rest,
        "DOWNLOADING" => Action::Download,
        "VERIFIED" => Action::Stage,
        "STAGED" => Action::Verify,
        "PREFLIGHT" => Action::Preflight,
        "SWITCHING" => Action::Switch,
        "PROBATION" => Action::Watch,
        "COMMITTED" => Action::Settle,
        "FAILED" => Action::Clean,
        "ROLLING_BACK" => Action::Restore,
        "ROLLED_BACK" => Action::Revive,
        other => panic!("{other}"),
    }
}

fn state(phase: Phase) -> State {
    State { phase, installed: Some(release("0.1.0", 'a')), transitions: 5, ..State::default() }
}

#[test]
fn every_pair_of_state_and_input_does_what_the_table_says() {
    let mut pairs = 0;
    for (phase, row) in phases().into_iter().zip(TABLE) {
        for (input, expected) in inputs().into_iter().zip(row) {
            let what = format!("{} + {}", phase.name(), input.name());
            match step(state(phase.clone()), input, &now()) {
                Ok((next, action)) => {
                    assert_eq!(next.phase.name(), expected, "{what}");
                    assert_eq!(action, expected_action(expected), "{what}");
                }
                Err(illegal) => {
                    assert_eq!(expected, "-", "{what}: {illegal}");
                    assert!(illegal.to_string().contains(phase.name()), "{illegal}");
                }
            }
            pairs += 1;
        }
    }
    assert_eq!(pairs, 84);
}

#[test]
fn a_good_update_goes_through_all_states_and_raises_the_floor() {
    let (mut state, _) = step(State::default(), Input::Begin(Box::new(job())), &now()).unwrap();
    let mut seen = vec![state.phase.name()];
    while state.phase != Phase::Idle {
        (state, _) = step(state, Input::Done, &now()).unwrap();
        seen.push(state.phase.name());
    }
    assert_eq!(
        seen,
        ["DOWNLOADING", "VERIFIED", "STAGED", "PREFLIGHT", "SWITCHING", "PROBATION", "COMMITTED", "IDLE"]
    );
    assert_eq!(state.installed, Some(release("0.2.0", 'b')));
    assert_eq!(state.floor, Some(version("0.1.0")));
    assert_eq!(state.transitions, 0);
}

#[test]
fn a_rolled_back_release_is_remembered_and_counted_once() {
    let rolling = Phase::RollingBack { job: job(), failure: failure() };
    let (mut state, _) = step(state(rolling), Input::Done, &now()).unwrap();
    for _ in 0..3 {
        (state, _) = step(state, Input::Interrupted, &now()).unwrap();
    }
    let remembered: Vec<_> = state.failures.iter().collect();
    assert_eq!(remembered.len(), 1);
    assert_eq!((remembered[0].attempts, remembered[0].blocked), (1, true));
    assert_eq!(state.installed, Some(release("0.1.0", 'a')));
    assert!(state.failures.blocked(&release("0.2.0", 'b').digest).is_some());
    assert!(
        state.failures.blocked(&release("0.2.0", 'c').digest).is_none(),
        "a rebuilt package has its own chance"
    );
}

#[test]
fn the_host_s_failures_are_not_held_against_a_release_and_interruptions_only_when_they_repeat() {
    let fail = |state: State, failure: Failure| {
        let (state, _) = step(state, Input::Begin(Box::new(job())), &now()).unwrap();
        let (state, _) = step(state, Input::Failed(failure), &now()).unwrap();
        step(state, Input::Done, &now()).unwrap().0
    };
    let digest = release("0.2.0", 'b').digest;
    let mut state = fail(State::default(), Failure::new(FailureKind::Host, "no network"));
    assert_eq!(state.failures.iter().count(), 0);
    for blocked in [false, false, true] {
        state = fail(state, Failure::new(FailureKind::Interrupted, "killed"));
        assert_eq!(state.failures.blocked(&digest).is_some(), blocked);
    }
    assert_eq!(state.failures.forgive(|release| release.version == version("0.2.0")), 1);
    assert!(state.failures.blocked(&digest).is_none());
}

#[test]
fn probation_is_begun_anew_once_after_an_interruption() {
    let begun = state(Phase::Probation { job: job(), probation: probation() });
    let after_reboot = Moment { boot_id: "another".to_owned(), up_ms: 10 };
    let (again, _) = step(begun.clone(), Input::Interrupted, &after_reboot).unwrap();
    let Phase::Probation { probation, .. } = &again.phase else { panic!("{:?}", again.phase) };
    assert_eq!((probation.attempt, probation.deadline_up_ms), (2, 120_010));
    let (third, _) = step(again, Input::Interrupted, &after_reboot).unwrap();
    assert_eq!(third.phase.name(), "ROLLING_BACK");
    let late = Moment { up_ms: 121_000, ..now() };
    assert_eq!(step(begun, Input::Interrupted, &late).unwrap().0.phase.name(), "ROLLING_BACK");
}

#[test]
fn a_committed_release_overtakes_older_failures_only() {
    let mut failures = Failures::default();
    for release in
        [release("0.1.5", 'd'), release("0.2.0", 'b'), release("0.2.0", 'e'), release("0.3.0", 'f')]
    {
        failures.remember(&release, &failure());
    }
    failures.overtaken_by(&release("0.2.0", 'b'));
    let left: Vec<_> = failures.iter().map(|failed| failed.release.dir_name()).collect();
    assert_eq!(left, ["0.2.0-eeeeeeeeeeeeeeee", "0.3.0-ffffffffffffffff"]);
}

#[test]
fn the_memory_is_bounded() {
    let mut failures = Failures::default();
    for minor in 0..100 {
        let digest = format!("{minor:064x}").parse().unwrap();
        failures.remember(&Release { version: version(&format!("0.{minor}.0")), digest }, &failure());
    }
    assert_eq!(failures.iter().count(), 32);
    assert_eq!(failures.iter().next().unwrap().release.version, version("0.68.0"));
    let long = Failure::new(FailureKind::Release, "é".repeat(4096));
    assert!(long.why.len() < 600);
}

fn any_input() -> impl Strategy<Value = usize> {
    0..7_usize
}

proptest! {
    #[test]
    fn the_floor_never_falls_and_no_switched_release_is_left_without_a_verdict(
        sequence in prop::collection::vec((any_input(), 0..4_u64), 0..200)
    ) {
        let mut state = State::default();
        for (index, minor) in sequence {
            let mut input = inputs()[index].clone();
            if let Input::Begin(job) | Input::BeginStaged(job) = &mut input {
                job.floor = Some(version(&format!("0.{minor}.0")));
            }
            let Ok((next, action)) = step(state.clone(), input, &now()) else { continue };
            prop_assert!(next.floor >= state.floor);
            let switched = matches!(state.phase, Phase::Switching { .. } | Phase::Probation { .. });
            if switched {
                let name = next.phase.name();
                prop_assert!(["PROBATION", "COMMITTED", "ROLLING_BACK"].contains(&name), "{name}");
            }
            if next.phase.name() == "SWITCHING" {
                prop_assert_eq!(state.phase.name(), "PREFLIGHT");
            }
            prop_assert_eq!(action, expected_action(next.phase.name()));
            prop_assert!(next.transitions <= 2 * MAX_TRANSITIONS + 1);
            state = next;
        }
    }

    #[test]
    fn a_state_survives_its_own_document(index in 0..12_usize, transitions in any::<u32>()) {
        let state = State { transitions, ..state(phases()[index].clone()) };
        let json = serde_json::to_vec(&state).unwrap();
        prop_assert_eq!(serde_json::from_slice::<State>(&json).unwrap(), state);
    }
}

#[test]
fn starts_alone_always_lead_to_rest_or_to_another_try_of_the_rollback() {
    for phase in phases() {
        let mut state = state(phase);
        let mut steps = 0;
        // Each act fails to be heard of: the worst that kills alone can do.
        while steps < 500 {
            (state, _) = step(state, Input::Interrupted, &now()).unwrap();
            steps += 1;
            assert!(state.transitions <= 2 * MAX_TRANSITIONS + 1);
        }
        assert!(
            !matches!(state.phase, Phase::Probation { .. } | Phase::Switching { .. }),
            "{:?}",
            state.phase
        );
    }
}
