//! The verdict on an agent, from what is seen of it. Pure: time comes in with each observation.

use jiff::Timestamp;
use linnet_fleet::health::{Health, State};

use crate::service::Condition;

use super::baseline::Baseline;

/// What the agent has to be.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The version that it has to say.
    pub version: String,
    /// How long one process has to be well.
    pub stable_ms: u64,
    /// When it has to be, counted from the first observation.
    pub deadline_ms: u64,
    /// Restarts that are forgiven.
    pub restarts: u32,
    /// How long after its last word it is taken to hang.
    pub stale_ms: u64,
    /// What was wrong before.
    pub baseline: Baseline,
}

/// What is seen at one time.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Its document of this boot, or why there is none.
    pub health: Result<Health, String>,
    /// Whether the document's process lives.
    pub alive: bool,
    /// What the service manager says.
    pub condition: Condition,
}

/// What is thought of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not well, or not long enough; why.
    Wait(String),
    /// It has proved itself.
    Good,
    /// It will not; why.
    Bad(String),
}

/// A watch over one agent.
#[derive(Clone, Debug)]
pub struct Watch {
    rules: Rules,
    began_ms: Option<u64>,
    /// The process that is watched, and since when it has been well.
    process: Option<(u32, Timestamp)>,
    processes: u32,
    well_since_ms: Option<u64>,
    /// The last document's time as it says it, and when it was first seen: the wall clock may step.
    last_word: Option<(Timestamp, u64)>,
}

impl Watch {
    /// A watch that begins with the first observation.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, began_ms: None, process: None, processes: 0, well_since_ms: None, last_word: None }
    }

    /// Takes an observation in.
    pub fn observe(&mut self, now_ms: u64, seen: &Observation) -> Verdict {
        let began_ms = *self.began_ms.get_or_insert(now_ms);
        if let Condition::Failed(why) = &seen.condition {
            return Verdict::Bad(why.clone());
        }
        let restarts = self.count_restarts(seen);
        if restarts > self.rules.restarts {
            return Verdict::Bad(format!("restarted {restarts} times; {} are forgiven", self.rules.restarts));
        }
        if let Some(killed) =
            seen.health.as_ref().ok().filter(|health| self.is_new(health)).and_then(oom_kills)
        {
            return Verdict::Bad(format!("killed {killed} times at its memory limit"));
        }
        let why = match self.not_well(now_ms, seen) {
            Some(why) => {
                self.well_since_ms = None;
                why
            }
            None => {
                let since = *self.well_since_ms.get_or_insert(now_ms);
                // Up to its last word: silence proves nothing, however long it is borne with.
                let last_ms = self.last_word.map_or(since, |(_, seen_ms)| seen_ms);
                let well_ms = last_ms.saturating_sub(since);
                if well_ms >= self.rules.stable_ms {
                    return Verdict::Good;
                }
                "well so far".to_owned()
            }
        };
        // One that is well is given the time to prove it, as long as it began in time.
        let proof_ms = self.rules.stable_ms.saturating_add(self.rules.stale_ms);
        let allowed_ms = if self.well_since_ms.is_some() { proof_ms } else { 0 };
        if now_ms.saturating_sub(began_ms) >= self.rules.deadline_ms.saturating_add(allowed_ms) {
            return Verdict::Bad(format!("not well within {} s: {why}", self.rules.deadline_ms / 1000));
        }
        Verdict::Wait(why)
    }

    fn is_new(&self, health: &Health) -> bool {
        health.version == self.rules.version
    }

    /// Processes seen one after the other, and what the service manager counted: whichever is more.
    fn count_restarts(&mut self, seen: &Observation) -> u32 {
        if let Ok(health) = &seen.health
            && seen.alive
            && self.is_new(health)
        {
            let process = (health.pid, health.started_at);
            if self.process != Some(process) {
                self.process = Some(process);
                self.processes = self.processes.saturating_add(1);
                self.well_since_ms = None;
            }
        }
        let counted = match seen.condition {
            Condition::Up { restarts } => restarts,
            _ => 0,
        };
        counted.max(self.processes.saturating_sub(1))
    }

    fn not_well(&mut self, now_ms: u64, seen: &Observation) -> Option<String> {
        let health = match &seen.health {
            Ok(health) => health,
            Err(why) => return Some(why.clone()),
        };
        if !seen.alive {
            return Some("its process is gone".to_owned());
        }
        if !self.is_new(health) {
            return Some(format!("the agent that runs says it is {}", health.version));
        }
        let last_seen_ms = match self.last_word {
            Some((said_at, seen_ms)) if said_at == health.updated_at => seen_ms,
            _ => {
                self.last_word = Some((health.updated_at, now_ms));
                now_ms
            }
        };
        let silent_ms = now_ms.saturating_sub(last_seen_ms);
        if silent_ms > self.rules.stale_ms {
            return Some(format!("it has said nothing for {} s: it hangs", silent_ms / 1000));
        }
        match health.state {
            State::Running | State::Degraded => {}
            other => return Some(format!("it is {}", other.as_str())),
        }
        if health.canary.seen == 0 {
            return Some("it has not seen its own test process".to_owned());
        }
        if health.canary.sent.saturating_sub(health.canary.seen) > 1 {
            return Some("it does not see its own test processes any more".to_owned());
        }
        self.over_limit(health).or_else(|| self.rules.baseline.worse(health))
    }

    fn over_limit(&self, health: &Health) -> Option<String> {
        let used = health.usage.memory_anon_bytes?;
        let most = health.limits.in_force.memory_max_bytes?;
        (used >= most).then(|| format!("it uses {used} bytes, its limit is {most}"))
    }
}

