//! The sinks over the network: their spool, their threads, and what is told of them.
//!
//! Whatever is wrong with them never keeps the sensor from watching: it starts without them, and says so.

use std::{collections::BTreeMap, time::Duration};

use linnet_delivery::{Delivery, StartError};
use linnet_fleet::health;
use linnet_settings::{Settings, sinks::EventKind};
use linnet_spool::{Account, Bounds, Counts, Spool, SpoolError, Status};
use serde_json::{Value, json};

use crate::sink::{Sink, spool::SpoolSink};

/// A segment is the unit of dropping and deleting.
const SEGMENT_BYTES: u64 = 8 << 20;

/// The spool and what delivers from it; empty without sinks over the network.
#[derive(Debug, Default)]
pub struct Outgoing {
    running: Option<Running>,
    refused: Option<String>,
}

#[derive(Debug)]
struct Running {
    spool: Spool,
    delivery: Delivery,
    max_bytes: u64,
    /// Events of each sink that were told of as lost.
    told: BTreeMap<String, u64>,
}

/// Why they don't run.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Events that newly did not reach a sink.
pub struct Missing {
    /// The sink.
    pub sink: String,
    /// How many.
    pub count: u64,
    /// The whole account, by kind.
    pub details: Value,
}

impl Outgoing {
    /// Starts what the settings ask for; where there is something, a sink for the sensor's batches comes along.
    pub fn start(settings: &Settings) -> (Self, Option<Box<dyn Sink>>) {
        if !settings.sinks.values().any(|sink| sink.enabled) {
            return (Self::default(), None);
        }
        match Running::start(settings) {
            Ok(running) => {
                let sink = SpoolSink::new(running.spool.clone());
                (Self { running: Some(running), refused: None }, Some(Box::new(sink)))
            }
            Err(error) => {
                log::error!("sinks over the network are off: {error}");
                (Self { running: None, refused: Some(error.to_string()) }, None)
            }
        }
    }

    /// Why they are off, if they are.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// For the health document.
    pub fn health(&self) -> (Vec<health::NetworkSink>, Option<health::Spool>) {
        let Some(running) = &self.running else { return (Vec::new(), None) };
        let status = running.spool.status();
        let fill = &status.fill;
        let spool = health::Spool {
            bytes: fill.bytes,
            max_bytes: running.max_bytes,
            segments: fill.segments as u64,
            oldest_age_s: fill.oldest_age.map(|age| age.as_secs()),
            cut_bytes: fill.cut_bytes,
        };
        let sinks = running.delivery.reports().map(|(name, url, report)| health::NetworkSink {
            name: name.to_owned(),
            url: url.to_owned(),
            down: report.is_down,
            requests: report.requests,
            failures: report.failures,
            sent_bytes: report.sent_bytes,
            last_success_at: report.last_success,
            last_error: report.last_error,
            events: status
                .readers
                .get(name)
                .map(|(account, waiting)| by_kind(account, waiting))
                .unwrap_or_default(),
        });
        (sinks.collect(), Some(spool))
    }

    /// What is newly lost for a sink, each told once.
    pub fn newly_missing(&mut self) -> Vec<Missing> {
        let Some(running) = &mut self.running else { return Vec::new() };
        let Status { readers, .. } = running.spool.status();
        let mut missing = Vec::new();
        for (sink, (account, waiting)) in readers {
            let lost = account.lost();
            let told = running.told.entry(sink.clone()).or_insert(lost);
            let count = lost.saturating_sub(*told);
            if count > 0 {
                *told = lost;
                let details = json!({ "sink": sink, "events": by_kind(&account, &waiting) });
                missing.push(Missing { sink, count, details });
            }
        }
        missing
    }

    /// Delivers what can be delivered in a few seconds, and closes the spool. The sensor's batches are all in it.
    pub fn finish(&self, patience: Duration) {
        if let Some(running) = &self.running {
            running.delivery.finish(patience);
            // What is told from now on is final.
            let _ = running.spool.status_now();
        }
    }
}

impl Running {
    fn start(settings: &Settings) -> Result<Self, Refused> {
        let enabled = || settings.sinks.iter().filter(|(_, sink)| sink.enabled);
        let bounds = Bounds {
            max_bytes: settings.spool.max_bytes,
            max_age: Duration::from_secs(settings.spool.max_age_s.into()),
            segment_bytes: SEGMENT_BYTES,
        };
        let names: Vec<&str> = enabled().map(|(name, _)| name.as_str()).collect();
        let spool = Spool::open(&settings.spool.directory, bounds, &names)?;
        // Before anything is read: what is lost then is new.
        let told = spool.status_now().readers.into_iter().map(|(name, (account, _))| (name, account.lost()));
        let told = told.collect();
        let delivery = Delivery::start(&spool, enabled(), &settings.spool.directory)?;
        Ok(Self { spool, delivery, max_bytes: bounds.max_bytes, told })
    }
}

fn by_kind(account: &Account, waiting: &Counts) -> BTreeMap<String, health::SinkAccount> {
    let mut kinds = BTreeMap::new();
    for kind in EventKind::ALL {
        let of = |counts: &Counts| counts.0.get(kind as usize).copied().unwrap_or(0);
        let dropped = account.dropped.iter().map(|(reason, counts)| (reason.clone(), of(counts)));
        let one = health::SinkAccount {
            appended: of(&account.settled()) + of(waiting),
            delivered: of(&account.delivered),
            filtered: of(&account.filtered),
            refused: of(&account.refused),
            dropped: dropped.filter(|(_, count)| *count > 0).collect(),
            waiting: of(waiting),
        };
        kinds.insert(kind.as_str().to_owned(), one);
    }
    kinds
}
