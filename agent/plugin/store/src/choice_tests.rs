use proptest::prelude::*;

use super::*;

fn build(minor: u32) -> Build {
    Build { version: format!("0.{minor}.0").parse().unwrap(), sha256: Sha256Digest::of(&minor.to_le_bytes()) }
}

fn unnamed(settings: &str) -> Request {
    Request { version: None, settings_sha256: settings.to_owned(), from_channel: true }
}

fn named(minor: u32) -> Request {
    Request { version: Some(build(minor).version), ..unnamed("s") }
}

fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn set(minors: &[u32]) -> BTreeSet<Build> {
    minors.iter().copied().map(build).collect()
}

fn good(minor: u32) -> Memory {
    Memory { good: Some(build(minor)), ..Memory::default() }
}

/// The decision where the channel offers these and these are on the disk.
fn decide(memory: &Memory, request: &Request, offers: Option<&[u32]>, staged: &[u32]) -> Decision {
    let offers: Option<Vec<_>> = offers.map(|offers| offers.iter().copied().map(build).collect());
    let (staged, revoked) = (set(staged), BTreeSet::new());
    memory.decide(request, Known { offers: offers.as_deref(), revoked: &revoked, staged: &staged })
}

fn run(
    memory: &Memory,
    request: &Request,
    offers: Option<&[u32]>,
    staged: &[u32],
) -> (Option<u32>, Option<u32>) {
    let decision = decide(memory, request, offers, staged);
    let minor = |build: Option<Build>| (0..9).find(|minor| Some(self::build(*minor)) == build);
    (minor(decision.run), minor(decision.fetch))
}

#[test]
fn the_newest_is_fetched_tried_and_then_good() {
    let mut memory = Memory::default();
    assert_eq!(run(&memory, &unnamed("s"), None, &[]), (None, None));
    assert_eq!(run(&memory, &unnamed("s"), Some(&[1, 2]), &[]), (None, Some(2)));
    let decision = decide(&memory, &unnamed("s"), Some(&[1, 2]), &[2]);
    assert!(decision.is_new && decision.run == Some(build(2)));
    memory.put_on_trial(build(2));
    assert!(!memory.passed(build(1)) && memory.passed(build(2)) && !memory.passed(build(2)));
    let decision = decide(&memory, &unnamed("s"), Some(&[1, 2]), &[2]);
    assert_eq!((decision.run, decision.is_new, decision.fetch), (Some(build(2)), false, None));
}

#[test]
fn what_runs_goes_on_while_the_next_one_is_fetched_and_without_a_channel() {
    let memory = good(1);
    assert_eq!(run(&memory, &unnamed("s"), Some(&[1, 2]), &[1]), (Some(1), Some(2)));
    assert_eq!(run(&memory, &unnamed("s"), None, &[1]), (Some(1), None));
    assert_eq!(run(&memory, &unnamed("s"), Some(&[]), &[1]), (Some(1), None));
    assert_eq!(run(&memory, &named(7), Some(&[1, 2]), &[1]), (Some(1), None));
    assert!(
        decide(&memory, &named(7), Some(&[1]), &[1]).note.unwrap().contains("does not offer version 0.7.0")
    );
}

#[test]
fn without_a_name_nothing_goes_back_and_with_one_it_does() {
    assert_eq!(run(&good(3), &unnamed("s"), Some(&[1, 2]), &[3, 2]), (Some(3), None));
    assert_eq!(run(&good(3), &named(2), Some(&[1, 2, 3]), &[3]), (Some(3), Some(2)));
    assert_eq!(run(&good(3), &named(2), Some(&[1, 2, 3]), &[3, 2]), (Some(2), None));
}

