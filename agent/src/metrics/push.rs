//! Sends metrics to a collector, now and then: one thread, asleep in between.
//!
//! Only the newest document is sent; what a collector did not take, the next one says again, for counters only grow. A collector that
//! is away costs nothing but a try at each interval, and nothing of it reaches the sensor's own thread.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use linnet_delivery::{MetricsSink, NotTaken, Taken};
use linnet_fleet::{
    dice,
    health::{Health, PushedMetrics},
};
use linnet_settings::{OtlpMetrics, peer::shown};

use super::otlp::{Resource, request};

/// How long the last ones may take at the end.
const LAST: Duration = Duration::from_secs(2);
/// The longest that a collector may ask to be left alone.
const LONGEST: Duration = Duration::from_secs(3600);
/// A failure is named in the log once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(600);

#[derive(Default)]
struct State {
    newest: Option<Arc<Health>>,
    stopped: bool,
    report: PushedMetrics,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    stop: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until then, or until all is over: then it is `true`.
    fn rest(&self, until: Instant) -> bool {
        let time = until.saturating_duration_since(Instant::now());
        let rested = self.stop.wait_timeout_while(self.lock(), time, |state| !state.stopped);
        rested.unwrap_or_else(PoisonError::into_inner).0.stopped
    }
}

/// The thread that sends.
pub struct Pusher {
    shared: Arc<Shared>,
    done: mpsc::Receiver<()>,
}

impl Pusher {
    /// Starts it.
    pub fn start(settings: OtlpMetrics, resource: Resource) -> Self {
        let shared = Arc::new(Shared::default());
        shared.lock().report.url = shown(&settings.url).to_owned();
        let (sender, done) = mpsc::channel();
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("linnet-otlp".to_owned()).spawn(move || {
            run(&worker, settings, &resource);
            let _ = sender.send(());
        });
        if let Err(error) = thread {
            log::error!("metrics.otlp: thread: {error}");
            shared.lock().report.last_error = Some(format!("thread: {error}"));
        }
        Self { shared, done }
    }

    /// Sends this when it is time.
    pub fn show(&self, health: Arc<Health>) {
        self.shared.lock().newest = Some(health);
    }

    /// How it goes.
    pub fn report(&self) -> PushedMetrics {
        self.shared.lock().report.clone()
    }

    /// Sends the last ones, if that does not take long.
    pub fn finish(self) {
        self.shared.lock().stopped = true;
        self.shared.stop.notify_all();
        if self.done.recv_timeout(LAST) == Err(mpsc::RecvTimeoutError::Timeout) {
            log::warn!("metrics.otlp: the last metrics were not taken in {} s", LAST.as_secs());
        }
    }
}

fn run(shared: &Shared, settings: OtlpMetrics, resource: &Resource) {
    let interval = Duration::from_secs(settings.interval_s.into());
    let mut sink = MetricsSink::new(settings);
    let mut logged: Option<Instant> = None;
    let mut taken: Option<Timestamp> = None;
    // A fleet that starts at once does not come at once.
    let first = dice() % (interval.as_millis() as u64).max(1);
    let mut next = Instant::now() + Duration::from_millis(first);
    loop {
        let is_last = shared.rest(next);
        // Not the same points twice.
        let newest = shared.lock().newest.clone().filter(|health| Some(health.updated_at) != taken);
        let mut pause = interval;
        if let Some(health) = newest {
            let result = sink.send(&request(&health, resource));
            taken = if result.is_ok() { Some(health.updated_at) } else { taken };
            if let Err(NotTaken { after: Some(after), .. }) = &result {
                pause = pause.max((*after).min(LONGEST));
            }
            note(shared, result, &mut logged);
        }
        if is_last {
            return;
        }
        // A collector that answers slowly does not stretch the interval, and one that is slower than that has its rest.
        let now = Instant::now();
        next = if next + pause > now { next + pause } else { now + pause };
    }
}

fn note(shared: &Shared, result: Result<Taken, NotTaken>, logged: &mut Option<Instant>) {
    let mut state = shared.lock();
    let report = &mut state.report;
    report.requests += 1;
    let error = match result {
        Ok(Taken { bytes, rejected }) => {
            report.sent_bytes += bytes;
            report.last_success_at = Some(Timestamp::now());
            rejected.map(|(points, why)| {
                report.rejected_points += points as u64;
                format!("{points} data points were rejected{why}")
            })
        }
        Err(error) => {
            report.failures += 1;
            Some(error.to_string())
        }
    };
    if let Some(error) = &error
        && logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL)
    {
        *logged = Some(Instant::now());
        log::warn!("metrics.otlp: {}: {error}", report.url);
    }
    report.last_error = error;
}
