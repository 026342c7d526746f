//! Where the keeper is spoken to: by the sensor's loop, by the thread that asks the channel, by a download. Nobody waits
//! here for a disk or a network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use linnet_fleet::channel::PluginOffer;
use linnet_fleet::health::{PluginChannel, Trial};
use linnet_keys::Sha256Digest;
use linnet_keys::release::Version;

use crate::choice::Build;
use crate::fetch::Fetched;

/// A plugin that the settings enable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The version that they name.
    pub version: Option<Version>,
    /// Digest of all that it would run with; what failed with one may work with another.
    pub settings_sha256: String,
    /// Whether it may come from the channel.
    pub from_channel: bool,
}

/// What the channel said.
#[derive(Debug, Default)]
pub struct Heard {
    /// Versions by plugin, the newest first.
    pub offers: BTreeMap<String, Vec<PluginOffer>>,
    /// Packages that it has revoked.
    pub revoked: BTreeSet<Sha256Digest>,
}

/// How one plugin that runs is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Its name.
    pub name: String,
    /// Where it runs from.
    pub place: PathBuf,
    /// How its trial stands.
    pub trial: Option<Trial>,
    /// Why it does not run.
    pub reason: Option<String>,
}

/// What is to run of one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// What lies there below the directory of plugins.
    Run {
        /// The place.
        place: PathBuf,
        /// Whether it is on trial.
        on_trial: bool,
    },
    /// Nothing is there yet, and why.
    Absent {
        /// Why.
        reason: String,
    },
}

#[derive(Debug)]
pub(crate) enum Order {
    Want(BTreeMap<String, Request>),
    Hear(Heard),
    See(Vec<Sight>),
    Fetched { name: String, build: Build, outcome: Fetched },
    Stop,
}

#[derive(Debug, Default)]
struct State {
    orders: Vec<Order>,
    /// Plugins that the channel is asked for.
    asked: BTreeSet<String>,
    picks: BTreeMap<String, Pick>,
    health: BTreeMap<String, PluginChannel>,
}

/// The desk. Clones are the same desk.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    inner: Arc<(Mutex<State>, Condvar)>,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn order(&self, order: Order) {
        let mut state = self.lock();
        // Of each kind the last one says all; the orders never pile up.
        let same = std::mem::discriminant(&order);
        if !matches!(order, Order::Fetched { .. }) {
            state.orders.retain(|one| std::mem::discriminant(one) != same);
        }
        state.orders.push(order);
        self.inner.1.notify_one();
    }

    /// What the settings enable.
    pub fn want(&self, wanted: BTreeMap<String, Request>) {
        self.order(Order::Want(wanted));
    }

    /// What the channel said.
    pub fn hear(&self, heard: Heard) {
        self.order(Order::Hear(heard));
    }

    /// How all plugins are that have a process or will get one.
    pub fn see(&self, sights: Vec<Sight>) {
        self.order(Order::See(sights));
    }

    /// The plugins that the channel is to be asked for.
    #[must_use]
    pub fn asked(&self) -> BTreeSet<String> {
        self.lock().asked.clone()
    }

    /// What is to run, by plugin.
    #[must_use]
    pub fn picks(&self) -> BTreeMap<String, Pick> {
        self.lock().picks.clone()
    }

    /// What the channel has to do with each plugin that is not installed here.
    #[must_use]
    pub fn health(&self) -> BTreeMap<String, PluginChannel> {
        self.lock().health.clone()
    }

    /// Waits for orders, at the longest until then.
    pub(crate) fn orders(&self, until: Option<Instant>) -> Vec<Order> {
        let mut state = self.lock();
        loop {
            if !state.orders.is_empty() {
                return std::mem::take(&mut state.orders);
            }
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return Vec::new(),
                Some(left) => {
                    self.inner.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.inner.1.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    pub(crate) fn publish(
        &self,
        asked: BTreeSet<String>,
        picks: BTreeMap<String, Pick>,
        health: BTreeMap<String, PluginChannel>,
    ) -> bool {
        let mut state = self.lock();
        let is_news = state.picks != picks;
        state.asked = asked;
        state.picks = picks;
        state.health = health;
        is_news
    }
}