fn oom_kills(health: &Health) -> Option<u64> {
    health.usage.memory_events.oom_kill.filter(|kills| *kills > 0)
}

#[cfg(test)]
mod tests {
    use linnet_fleet::health::{Canary, Hook, Limits};

    use super::*;

    fn rules() -> Rules {
        Rules {
            version: "0.2.0".to_owned(),
            stable_ms: 60_000,
            deadline_ms: 60_000,
            restarts: 2,
            stale_ms: 30_000,
            baseline: Baseline::default(),
        }
    }

    fn well(pid: u32, now_ms: u64) -> Observation {
        let health = Health {
            version: "0.2.0".to_owned(),
            pid,
            updated_at: Timestamp::from_millisecond(i64::try_from(now_ms).unwrap()).unwrap(),
            state: State::Running,
            canary: Canary { sent: 1, seen: 1, last_seen_at: None },
            limits: Limits { enforced: true, ..Limits::default() },
            hooks: vec![Hook { event: "exec".to_owned(), chosen: "x".to_owned(), ..Hook::default() }],
            ..Health::default()
        };
        Observation { health: Ok(health), alive: true, condition: Condition::Unknown }
    }

    /// Looks each second until there is a verdict, and tells it with its second.
    fn run(rules: Rules, mut see: impl FnMut(u64) -> Observation) -> (u64, Verdict) {
        let mut watch = Watch::new(rules);
        for second in 0..1000 {
            match watch.observe(second * 1000, &see(second)) {
                Verdict::Wait(_) => {}
                verdict => return (second, verdict),
            }
        }
        panic!("no verdict in 1000 s");
    }

    fn with(edit: impl Fn(&mut Health, u64)) -> impl FnMut(u64) -> Observation {
        move |second| {
            let mut seen = well(7, second * 1000);
            if let Ok(health) = &mut seen.health {
                edit(health, second);
            }
            seen
        }
    }

    #[test]
    fn an_agent_that_is_well_for_its_time_is_good() {
        assert_eq!(run(rules(), |second| well(7, second * 1000)), (60, Verdict::Good));
    }

    #[test]
    fn time_counts_from_the_last_restart_and_two_restarts_are_forgiven() {
        let restarting = |times: u64| {
            move |second: u64| well(u32::try_from(second / 10).unwrap().min(times as u32), second * 1000)
        };
        assert_eq!(run(rules(), restarting(2)), (80, Verdict::Good));
        let (second, verdict) = run(rules(), restarting(3));
        assert_eq!((second, verdict), (30, Verdict::Bad("restarted 3 times; 2 are forgiven".to_owned())));
    }

