//! A release that is bad, and a halt: how many hosts ever ran it.
//!
//! Hosts look by the updater's own timer, whose numbers are read from its unit.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use linnet_fleet::host::HostId;
use linnet_fleet::rollout::{FleetDocument, HostFacts, Rollout, Update, decide};

use crate::{Dice, HOSTS, Seconds};

const TIMER: &str = include_str!("../../../systemd/linnet-updater.timer");
const BEGIN: &str = "2026-11-23T08:00:00Z";
/// Waves by the hour since the beginning, and their shares.
const WAVES: [(u32, u16); 4] = [(0, 10), (1, 100), (2, 500), (3, 1000)];

/// A value of the timer's unit, such as `5min`.
fn timer(key: &str) -> Duration {
    let value = TIMER.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
    let digits = value.trim_end_matches(char::is_alphabetic);
    let unit = match value.trim_start_matches(char::is_numeric) {
        "min" => 60,
        "s" => 1,
        other => panic!("{key} in {other:?}"),
    };
    Duration::from_secs(digits.parse::<u64>().unwrap() * unit)
}

fn at(since: Duration) -> Timestamp {
    BEGIN.parse::<Timestamp>().unwrap() + SignedDuration::try_from(since).unwrap()
}

fn update(halt: bool) -> Update {
    let waves: Vec<_> = WAVES
        .iter()
        .map(|(hour, permille)| {
            format!(
                r#"{{"at": "{}", "permille": {permille}}}"#,
                at(Duration::from_secs(u64::from(*hour) * 3600))
            )
        })
        .collect();
    let json = format!(
        r#"{{"version": 1, "update": {{"release": "release/bad.tar.gz", "salt": "0.3.0", "halt": {halt}, "waves": [{}]}}}}"#,
        waves.join(",")
    );
    FleetDocument::parse(json.as_bytes()).unwrap().update.unwrap()
}

struct Told {
    /// Hosts that took it, by the second in which they did.
    taken: Seconds,
    looks: Seconds,
}

/// All hosts look until `until`; the halt is in the channel from `halted` on.
fn roll_out(halted: Duration, until: Duration) -> Told {
    let (going, stopped) = (update(false), update(true));
    let begin: Timestamp = BEGIN.parse().unwrap();
    let (inactive, random) = (timer("OnUnitInactiveSec"), timer("RandomizedDelaySec"));
    let mut told = Told { taken: Seconds::new(until.as_secs()), looks: Seconds::new(until.as_secs()) };
    for number in 0..HOSTS {
        let id = HostId::derive(&format!("{:032x}", u128::from(number) + 1));
        let facts = HostFacts { id, arch: "x86_64".to_owned() };
        let mut dice = Dice::of(number, 2);
        let mut random = || random.mul_f64(dice.throw() as f64 / u64::MAX as f64);
        // Somewhere between two looks when the first wave begins.
        let mut look =
            random() + inactive.mul_f64(random().as_secs_f64() / timer("RandomizedDelaySec").as_secs_f64());
        let mut not_before = Timestamp::MIN;
        while look < until {
            told.looks.count(look);
            let now = begin + SignedDuration::from_millis(i64::try_from(look.as_millis()).unwrap());
            let update = if look < halted { &going } else { &stopped };
            // While its document stays, a host that waits gets no other answer before the time that it was told.
            if look >= halted || now >= not_before {
                match decide(update, &facts, now) {
                    Rollout::Take(_) => {
                        told.taken.count(look);
                        break;
                    }
                    Rollout::Wait { until: Some(next), .. } => not_before = next,
                    Rollout::Halted => break,
                    other => panic!("{other:?}"),
                }
            }
            look += inactive + random();
        }
    }
    told
}

#[test]
fn a_bad_release_that_is_halted_has_reached_its_wave_and_nobody_else() {
    let minutes = |n: u64| Duration::from_secs(n * 60);
    println!("\n| the halt is published | hosts that ever ran the bad release | share of {HOSTS} |");
    for (halted, most) in [
        (minutes(4), 10),
        (minutes(30), 10),
        (minutes(59), 10),
        (minutes(60 + 5), 100),
        (minutes(60 + 59), 100),
        (minutes(120 + 30), 500),
    ] {
        let told = roll_out(halted, minutes(4 * 60));
        let ran = told.taken.sum(0, u64::MAX);
        println!(
            "| {} h {:02} min after the first wave began | {ran} | {:.2} % |",
            halted.as_secs() / 3600,
            halted.as_secs() / 60 % 60,
            ran as f64 * 100.0 / f64::from(HOSTS)
        );
        // The share of the wave, and five standard deviations of the draw.
        let expected = f64::from(HOSTS) * f64::from(most) / 1000.0;
        assert!((ran as f64) < expected + 5.0 * expected.sqrt(), "{ran} hosts of {expected}");
        // What was not seen within one look of the wave's beginning is not there.
        assert_eq!(told.taken.sum(halted.as_secs(), u64::MAX), 0);
    }
}

#[test]
fn a_wave_is_taken_by_the_pace_of_the_looks() {
    let until = Duration::from_secs(4 * 3600);
    let told = roll_out(until, until);
    let all = told.taken.sum(0, u64::MAX);
    assert_eq!(all, u64::from(HOSTS));
    println!("\n| wave | hosts | most downloads in a second | in the busiest minute | over after |");
    for (number, (hour, permille)) in WAVES.iter().enumerate() {
        let from = u64::from(*hour) * 3600;
        let to = WAVES.get(number + 1).map_or(until.as_secs(), |(next, _)| u64::from(*next) * 3600);
        let hosts = told.taken.sum(from, to);
        let minute = (from..to - 60).step_by(10).map(|at| told.taken.sum(at, at + 60)).max().unwrap();
        let over = told.taken.reaches(from, hosts, 100);
        println!(
            "| {} (to {permille} ‰) | {hosts} | {} | {minute} | {over} s |",
            number + 1,
            told.taken.peak(from, to)
        );
        // At most one look's length, and no second of it takes a herd.
        let longest = (timer("OnUnitInactiveSec") + timer("RandomizedDelaySec")).as_secs();
        assert!(over <= longest, "{over}");
        let mean = hosts as f64 / timer("OnUnitInactiveSec").as_secs_f64();
        assert!(f64::from(told.taken.peak(from, to)) < mean * 1.1 + 6.0 * mean.sqrt() + 3.0);
    }
}
