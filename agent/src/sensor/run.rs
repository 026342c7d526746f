//! The sensor's loop: one thread that takes records, answers of the file view, time and signals as they come.
//!
//! It never polls: it sleeps until the kernel side rings, a file is read, the next report is due, or it is told to stop. Where an output
//! can't keep up it waits for it, and the ring takes the pressure.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use async_signal::{Signal, Signals};
use linnet_fileview::Done;
use linnet_fleet::{
    health::{LossesByKind, Plugin, State},
    host::Host,
    lock::Lock,
};
use linnet_limits::Applied;
use linnet_ocsf::class::LifecycleActivity;
use linnet_settings::{Loaded, Settings};
use smol::{Timer, channel::Receiver, future::FutureExt, stream::StreamExt};

use super::{
    ending::Ending,
    fleet::FleetSide,
    noisy::Noisy,
    outgoing::Outgoing,
    pipeline::Pipeline,
    plugins::{News, Plugins, with_sinks},
    relief::Relief,
    reload::Reloaded,
    report::{self, Reported},
};
use crate::{
    event::clock,
    kernel::{
        load::Programs,
        ring::{Drained, Enough, Ring},
    },
    metrics::Metrics,
    process::seed,
    sink::{Shared, Writer},
};

/// A batch is passed on when it holds this many bytes.
const BATCH_BYTES: usize = 128 * 1024;
/// How often requests that are held up are looked after, while there are some.
const TEND: Duration = Duration::from_secs(1);
/// The tick's period until the first canary was seen.
const FIRST_TICKS: Duration = Duration::from_millis(250);
/// Living processes that are checked against `/proc` at each tick.
const SWEEP: usize = 256;

/// What [`super::start`] has put together.
pub struct Started {
    /// Settings and their origin.
    pub loaded: Loaded,
    /// Host facts.
    pub host: Host,
    /// Held to the end.
    pub _lock: Lock,
    /// The cgroup.
    pub limits: Option<Applied>,
    /// The kernel side.
    pub programs: Programs,
    /// Its ring.
    pub ring: Ring,
    /// From records to lines.
    pub pipeline: Pipeline,
    /// Answers of the file view.
    pub files_done: Receiver<Done>,
    /// The plugins.
    pub plugins: Plugins,
    /// How they were when they had ended.
    pub plugins_at_end: Option<Vec<Plugin>>,
    /// What tells metrics.
    pub metrics: Metrics,
    /// The sinks over the network.
    pub outgoing: Outgoing,
    /// Hierarchy that names containers.
    pub v1_controller: Option<&'static str>,
    /// What it has of the fleet; none on a host that follows no channel.
    pub fleet: Option<FleetSide>,
}

/// The running sensor.
pub struct Sensor {
    pub(super) parts: Started,
    /// The settings in force; `parts.loaded` has those that it was started with.
    pub(super) settings: Settings,
    /// The settings that were asked for last; some of it may wait for a restart.
    pub(super) wanted: Settings,
    pub(super) reloaded: Reloaded,
    pub(super) started_at_ms: i64,
    pub(super) reported: Reported,
    /// To the sinks; none once the output is finished.
    pub(super) writer: Option<Writer>,
    pub(super) shared: Arc<Shared>,
    pub(super) relief: Relief,
    pub(super) noisy: Noisy,
    pub(super) ring_peak_bytes: u64,
    /// Whether all that was in the ring was taken since the processes were last looked at.
    ring_was_emptied: bool,
    pub(super) signals: Option<Signals>,
    pub(super) tick_at: Instant,
    /// Once the sensor is to end: the time that is left.
    pub(super) ending: Option<Ending>,
    canary_at: Instant,
    report_at: Instant,
}

/// What ended a wait.
enum Woken {
    Ring,
    Plugin(News),
    File(Done),
    Time,
    Fleet(Vec<u8>),
    Signal(Option<Signal>),
}

impl Sensor {
    /// Wraps the parts.
    pub fn new(parts: Started, writer: Writer) -> Self {
        let now = Instant::now();
        let report = Duration::from_secs(u64::from(parts.loaded.settings.health.report_interval_s));
        Self {
            settings: parts.loaded.settings.clone(),
            wanted: parts.loaded.settings.clone(),
            reloaded: Reloaded::default(),
            parts,
            started_at_ms: clock::epoch_ms(),
            reported: Reported::default(),
            shared: Arc::clone(writer.shared()),
            writer: Some(writer),
            relief: Relief::new(now),
            noisy: Noisy::default(),
            ring_peak_bytes: 0,
            ring_was_emptied: false,
            signals: None,
            tick_at: now,
            ending: None,
            canary_at: now,
            report_at: now + report,
        }
    }

