//! The plugin's life: first line, `ready`, rounds, pings, end.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::budget::Budget;
use crate::event::Event;
use crate::input::{Heard, Input};

/// The average share of a core, in thousandths, where the settings say nothing.
const CPU_PERMILLE: u64 = 8;
/// The longest state that fits into a line of the protocol.
const MAX_STATE_BYTES: usize = 250 * 1024;
/// Calls of `pace` between two looks at the clocks.
const PACE_CALLS: u32 = 8;

/// What finds things out.
pub trait Plugin: Sized {
    /// Its settings. Unknown keys should be refused (`deny_unknown_fields`).
    type Settings: DeserializeOwned + Default;
    /// What it remembers from one start to the next; the agent keeps it.
    type State: Serialize + DeserializeOwned + Default + PartialEq + Clone;
    /// Between two rounds, where the settings' `interval_s` says nothing.
    const INTERVAL: Duration;

    /// One round.
    ///
    /// # Errors
    /// [`Stop`], handed through from [`Turn::pace`] and [`Turn::report`].
    fn look(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), Stop>;
}

/// The round is to end at once: the agent asked for it, new settings came, or nobody listens.
#[derive(Debug)]
pub struct Stop(Why);

#[derive(Debug)]
enum Why {
    End,
    Settings,
    Io(io::Error),
    Wrong(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self(Why::Io(error))
    }
}

/// Events a second that the agent takes.
#[derive(Debug)]
struct Rate {
    per_second: f64,
    most: f64,
    level: f64,
    at: Instant,
}

impl Rate {
    fn of(limits: Option<&Value>) -> Self {
        let number = |name: &str, otherwise: f64| {
            limits.and_then(|limits| limits.get(name)).and_then(Value::as_f64).unwrap_or(otherwise).max(1.0)
        };
        // A little below, since the agent's clock is not ours.
        let (per_second, most) =
            (number("events_per_second", 10.0) * 0.95, number("events_burst", 100.0) * 0.95);
        Self { per_second, most, level: most, at: Instant::now() }
    }

    fn wait(&mut self) -> Option<Duration> {
        let now = Instant::now();
        self.level = (self.level + (now - self.at).as_secs_f64() * self.per_second).min(self.most);
        self.at = now;
        self.level -= 1.0;
        (self.level < 0.0).then(|| Duration::from_secs_f64(-self.level / self.per_second))
    }
}

/// One round of a plugin, and its line to the agent.
pub struct Turn<'p, P: Plugin> {
    talk: &'p mut Talk,
    settings: &'p P::Settings,
    state: &'p mut P::State,
}

impl<P: Plugin> Turn<'_, P> {
    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &P::Settings {
        self.settings
    }

    /// What it remembers.
    #[must_use]
    pub fn state(&self) -> &P::State {
        self.state
    }

    /// The same, to be changed; handed to the agent at the end of the round.
    pub fn state_mut(&mut self) -> &mut P::State {
        self.state
    }

    /// Whether the agent has given the plugin this capability of its manifest.
    #[must_use]
    pub fn may(&self, capability: &str) -> bool {
        self.talk.granted.iter().any(|one| one == capability)
    }

    /// To be called between pieces of work of a millisecond or less: sleeps where the processor time was spent, and
    /// listens.
    ///
    /// # Errors
    /// [`Stop`], when the round is to end.
    pub fn pace(&mut self) -> Result<(), Stop> {
        self.talk.pace()
    }

    /// Reports an event, waiting while there were too many.
    ///
    /// # Errors
    /// [`Stop`], when the round is to end.
    pub fn report(&mut self, event: Event) -> Result<(), Stop> {
        if let Some(wait) = self.talk.rate.wait() {
            self.talk.sleep(wait)?;
        }
        self.talk.say(&json!({ "event": event.into_fields() }))?;
        self.talk.pace()
    }

    /// Puts a line into the agent's log; level is `error`, `warn`, `info` or `debug`.
    ///
    /// # Errors
    /// [`Stop`], when nobody listens.
    pub fn log(&mut self, level: &str, message: &str) -> Result<(), Stop> {
        self.talk.say(&json!({ "log": { "level": level, "message": message } }))
    }

    /// Hands the state over now, in the middle of a round.
    ///
    /// # Errors
    /// [`Stop`], when nobody listens.
    pub fn save(&mut self) -> Result<(), Stop> {
        let line = json!({ "state": &*self.state });
        self.talk.say_state(&line)
    }
}

