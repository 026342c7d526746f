//! The thread that asks the channel, `linnet-channel`.
//!
//! It waits for the network so that the sensor's loop need not. What it brings is verified bytes, the newest only: a
//! document that comes while another waits to be judged takes its place. Whatever goes wrong is told in the health
//! document and tried again later, more and more rarely; the sensor and its settings stay as they are.

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use linnet_fleet::{
    channel::{Channel, ChannelError, Enrolment, PollSchedule},
    dice,
    health::ChannelHealth,
    rollout::MAX_DOCUMENT_BYTES,
};
use linnet_keys::release::revoked;
use linnet_plugin_store::{Desk, Heard};
use smol::channel::{Receiver, Sender};

/// The fleet's document in the channel.
const DOCUMENT: &str = "config/fleet.json";

/// The other end of the thread. When it is dropped, the thread ends after the request that it is at.
#[derive(Debug)]
pub struct Poller {
    documents: Receiver<Vec<u8>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    health: ChannelHealth,
    interval: Duration,
    stopping: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Poller {
    /// Starts the thread. Its metadata is in `directory`.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn start(
        enrolment: Enrolment,
        directory: PathBuf,
        interval: Duration,
        desk: Desk,
    ) -> io::Result<Self> {
        let health = ChannelHealth { url: enrolment.channel.shown_url(), ..ChannelHealth::default() };
        let state = Mutex::new(State { health, interval, stopping: false });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        // One place: a newer document makes the one before it useless.
        let (sender, documents) = smol::channel::bounded(1);
        let theirs = Arc::clone(&shared);
        let stale = documents.clone();
        std::thread::Builder::new().name("linnet-channel".to_owned()).stack_size(512 * 1024).spawn(
            move || {
                Asker {
                    enrolment,
                    directory,
                    shared: theirs,
                    sender,
                    stale,
                    channel: None,
                    sent: None,
                    desk,
                    told: None,
                }
                .run();
            },
        )?;
        Ok(Self { documents, shared })
    }

    /// The next document that was not seen before.
    pub async fn next(&self) -> Vec<u8> {
        match self.documents.recv().await {
            Ok(document) => document,
            Err(_) => std::future::pending().await,
        }
    }

    /// How the channel is.
    pub fn health(&self) -> ChannelHealth {
        self.shared.lock().health.clone()
    }

    /// Asks more or less often from now on.
    pub fn set_interval(&self, interval: Duration) {
        let mut state = self.shared.lock();
        if state.interval != interval {
            state.interval = interval;
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_one();
    }
}

struct Asker {
    enrolment: Enrolment,
    directory: PathBuf,
    shared: Arc<Shared>,
    sender: Sender<Vec<u8>>,
    stale: Receiver<Vec<u8>>,
    channel: Option<Channel>,
    /// What the loop has got already.
    sent: Option<Vec<u8>>,
    desk: Desk,
    /// The plugins whose offers were told, since something was published.
    told: Option<BTreeSet<String>>,
}

impl Asker {
    fn run(mut self) {
        let interval = self.shared.lock().interval;
        let mut schedule = PollSchedule::new(interval);
        let mut wait = schedule.first(dice());
        loop {
            if !self.sleep(wait) {
                return;
            }
            schedule.set_interval(self.shared.lock().interval);
            wait = match self.ask() {
                Ok(()) => {
                    let mut state = self.shared.lock();
                    state.health.polls += 1;
                    state.health.last_success_at = Some(Timestamp::now());
                    state.health.failures = 0;
                    state.health.last_error = None;
                    schedule.after_success(dice())
                }
                Err(error) => {
                    // The next try begins with what is on disk.
                    self.channel = None;
                    self.told = None;
                    let wait = schedule.after_failure(error.retry_after(), dice());
                    let mut state = self.shared.lock();
                    if state.health.failures == 0 {
                        log::warn!("channel: {error}; the settings stay as they are");
                    }
                    state.health.failures = schedule.failures();
                    state.health.last_error = Some(error.to_string());
                    wait
                }
            };
        }
    }

    /// Sleeps unless it is to stop; a changed interval ends the sleep early.
    fn sleep(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut state = self.shared.lock();
        let interval = state.interval;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.stopping {
                return false;
            }
            if left.is_zero() || state.interval != interval {
                return true;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn ask(&mut self) -> Result<(), ChannelError> {
        let now = Timestamp::now();
        let channel = match &mut self.channel {
            Some(channel) => channel,
            None => {
                Channel::initialize_once(&self.directory, &self.enrolment.root)?;
                self.channel.insert(Channel::open(&self.directory, self.enrolment.channel.transport()?)?)
            }
        };
        let refresh = channel.poll(now)?;
        for discarded in &refresh.discarded {
            log::warn!("channel: {discarded}");
        }
        if refresh.updated {
            self.told = None;
        }
        if refresh.updated || self.sent.is_none() {
            self.pass_document_on(now)?;
        }
        // Settings must not wait for plugins: a role of theirs that expired is told, and nothing else.
        let error = self.tell_of_plugins(now).err().map(|error| error.to_string());
        let mut state = self.shared.lock();
        if let Some(error) = error.as_ref().filter(|error| state.health.plugins_error.as_ref() != Some(error))
        {
            log::warn!("channel: plugins: {error}; those that are here stay as they are");
        }
        state.health.plugins_error = error;
        Ok(())
    }

    fn pass_document_on(&mut self, now: Timestamp) -> Result<(), ChannelError> {
        let Some(channel) = &mut self.channel else { return Ok(()) };
        let target = match channel.target(DOCUMENT, now) {
            // A channel without settings is none of the sensor's business.
            Err(ChannelError::NoTarget { .. }) => return Ok(()),
            target => target?,
        };
        let bytes = channel.read(&target, MAX_DOCUMENT_BYTES as u64)?;
        if self.sent.as_ref() != Some(&bytes) {
            // The one that was not taken yet is older.
            while self.stale.try_recv().is_ok() {}
            if self.sender.try_send(bytes.clone()).is_ok() {
                self.sent = Some(bytes);
            }
        }
        Ok(())
    }
}

impl Asker {
    /// What the channel offers of the plugins that are wanted from it; nothing is asked where none is.
    fn tell_of_plugins(&mut self, now: Timestamp) -> Result<(), ChannelError> {
        let asked = self.desk.asked();
        let Some(channel) = self.channel.as_mut().filter(|_| self.told.as_ref() != Some(&asked)) else {
            return Ok(());
        };
        let mut heard = Heard::default();
        for name in &asked {
            let offers = channel.plugin_offers(name, std::env::consts::ARCH, now)?;
            heard.offers.insert(name.clone(), offers);
        }
        heard.revoked =
            channel.trusted().targets("targets").map(|targets| revoked(targets)).unwrap_or_default();
        self.desk.hear(heard);
        self.told = Some(asked);
        Ok(())
    }
}