    /// Runs until SIGTERM or SIGINT (SIGHUP reads the settings again), or until no sink is left that anybody reads.
    ///
    /// # Errors
    /// When signals or the ring can't be watched, or the health document's directory is gone at the start.
    pub async fn run(mut self) -> io::Result<()> {
        self.signals = Some(Signals::new([Signal::Term, Signal::Int, Signal::Hup])?);
        self.announce().await;
        let seen = seed::scan(self.parts.v1_controller);
        log::info!("watching; {} processes were there before", seen.len());
        self.parts.pipeline.seed(seen);
        loop {
            let drained = self.take();
            self.pass_on().await;
            if self.ending.is_some() {
                break;
            }
            let now = Instant::now();
            self.look_at_pressure(now);
            if now >= self.tick_at {
                // The first canary is worth a second look soon: until it is seen, nothing says that the sensor sees.
                let settled = self.parts.pipeline.canaries.seen > 0;
                let period = self.tick_period();
                self.tick_at = now + if settled { period } else { period.min(FIRST_TICKS) };
                self.tick(now).await;
                if self.ending.is_some() {
                    break;
                }
            }
            if self.all_sinks_closed() {
                log::error!("nobody reads the output any more; stopping");
                break;
            }
            let woken = if drained.empty {
                self.wait(drained).await?
            } else {
                Woken::Signal(self.signal_that_came().await)
            };
            match woken {
                Woken::Signal(Some(Signal::Hup)) => self.reload(),
                Woken::Signal(Some(_)) => break,
                Woken::File(done) => self.parts.pipeline.file_done(done),
                Woken::Plugin(News::Event(event)) => self.parts.pipeline.plugin_event(&event),
                Woken::Plugin(News::Picked) => {
                    if let Err(error) = self.parts.plugins.follow() {
                        log::error!("thread of the plugins: {error}");
                    }
                }
                Woken::Fleet(document) => self.received(&document),
                Woken::Signal(None) | Woken::Ring | Woken::Time => {}
            }
        }
        self.stop().await;
        Ok(())
    }

    /// Takes what is there, up to a batch.
    pub(super) fn take(&mut self) -> Drained {
        self.note_ring();
        let Started { ring, pipeline, files_done, programs, plugins, .. } = &mut self.parts;
        pipeline.tick();
        // Before the records: a flood of them must not keep plugins waiting for ever.
        while pipeline.batch.lines.len() < BATCH_BYTES / 2
            && let Some(event) = plugins.try_next()
        {
            pipeline.plugin_event(&event);
        }
        while let Ok(done) = files_done.try_recv() {
            pipeline.file_done(done);
        }
        let drained = ring.drain(|record| {
            pipeline.record(record);
            if pipeline.batch.lines.len() >= BATCH_BYTES { Enough::Yes } else { Enough::No }
        });
        self.ring_was_emptied |= drained.empty;
        pipeline.expire(Instant::now());
        for key in pipeline.newly_known.drain(..) {
            programs.mark_known(&key);
        }
        drained
    }

    /// How full the ring is, for the health document and for who decides under pressure.
    pub(super) fn note_ring(&mut self) {
        let ring = &self.parts.ring;
        let fill_bytes = ring.fill_bytes();
        self.ring_peak_bytes = self.ring_peak_bytes.max(fill_bytes);
        self.relief.gauge.note_ring(fill_bytes, ring.bytes());
    }

    async fn wait(&mut self, drained: Drained) -> io::Result<Woken> {
        let coalesce = self.settings.coalesce();
        let lot = self.parts.pipeline.lot();
        let tend_at = lot.next_deadline().map(|deadline| deadline.min(Instant::now() + TEND));
        let until = tend_at.map_or(self.tick_at, |tend_at| tend_at.min(self.tick_at));
        let Started { ring, files_done, pipeline, plugins, fleet, .. } = &mut self.parts;
        let plugin = async { Ok(Woken::Plugin(plugins.next().await)) };
        let signal = async {
            let Some(signals) = &mut self.signals else { return std::future::pending().await };
            let came = signals.next().await.transpose()?;
            // A stream of signals that ends can't tell of the stop: better to stop now than never.
            Ok(Woken::Signal(Some(came.unwrap_or(Signal::Term))))
        };
        let ring = async { ring.wait(drained.found, coalesce).await.map(|()| Woken::Ring) };
        let file = async {
            match files_done.recv().await {
                Ok(done) => Ok(Woken::File(done)),
                Err(_) => std::future::pending().await,
            }
        };
        let time = async {
            Timer::at(until).await;
            Ok(Woken::Time)
        };
        let document = async {
            match fleet {
                Some(fleet) => Ok(Woken::Fleet(fleet.next().await)),
                None => std::future::pending().await,
            }
        };
        let time = time.or(document);
        let woken = signal.or(ring).or(file).or(plugin).or(time).await;
        if tend_at.is_some() {
            pipeline.view().tend();
        }
        woken
    }