/// Both pipes, the clocks, and what came in meanwhile.
struct Talk {
    input: Input,
    budget: Budget,
    rate: Rate,
    calls: u32,
    born: Instant,
    granted: Vec<String>,
    /// Settings that came during the round.
    new_settings: Option<Map<String, Value>>,
}

impl Talk {
    fn say(&mut self, line: &Value) -> Result<(), Stop> {
        let mut bytes = serde_json::to_vec(line).map_err(|error| Stop(Why::Wrong(error.to_string())))?;
        bytes.push(b'\n');
        let mut out = io::stdout().lock();
        out.write_all(&bytes)?;
        out.flush()?;
        Ok(())
    }

    fn say_state(&mut self, line: &Value) -> Result<(), Stop> {
        let length = serde_json::to_vec(line).map_or(0, |bytes| bytes.len());
        if length > MAX_STATE_BYTES {
            let message = format!("a state of {length} bytes is not kept: after a restart it begins anew");
            return self.say(&json!({ "log": { "level": "warn", "message": message } }));
        }
        self.say(line)
    }

    fn pace(&mut self) -> Result<(), Stop> {
        self.calls = self.calls.wrapping_add(1);
        if !self.calls.is_multiple_of(PACE_CALLS) {
            return Ok(());
        }
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        let spent = Duration::new(
            u64::try_from(spent.tv_sec).unwrap_or(0),
            u32::try_from(spent.tv_nsec).unwrap_or(0),
        );
        match self.budget.account(self.born.elapsed(), spent) {
            Some(sleep) => self.sleep(sleep),
            None => Ok(()),
        }
    }

    /// Sleeps and listens.
    fn sleep(&mut self, length: Duration) -> Result<(), Stop> {
        let until = Instant::now() + length;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.input.next(left)? {
                None => return Ok(()),
                Some(Heard::End) => return Err(Stop(Why::End)),
                Some(Heard::Line(line)) => self.hear(line)?,
            }
        }
    }

    fn hear(&mut self, mut line: Map<String, Value>) -> Result<(), Stop> {
        if let Some(ping) = line.remove("ping") {
            return self.say(&json!({ "pong": ping }));
        }
        if let Some(Value::Object(settings)) = line.remove("settings") {
            self.new_settings = Some(settings);
            return Err(Stop(Why::Settings));
        }
        Ok(())
    }
}

/// The settings that every plugin has, and its own.
struct Settings<S> {
    interval: Duration,
    cpu_permille: u32,
    own: S,
}

fn settings<P: Plugin>(mut object: Map<String, Value>) -> Result<Settings<P::Settings>, String> {
    let mut common = |name: &str, otherwise: u64, from: u64, to: u64| match object.remove(name) {
        None => Ok(otherwise),
        Some(value) => value
            .as_u64()
            .filter(|number| (from..=to).contains(number))
            .ok_or_else(|| format!("settings: {name}: give a whole number from {from} to {to}")),
    };
    let interval = common("interval_s", P::INTERVAL.as_secs(), 1, 30 * 86_400)?;
    let cpu_permille = common("cpu_permille", CPU_PERMILLE, 1, 1000)?;
    let own = serde_path_to_error::deserialize(Value::Object(object))
        .map_err(|error| format!("settings: {}: {}", error.path(), error.inner()))?;
    let cpu_permille = u32::try_from(cpu_permille).unwrap_or(1);
    Ok(Settings { interval: Duration::from_secs(interval), cpu_permille, own })
}

