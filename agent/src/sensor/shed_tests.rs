use super::*;

const CALM_READING: Reading = Reading {
    memory_permille: 0,
    memory_stall_permille: 0,
    throttled_permille: 0,
    ring_permille: 0,
    output_permille: 0,
    written: [0; 2],
};

fn second(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn short_of(cause: Cause, written: [u64; 2]) -> Reading {
    match cause {
        Cause::Memory => Reading { memory_permille: 900, written, ..CALM_READING },
        Cause::Cpu => Reading { ring_permille: 600, written, ..CALM_READING },
        Cause::Output => Reading { output_permille: 600, written, ..CALM_READING },
    }
}

/// Gives a shedder the same reading every second until nothing changes any more for a while.
fn run(shedder: &mut Shedder, reading: &Reading, from: u64, seconds: u64) -> Vec<(u64, Change)> {
    (from..from + seconds)
        .filter_map(|at| shedder.step(reading, second(at)).map(|change| (at, change)))
        .collect()
}

#[test]
fn every_measure_has_its_grade_and_its_cause() {
    let calm = CALM_READING;
    for (reading, grade, cause) in [
        (calm, Grade::Calm, Cause::Memory),
        (Reading { memory_permille: 699, ..calm }, Grade::Calm, Cause::Memory),
        (Reading { memory_permille: 700, ..calm }, Grade::Tense, Cause::Memory),
        (Reading { memory_permille: 850, ..calm }, Grade::High, Cause::Memory),
        (Reading { memory_permille: 950, ..calm }, Grade::Critical, Cause::Memory),
        (Reading { memory_stall_permille: 100, ..calm }, Grade::High, Cause::Memory),
        (Reading { throttled_permille: 1000, ..calm }, Grade::Calm, Cause::Memory),
        (Reading { throttled_permille: 1000, ring_permille: 199, ..calm }, Grade::Tense, Cause::Cpu),
        (Reading { throttled_permille: 499, ring_permille: 200, ..calm }, Grade::Tense, Cause::Cpu),
        (Reading { throttled_permille: 500, ring_permille: 200, ..calm }, Grade::High, Cause::Cpu),
        (Reading { ring_permille: 500, ..calm }, Grade::High, Cause::Cpu),
        (Reading { ring_permille: 900, ..calm }, Grade::Critical, Cause::Cpu),
        (Reading { ring_permille: 900, output_permille: 500, ..calm }, Grade::High, Cause::Output),
        (Reading { output_permille: 950, ..calm }, Grade::Critical, Cause::Output),
        (Reading { memory_permille: 850, ring_permille: 500, ..calm }, Grade::High, Cause::Memory),
        (Reading { memory_permille: 850, ring_permille: 900, ..calm }, Grade::Critical, Cause::Cpu),
    ] {
        assert_eq!(reading.worst(), (grade, cause), "{reading:?}");
    }
}

#[test]
fn the_order_is_fixed_and_the_noisiest_family_goes_first() {
    use Family::{Fork, Script};
    use Thing::{Hash, ScriptContent};
    for cause in Cause::ALL {
        for (written, families) in [
            ([0, 0], vec![]),
            ([9, 0], vec![Fork]),
            ([9, 5], vec![Fork, Script]),
            ([5, 9], vec![Script, Fork]),
        ] {
            let mut shedder = Shedder::default();
            let changes = run(&mut shedder, &short_of(cause, written), 0, 60);
            let mut wanted = vec![ScriptContent, Hash];
            wanted.extend(families.into_iter().map(Thing::Family));
            let shed: Vec<_> = wanted.iter().map(|thing| Change::Sheds(*thing, cause)).collect();
            assert_eq!(changes.iter().map(|(_, change)| *change).collect::<Vec<_>>(), shed);
            assert_eq!(shedder.shed(), wanted);
            assert_eq!(shedder.cause(), Some(cause));
            // One at a time, each after as many readings as it takes.
            assert!(changes.iter().zip(1..).all(|((at, _), nth)| at + 1 == nth * u64::from(RISE_READINGS)));
        }
    }
}

#[test]
fn one_high_reading_changes_nothing_and_a_critical_one_does() {
    let mut shedder = Shedder::default();
    for at in 0..50 {
        let reading = if at % 2 == 0 { short_of(Cause::Cpu, [1, 1]) } else { CALM_READING };
        assert_eq!(shedder.step(&reading, second(at)), None);
    }
    let critical = Reading { memory_permille: 950, ..CALM_READING };
    let change = shedder.step(&critical, second(50));
    assert_eq!(change, Some(Change::Sheds(Thing::ScriptContent, Cause::Memory)));
}

#[test]
fn calm_gives_back_one_thing_at_a_time_in_the_opposite_order() {
    let mut shedder = Shedder::default();
    run(&mut shedder, &short_of(Cause::Cpu, [9, 5]), 0, 20);
    let mut given_up = shedder.shed().to_vec();
    let changes = run(&mut shedder, &CALM_READING, 20, 100);
    given_up.reverse();
    let resumed: Vec<_> = given_up.into_iter().map(Change::Resumes).collect();
    assert_eq!(changes.iter().map(|(_, change)| *change).collect::<Vec<_>>(), resumed);
    let calm = CALM.as_secs();
    assert_eq!(changes.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2, 3, 4].map(|n| 20 + n * calm));
    assert_eq!((shedder.shed(), shedder.cause()), (&[][..], None));
}

#[test]
fn between_high_and_calm_nothing_changes() {
    let mut shedder = Shedder::default();
    run(&mut shedder, &short_of(Cause::Memory, [0, 0]), 0, 3);
    let before = shedder.shed().to_vec();
    let tense = Reading { memory_permille: 800, ..CALM_READING };
    assert!(run(&mut shedder, &tense, 3, 1000).is_empty());
    assert_eq!(shedder.shed(), before);
    // And a tense moment starts the calm anew.
    assert!(run(&mut shedder, &CALM_READING, 1003, CALM.as_secs()).is_empty());
    assert!(run(&mut shedder, &tense, 1003 + CALM.as_secs(), 1).is_empty());
    assert!(run(&mut shedder, &CALM_READING, 1004 + CALM.as_secs(), CALM.as_secs()).is_empty());
}

#[test]
fn relapses_make_the_calm_longer_and_a_long_calm_forgets_them() {
    let mut shedder = Shedder::default();
    let mut at = 0;
    let mut waits = Vec::new();
    for _ in 0..7 {
        while shedder.shed().is_empty() {
            shedder.step(&short_of(Cause::Cpu, [0, 0]), second(at));
            at += 1;
        }
        let calm_from = at;
        while !shedder.shed().is_empty() {
            shedder.step(&CALM_READING, second(at));
            at += 1;
        }
        waits.push(at - calm_from - 1);
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 80, 80]);
    run(&mut shedder, &CALM_READING, at, RELAPSE.as_secs() + 1);
    at += RELAPSE.as_secs() + 1;
    run(&mut shedder, &short_of(Cause::Cpu, [0, 0]), at, 2);
    assert_eq!(run(&mut shedder, &CALM_READING, at + 2, 30).len(), 1);
}

#[test]
fn what_can_not_be_relieved_further_stays_as_it_is() {
    let mut shedder = Shedder::default();
    let critical = Reading { memory_permille: 2000, written: [1, 1], ..CALM_READING };
    assert_eq!(run(&mut shedder, &critical, 0, 1000).len(), 4);
    // A clock that stands still or goes back gives nothing back.
    for at in [1000, 1000, 3] {
        assert_eq!(shedder.step(&CALM_READING, second(at)), None);
    }
}
