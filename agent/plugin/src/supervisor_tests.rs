use super::*;

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// A supervisor and its clock.
struct Life {
    supervisor: Supervisor,
    now: Instant,
}

impl Life {
    fn new() -> Self {
        let now = Instant::now();
        Self { supervisor: Supervisor::new(Timing::default(), now), now }
    }

    fn step(&mut self, input: Input) -> Action {
        self.supervisor.step(input, self.now)
    }

    fn after(&mut self, wait: Duration) -> Action {
        self.now += wait;
        self.step(Input::Tick)
    }

    fn running() -> Self {
        let mut life = Self::new();
        assert_eq!(life.step(Input::Tick), Action::Start);
        life.step(Input::Started);
        life.step(Input::Ready);
        assert!(matches!(life.supervisor.phase(), Phase::Running { .. }));
        life
    }
}

#[test]
fn one_that_is_not_ready_in_time_is_killed() {
    let mut life = Life::new();
    life.step(Input::Tick);
    life.step(Input::Started);
    assert_eq!(life.after(seconds(29)), Action::Nothing);
    assert_eq!(life.after(seconds(1)), Action::Kill);
    life.step(Input::Ended("killed".to_owned()));
    assert!(
        matches!(life.supervisor.phase(), Phase::Waiting { reason: Some(why), .. } if why.contains("not ready"))
    );
}

#[test]
fn one_that_answers_lives_and_one_that_does_not_is_killed() {
    let mut life = Life::running();
    for ping in 1..4 {
        assert_eq!(life.after(seconds(60)), Action::Ping(ping));
        assert_eq!(life.step(Input::Pong(ping + 7)), Action::Nothing);
        assert_eq!(life.step(Input::Pong(ping)), Action::Nothing);
    }
    assert_eq!(life.after(seconds(60)), Action::Ping(4));
    assert_eq!(life.after(seconds(60)), Action::Kill);
    // Until it is dead.
    assert_eq!(life.after(seconds(2)), Action::Kill);
}

#[test]
fn a_stop_asks_then_terminates_then_kills() {
    let mut life = Life::running();
    assert_eq!(life.step(Input::Stop), Action::Ask);
    assert_eq!(life.after(seconds(1)), Action::Terminate);
    assert_eq!(life.after(seconds(2)), Action::Kill);
    life.step(Input::Ended("signal 9".to_owned()));
    assert!(life.supervisor.is_over());
}

#[test]
fn waits_double_and_the_fifth_failure_disables() {
    let mut life = Life::new();
    let mut waits = Vec::new();
    for _ in 0..4 {
        assert_eq!(life.step(Input::Tick), Action::Start);
        life.step(Input::Started);
        life.step(Input::Ended("exit code 1".to_owned()));
        let until = life.supervisor.deadline().unwrap();
        waits.push(until.duration_since(life.now).as_secs());
        life.now = until;
    }
    assert_eq!(waits, [1, 2, 4, 8]);
    life.step(Input::Started);
    life.step(Input::Ended("exit code 1".to_owned()));
    let Phase::Disabled { reason } = life.supervisor.phase() else { panic!("not disabled") };
    assert_eq!(reason, "5 failures within 600 s, the last: exit code 1");
    assert_eq!((life.after(seconds(100_000)), life.supervisor.deadline()), (Action::Nothing, None));
}

#[test]
fn seldom_failures_never_disable() {
    let mut life = Life::new();
    for _ in 0..50 {
        assert_eq!(life.after(seconds(601)), Action::Start);
        life.step(Input::Started);
        life.step(Input::Ready);
        life.step(Input::Ended("signal 11".to_owned()));
    }
    assert!(matches!(life.supervisor.phase(), Phase::Waiting { .. }));
}

#[test]
fn a_failure_while_it_is_stopped_for_good_starts_nothing_anew() {
    let mut life = Life::running();
    assert_eq!(life.step(Input::Abuse("garbage".to_owned())), Action::Kill);
    assert_eq!(life.step(Input::Stop), Action::Nothing);
    life.step(Input::Ended("signal 9".to_owned()));
    assert!(life.supervisor.is_over());
}

#[test]
fn every_pair_of_phase_and_input_is_answered_and_none_starts_two() {
    let now = Instant::now();
    let phases = [
        Phase::Waiting { until: now, reason: None },
        Phase::Starting { until: now },
        Phase::Running { next: now, asked: None },
        Phase::Running { next: now, asked: Some(1) },
        Phase::Stopping { next: now, means: Means::Terminate, failure: None },
        Phase::Stopping { next: now, means: Means::Kill, failure: Some("x".to_owned()) },
        Phase::Disabled { reason: "x".to_owned() },
        Phase::Stopped,
    ];
    let inputs = [
        Input::Tick,
        Input::Started,
        Input::Ended("e".to_owned()),
        Input::Ready,
        Input::Pong(1),
        Input::Abuse("a".to_owned()),
        Input::Stop,
    ];
    for phase in &phases {
        for input in &inputs {
            let mut supervisor = Supervisor::new(Timing::default(), now);
            supervisor.phase = phase.clone();
            let action = supervisor.step(input.clone(), now);
            let may_start = matches!(phase, Phase::Waiting { .. }) && *input == Input::Tick;
            assert_eq!(action == Action::Start, may_start, "{phase:?} {input:?}");
        }
    }
}