    #[test]
    fn restarts_that_leave_no_document_are_counted_by_the_service_manager() {
        let (second, verdict) = run(rules(), |second| Observation {
            health: Err("no document".to_owned()),
            alive: false,
            condition: Condition::Up { restarts: u32::try_from(second).unwrap() },
        });
        assert_eq!((second, verdict), (3, Verdict::Bad("restarted 3 times; 2 are forgiven".to_owned())));
        let failed = Observation { condition: Condition::Failed("given up".to_owned()), ..well(7, 0) };
        assert_eq!(Watch::new(rules()).observe(0, &failed), Verdict::Bad("given up".to_owned()));
    }

    #[test]
    fn each_thing_that_is_wrong_is_told_and_ends_in_a_refusal() {
        type Edit = fn(&mut Health, u64);
        let cases: [(&str, Edit); 9] = [
            ("says it is 0.1.0", |h, _| h.version = "0.1.0".to_owned()),
            ("it hangs", |h, second| {
                if second > 5 {
                    h.updated_at = Timestamp::UNIX_EPOCH;
                }
            }),
            ("it is starting", |h, _| h.state = State::Starting),
            ("not seen its own test process", |h, _| h.canary = Canary::default()),
            ("any more", |h, _| h.canary = Canary { sent: 4, seen: 2, last_seen_at: None }),
            ("killed 3 times at its memory limit", |h, _| h.usage.memory_events.oom_kill = Some(3)),
            ("exec events are not seen", |h, _| h.hooks[0].chosen = "none".to_owned()),
            ("limits are not in force", |h, _| h.limits.enforced = false),
            ("sink is full", |h, _| h.degraded = vec!["sink is full".to_owned()]),
        ];
        for (expected, edit) in cases {
            let (second, verdict) = run(rules(), with(edit));
            let Verdict::Bad(why) = verdict else { panic!("{expected}: {verdict:?}") };
            assert!(why.contains(expected) && second <= 120, "{expected}: {why} at {second}");
        }
        let (_, verdict) = run(
            rules(),
            with(|h, _| {
                h.usage.memory_anon_bytes = Some(2);
                h.limits.in_force.memory_max_bytes = Some(1);
            }),
        );
        assert!(matches!(verdict, Verdict::Bad(why) if why.contains("its limit is 1")));
    }

    #[test]
    fn what_was_wrong_before_is_not_held_against_the_new_release() {
        let mut old = well(1, 0).health.unwrap();
        old.limits.enforced = false;
        old.hooks[0].chosen = "none".to_owned();
        old.degraded = vec!["12 records were lost since the last report: raise it".to_owned()];
        let rules = Rules { baseline: Baseline::of(&old), ..rules() };
        let verdict = run(
            rules,
            with(|h, _| {
                h.limits.enforced = false;
                h.hooks[0].chosen = "none".to_owned();
                h.degraded = vec!["7 records were lost since the last report: raise it".to_owned()];
            }),
        );
        assert_eq!(verdict, (60, Verdict::Good));
    }

    #[test]
    fn a_wall_clock_that_stands_a_year_off_or_steps_changes_nothing() {
        let verdict = run(
            rules(),
            with(|h, second| {
                let year = i64::from(second % 2 == 0) * 31_536_000;
                h.updated_at = Timestamp::from_second(year + i64::try_from(second).unwrap()).unwrap();
            }),
        );
        assert_eq!(verdict, (60, Verdict::Good));
    }

    #[test]
    fn an_agent_that_hangs_proves_nothing_however_short_the_time() {
        let rules = Rules { stable_ms: 10_000, ..rules() };
        let (_, verdict) = run(rules, |second| well(7, second.min(5) * 1000));
        assert!(matches!(&verdict, Verdict::Bad(why) if why.contains("hangs")), "{verdict:?}");
    }

    #[test]
    fn a_late_but_well_agent_gets_its_whole_time() {
        let (second, verdict) = run(rules(), |second| {
            if second < 55 { Observation { alive: false, ..well(7, 0) } } else { well(7, second * 1000) }
        });
        assert_eq!((second, verdict), (115, Verdict::Good));
    }
}