    async fn signal_that_came(&mut self) -> Option<Signal> {
        let signals = self.signals.as_mut()?;
        match smol::future::poll_once(signals.next()).await? {
            Some(Ok(signal)) => Some(signal),
            _ => Some(Signal::Term),
        }
    }

    pub(super) fn tick_period(&self) -> Duration {
        let health = Duration::from_secs(u64::from(self.settings.health.interval_s));
        match sd_notify::watchdog_enabled() {
            Some(watchdog) => health.min(watchdog / 3),
            None => health,
        }
    }

    fn all_sinks_closed(&self) -> bool {
        let sinks = self.shared.sinks();
        !sinks.is_empty()
            && sinks.iter().all(|sink| {
                sink.last_error.as_ref().is_some_and(|error| error.contains("closed by its reader"))
            })
    }

    /// The first line of a run, and readiness.
    async fn announce(&mut self) {
        let details = report::start_details(self);
        self.tell(LifecycleActivity::Start, "the sensor watches this host from now on", &details);
        self.pass_on().await;
        if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
            log::debug!("sd_notify: {error}");
        }
    }

    /// Everything that is done now and then.
    async fn tick(&mut self, now: Instant) {
        let settings = &self.settings.health;
        let (canary, report) = (settings.canary_interval_s, settings.report_interval_s);
        self.parts.pipeline.canaries.reap();
        if let Some(limits) = &mut self.parts.limits
            && !limits.reread()
            && limits.limits().problems.is_empty()
            && !limits.reapply()
        {
            log::warn!("the limits were taken away by another, and could not be set again");
        }
        if now >= self.canary_at {
            self.canary_at = now + Duration::from_secs(u64::from(canary));
            if let Err(error) = self.parts.pipeline.canaries.send() {
                log::warn!("canary: {error}");
            }
        }
        let table = self.parts.pipeline.table();
        // Who is gone at the second look has no end in the ring only if all of it was taken between the two: two ticks may follow each
        // other when an output had hung.
        if std::mem::take(&mut self.ring_was_emptied) {
            table.sweep(SWEEP, seed::is_alive);
        }
        table.drop_ended_before(clock::boot_ns().saturating_sub(2_000_000_000));
        table.give_back();
        self.tend_fleet(now);
        self.parts.plugins.tend();
        let losses = self.losses();
        self.look_at_pressure(now);
        self.look_at_noise(&losses);
        self.report_loss(&losses);
        if now >= self.report_at {
            self.report_at = now + Duration::from_secs(u64::from(report));
            self.report_health(&losses);
        }
        self.feed_watchdog();
        self.pass_on().await;
        if self.ending.is_none() {
            // Not the same: it may have taken long.
            let losses = self.losses();
            self.write_health(State::Running, losses);
        }
    }

    pub(super) fn feed_watchdog(&self) {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
    }

    pub(super) fn losses(&self) -> LossesByKind {
        let kernel = self.parts.programs.counts().unwrap_or_else(|error| {
            log::error!("counters of the kernel side: {error}");
            Default::default()
        });
        self.parts.pipeline.ledger.losses(&kernel, &self.shared)
    }

    pub(super) fn write_health(&mut self, state: State, losses: LossesByKind) {
        let health = report::health(self, state, losses);
        let path = self.parts.loaded.settings.health_path();
        if let Err(error) = health.write(&path) {
            log::error!("{error}");
        }
        self.parts.metrics.show(health);
    }

    /// How the plugins are, or were at their end.
    pub(super) fn plugins(&self) -> Vec<Plugin> {
        match &self.parts.plugins_at_end {
            Some(report) => with_sinks(report.clone(), &self.shared),
            None => self.parts.plugins.report(&self.shared),
        }
    }
}
