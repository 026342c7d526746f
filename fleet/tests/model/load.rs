//! What the server has to answer: every day, when everybody starts at once, and after it was away.

use std::time::Duration;

use linnet_fleet::channel::PollSchedule;

use crate::{Dice, HOSTS, INTERVAL, Seconds, hours};

const HOUR: u64 = 3600;

/// What a host meets when it asks.
#[derive(Clone, Copy)]
enum Answer {
    Well,
    None,
    /// 503, with the seconds of `Retry-After`.
    Busy(u64),
}

/// The questions of all hosts, and the first answers that each got after `back`.
struct Load {
    asked: Seconds,
    back: Seconds,
}

/// Each host begins at the second that `begins` says, and lives until `until`.
fn live(
    until: u64,
    begins: impl Fn(&mut Dice) -> Duration,
    answer: impl Fn(u64) -> Answer,
    back: u64,
) -> Load {
    let mut load = Load { asked: Seconds::new(until), back: Seconds::new(until) };
    for host in 0..HOSTS {
        let mut dice = Dice::of(host, 1);
        let mut schedule = PollSchedule::new(INTERVAL);
        let mut at = begins(&mut dice) + schedule.first(dice.throw());
        let mut is_back = false;
        while at.as_secs() < until {
            load.asked.count(at);
            let wait = match answer(at.as_secs()) {
                Answer::Well => {
                    if at.as_secs() >= back && !is_back {
                        is_back = true;
                        load.back.count(at);
                    }
                    schedule.after_success(dice.throw())
                }
                Answer::None => schedule.after_failure(None, dice.throw()),
                Answer::Busy(seconds) => {
                    schedule.after_failure(Some(Duration::from_secs(seconds)), dice.throw())
                }
            };
            at += wait;
        }
    }
    load
}

fn at_once(_: &mut Dice) -> Duration {
    Duration::ZERO
}

fn told(what: &str, load: &Seconds, from: u64, to: u64) -> (f64, u32) {
    let (mean, peak) = (load.mean(from, to), load.peak(from, to));
    println!("| {what} | {mean:.0} | {peak} | {:.2} |", f64::from(peak) / mean);
    (mean, peak)
}

/// What chance alone makes of a mean in a second: five standard deviations of a Poisson count, and 2 % for the rest.
fn by_chance(mean: f64) -> f64 {
    mean * 1.02 + 5.0 * mean.sqrt()
}

#[test]
fn a_fleet_that_starts_in_one_second_never_asks_together() {
    let until = (hours() * HOUR).max(HOUR);
    let load = live(until, at_once, |_| Answer::Well, u64::MAX);
    println!("\n| {HOSTS} hosts, each every {} s | mean a second | peak | peak / mean |", INTERVAL.as_secs());
    let expected = f64::from(HOSTS) / INTERVAL.as_secs_f64();
    let (mean, peak) = told("the first minute after all start in one second", &load.asked, 0, 60);
    // The second questions come while the last first ones do: until the draws have mixed there are waves, small ones.
    assert!((mean / expected - 1.0).abs() < 0.1 && f64::from(peak) < mean * 1.7, "{mean} {peak}");
    let (mean, peak) = told("the first hour", &load.asked, 0, HOUR);
    assert!((mean / expected - 1.0).abs() < 0.05 && f64::from(peak) < mean * 1.7, "{mean} {peak}");
    let (mean, peak) = told("the rest of the time", &load.asked, HOUR / 2, until);
    assert!((mean / expected - 1.0).abs() < 0.05 && f64::from(peak) < by_chance(mean), "{mean} {peak}");
}

#[test]
fn after_an_outage_of_an_hour_there_is_no_herd() {
    let (down, up, until) = (HOUR / 2, HOUR * 3 / 2, 3 * HOUR);
    let answer = |second: u64| if (down..up).contains(&second) { Answer::None } else { Answer::Well };
    let load = live(until, at_once, answer, up);
    let normal = load.asked.mean(HOUR / 4, down);
    println!("\n| an outage of an hour | mean a second | peak | peak / mean |");
    told("before it", &load.asked, HOUR / 4, down);
    let (_, peak) = told("its first two minutes", &load.asked, down, down + 120);
    assert!(f64::from(peak) < normal * 1.5, "{peak} a second as the outage begins, {normal} before");
    told("its last half hour", &load.asked, up - HOUR / 2, up);
    let (_, peak) = told("the hour after it", &load.asked, up, up + HOUR);
    assert!(f64::from(peak) < by_chance(normal), "{peak} a second after the outage, {normal} before");
    assert!(load.asked.mean(up - HOUR / 2, up) < normal / 10.0);
    // Who fails tries again within half an interval to one and a half, so the first minutes are a little busier.
    let busiest = (down..until - 60).step_by(60).map(|at| load.asked.sum(at, at + 60)).max().unwrap();
    assert!((busiest as f64) < normal * 60.0 * 1.15, "{busiest} in a minute");
    let all = u64::from(HOSTS);
    let [half, most, nearly] = [50, 90, 99].map(|percent| load.back.reaches(up, all, percent) / 60);
    println!(
        "hosts that were answered again: half after {half} min, 90 % after {most} min, 99 % after {nearly} min"
    );
    assert!(nearly <= 61 + 31, "{nearly}");
}

#[test]
fn a_server_that_asks_everybody_for_patience_is_not_stormed_when_that_is_over() {
    // All are told at once: they start while it is busy, for two minutes.
    let answer = |second: u64| if second < 120 { Answer::Busy(120) } else { Answer::Well };
    let load = live(600, at_once, answer, 120);
    let expected = f64::from(HOSTS) / INTERVAL.as_secs_f64();
    println!(
        "\n| 503 with Retry-After: 120, to all hosts in their first two minutes | mean a second | peak | peak / mean |"
    );
    let (_, peak) = told("when the two minutes are over", &load.asked, 120, 300);
    assert!(f64::from(peak) < expected * 1.7, "{peak}");
}

#[test]
fn hosts_that_start_over_ten_minutes_keep_their_distance() {
    let begins = |dice: &mut Dice| Duration::from_millis(dice.throw() % (600 * 1000));
    let load = live(1500, begins, |_| Answer::Well, u64::MAX);
    println!("\n| hosts that start over ten minutes | mean a second | peak | peak / mean |");
    let (mean, peak) = told("from then on", &load.asked, 700, 1500);
    assert!(f64::from(peak) < by_chance(mean), "{mean} {peak}");
}