#[test]
fn a_version_that_failed_is_left_until_its_settings_change() {
    let mut memory = good(1);
    memory.put_on_trial(build(2));
    memory.failed("it crashed".to_owned(), Some("s".to_owned()), at());
    assert_eq!(run(&memory, &unnamed("s"), Some(&[1, 2]), &[1, 2]), (Some(1), None));
    assert_eq!(run(&memory, &unnamed("other"), Some(&[1, 2]), &[1, 2]), (Some(2), None));
    assert!(
        decide(&memory, &named(2), Some(&[1, 2]), &[1, 2]).note.unwrap().contains("refused here: it crashed")
    );
    assert_eq!(run(&memory, &unnamed("s"), Some(&[1, 2, 3]), &[1, 2]), (Some(1), Some(3)));
    memory.refuse(build(2), "no package".to_owned(), None, at());
    assert_eq!(run(&memory, &unnamed("other"), Some(&[1, 2]), &[1, 2]), (Some(1), None));
}

#[test]
fn a_first_version_that_fails_makes_room_for_an_older_one() {
    let mut memory = Memory::default();
    memory.put_on_trial(build(2));
    memory.failed("it crashed".to_owned(), Some("s".to_owned()), at());
    assert_eq!(run(&memory, &unnamed("s"), Some(&[1, 2]), &[2]), (None, Some(1)));
    assert_eq!(run(&memory, &unnamed("s"), Some(&[2]), &[2]), (None, None));
}

#[test]
fn a_revoked_version_does_not_run_even_if_nothing_takes_its_place() {
    let revoked = BTreeSet::from([build(2).sha256]);
    let staged = set(&[1, 2]);
    for (memory, expected) in [(good(2), None), (good(1), Some(build(1)))] {
        let known = Known { offers: Some(&[]), revoked: &revoked, staged: &staged };
        assert_eq!(memory.decide(&unnamed("s"), known).run, expected);
    }
}

#[test]
fn a_trial_that_never_ends_is_given_up() {
    let mut memory = good(1);
    memory.put_on_trial(build(2));
    for _ in 1..MAX_STARTS {
        memory.started(at());
        assert!(memory.trying.is_some());
    }
    memory.started(at());
    assert_eq!(memory.trying, None);
    assert_eq!(run(&memory, &unnamed("s"), Some(&[1, 2]), &[1, 2]), (Some(1), None));
}

proptest! {
    /// Whatever comes: what is told to run is on the disk and not revoked, what is new is put on trial, and the good
    /// version only changes by a trial that passed.
    #[test]
    fn nothing_runs_that_is_not_here_or_was_revoked(
        steps in proptest::collection::vec((0_u8..6, 0_u32..5, 0_u8..16, 0_u8..32, 0_u8..32, any::<bool>()), 0..40),
    ) {
        let minors = |bits: u8| (0..5_u32).filter(|bit| bits & (1 << bit) != 0).collect::<Vec<_>>();
        let mut memory = Memory::default();
        for (step, minor, bits, offers, here, is_named) in steps {
            let request = if is_named { named(minor) } else { unnamed("s") };
            let revoked: BTreeSet<_> = minors(bits & 3).into_iter().map(|minor| build(minor).sha256).collect();
            let staged = set(&minors(here));
            let offers: Vec<_> =
                minors(offers).into_iter().map(build).filter(|build| !revoked.contains(&build.sha256)).collect();
            let known = Known { offers: (step != 0).then_some(&offers[..]), revoked: &revoked, staged: &staged };
            let before = memory.good;
            let decision = memory.decide(&request, known);
            if let Some(run) = decision.run {
                prop_assert!(staged.contains(&run) && !revoked.contains(&run.sha256));
                if decision.is_new {
                    prop_assert!(memory.good != Some(run));
                    memory.put_on_trial(run);
                }
            }
            if let Some(fetch) = decision.fetch {
                prop_assert!(offers.contains(&fetch) && !staged.contains(&fetch));
            }
            let trying = memory.trying.as_ref().map(|trying| trying.build);
            match step {
                1 => memory.started(at()),
                2 => memory.failed("no".to_owned(), Some("s".to_owned()), at()),
                3 => drop(trying.map(|build| memory.passed(build))),
                _ => {}
            }
            prop_assert!(memory.good == before || (step == 3 && memory.good == trying));
            prop_assert!(memory.refused.len() <= 8);
        }
    }
}