/// Runs a plugin until its input ends.
pub fn run<P: Plugin>(plugin: P) -> ExitCode {
    match live(plugin) {
        Stop(Why::End | Why::Settings) => ExitCode::SUCCESS,
        // Nobody reads any more.
        Stop(Why::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Stop(Why::Io(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Stop(Why::Wrong(message)) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn live<P: Plugin>(mut plugin: P) -> Stop {
    match begin_and_go_on(&mut plugin) {
        Ok(never) => match never {},
        Err(stop) => stop,
    }
}

fn begin_and_go_on<P: Plugin>(plugin: &mut P) -> Result<std::convert::Infallible, Stop> {
    let wrong = |message: String| Stop(Why::Wrong(message));
    let mut input = Input::default();
    let mut first = match input.next(Duration::from_secs(30))? {
        Some(Heard::Line(line)) => line,
        Some(Heard::End) => return Err(Stop(Why::End)),
        None => return Err(wrong("no settings came: the agent starts this program".to_owned())),
    };
    if first.get("protocol").and_then(Value::as_u64) != Some(1) {
        return Err(wrong("the agent speaks another protocol than 1: update the plugin".to_owned()));
    }
    let given = |value: Option<Value>| match value {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    let mut current = settings::<P>(given(first.remove("settings"))).map_err(wrong)?;
    // A state of another version of the plugin is no state.
    let mut state: P::State =
        first.remove("state").and_then(|state| serde_json::from_value(state).ok()).unwrap_or_default();
    let granted = first
        .get("granted")
        .and_then(Value::as_array)
        .map_or_else(Vec::new, |names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    let mut talk = Talk {
        input,
        budget: Budget::new(current.cpu_permille, Duration::ZERO, Duration::ZERO),
        rate: Rate::of(first.get("limits")),
        calls: 0,
        born: Instant::now(),
        granted,
        new_settings: None,
    };
    talk.say(&json!({ "ready": {} }))?;
    let mut jitter = Jitter::new();
    loop {
        let before = state.clone();
        let mut turn = Turn { talk: &mut talk, settings: &current.own, state: &mut state };
        let mut outcome = plugin.look(&mut turn);
        if state != before {
            talk.say_state(&json!({ "state": &state }))?;
        }
        if outcome.is_ok() {
            outcome = talk.sleep(jitter.of(current.interval));
        }
        match outcome {
            Ok(()) => {}
            Err(Stop(Why::Settings)) => {
                let object = talk.new_settings.take().unwrap_or_default();
                match settings::<P>(object) {
                    Ok(settings) => current = settings,
                    Err(message) => return Err(wrong(message)),
                }
                talk.budget.set_share(current.cpu_permille);
            }
            Err(stop) => return Err(stop),
        }
    }
}

/// Up to a tenth more or less, so that a fleet does not work in step.
struct Jitter(u64);

impl Jitter {
    fn new() -> Self {
        let mut seed = [0; 8];
        let _ = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty());
        Self(u64::from_ne_bytes(seed) | 1)
    }

    fn of(&mut self, length: Duration) -> Duration {
        // xorshift64, Marsaglia 2003: chance, not secrecy.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let tenth = (self.0 % 2001) as f64 / 10_000.0;
        length.mul_f64(0.9 + tenth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Own {
        path: String,
    }

    struct WithOwn;

    impl Plugin for WithOwn {
        type Settings = Own;
        type State = ();
        const INTERVAL: Duration = Duration::from_secs(7);

        fn look(&mut self, _turn: &mut Turn<'_, Self>) -> Result<(), Stop> {
            Ok(())
        }
    }

    #[test]
    fn common_settings_are_taken_and_unknown_ones_are_refused_by_their_path() {
        let of = |value: Value| {
            settings::<WithOwn>(value.as_object().cloned().unwrap()).map(|got| (got.own.path, got.interval).1)
        };
        assert_eq!(of(json!({})), Ok(Duration::from_secs(7)));
        assert_eq!(
            of(json!({"interval_s": 60, "cpu_permille": 50, "path": "/x"})),
            Ok(Duration::from_secs(60))
        );
        assert!(of(json!({"interval_s": 0})).unwrap_err().contains("interval_s"));
        assert!(of(json!({"pathh": ""})).unwrap_err().contains("unknown field `pathh`"));
        assert!(of(json!({"path": 7})).unwrap_err().starts_with("settings: path: invalid type"));
    }

    #[test]
    fn intervals_are_spread_by_a_tenth() {
        let mut jitter = Jitter::new();
        let hour = Duration::from_secs(3600);
        let all: Vec<Duration> = (0..100).map(|_| jitter.of(hour)).collect();
        assert!(all.iter().all(|one| (hour.mul_f64(0.9)..=hour.mul_f64(1.1001)).contains(one)));
        assert!(all.iter().max().unwrap().as_secs() - all.iter().min().unwrap().as_secs() > 300);
    }
}
