//! The fleet's settings on this host: received, judged, tried, kept.
//!
//! The bytes come from the signed channel, verified. Here it is decided whether this host follows them
//! ([`state`]), what its settings are then ([`linnet_settings::layers`]), and what survives a restart ([`store`]). The
//! host's own file is one layer of it, and outranks the fleet.

pub mod poll;
pub mod state;
pub mod store;

use std::path::Path;

use jiff::Timestamp;
use linnet_fleet::rollout::{FleetDocument, HostTraits};
use linnet_settings::{
    Loaded, fleet,
    layers::{Effective, LayerError, effective},
};
use serde_json::Value;

use state::{Answer, Document, Memory, Refused};
use store::Store;

/// What follows from a document that was received.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// It is followed already, or was refused before.
    Known,
    /// It is refused, and why; what runs stays.
    Refused(String),
    /// It is on trial from now on, with these settings.
    Try(Box<Effective>),
}

/// Follows the fleet's documents.
#[derive(Debug)]
pub struct Follower {
    store: Option<Store>,
    memory: Memory,
    host: HostTraits,
    local: Option<Value>,
    /// What the fleet asked for and did not get here.
    pub notes: Vec<String>,
}

impl Follower {
    /// Takes up what is remembered in `directory`. What is wrong there is told and never keeps the sensor from starting.
    pub fn open(directory: &Path, host: HostTraits, loaded: &Loaded, now: Timestamp) -> Self {
        let mut follower = Self::new(host, loaded);
        match Store::open(directory) {
            Ok(store) => {
                let (memory, problem) = store.load();
                if let Some(problem) = problem {
                    log::error!("settings of the fleet: {problem}");
                }
                follower.memory = memory;
                follower.store = Some(store);
            }
            Err(error) => log::error!(
                "{}: {error}: settings of the fleet are followed, but not kept over a restart",
                directory.display()
            ),
        }
        follower.memory.started(now);
        follower.save();
        follower
    }

    /// What is remembered in `directory`, to be looked at: nothing there changes.
    pub fn look(directory: &Path, host: HostTraits, loaded: &Loaded) -> Self {
        Self { memory: Store::look(directory), ..Self::new(host, loaded) }
    }

    fn new(host: HostTraits, loaded: &Loaded) -> Self {
        let local = loaded.source.clone();
        Self { store: None, memory: Memory::default(), host, local, notes: Vec::new() }
    }

    /// Another file of the host's own.
    pub fn set_local(&mut self, loaded: &Loaded) {
        self.local.clone_from(&loaded.source);
    }

    /// The settings that follow from the document that runs and the host's own file. A document that no longer goes
    /// with that file is given up for the last good one, and at last for none: the host's own settings always work.
    pub fn effective(&mut self, now: Timestamp) -> Result<Effective, LayerError> {
        while let Some(document) = self.memory.running().cloned() {
            match self.with(&document, now) {
                Ok(effective) => {
                    self.notes.clone_from(&effective.notes);
                    return Ok(effective);
                }
                Err(why) => self.abandon(&document, why, now),
            }
        }
        self.notes.clear();
        effective(&[], self.local.as_ref())
    }

    fn abandon(&mut self, document: &Document, why: String, now: Timestamp) {
        log::error!("the fleet's settings version {} are given up: {why}", document.version);
        if self.memory.trying.is_some() {
            self.memory.give_up(why, now);
        } else {
            let Document { version, sha256, .. } = document.clone();
            self.memory.refused = Some(Refused { version: Some(version), sha256, why, at: now });
            self.memory.good = None;
        }
        self.save();
    }

    fn with(&self, document: &Document, now: Timestamp) -> Result<Effective, String> {
        let parsed = FleetDocument::parse(document.text.as_bytes()).map_err(|error| error.to_string())?;
        // Refused whole: what is wrong for another host is not followed here either.
        fleet::check(&parsed).map_err(|error| error.to_string())?;
        fleet::settings_of(&parsed, &self.host, self.local.as_ref(), now).map_err(|error| error.to_string())
    }

    /// Judges a verified document. When the answer is [`Received::Try`], the trial is on record already.
    pub fn receive(&mut self, bytes: &[u8], now: Timestamp) -> Received {
        let parsed = match FleetDocument::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => return self.refuse_unread(bytes, error.to_string(), now),
        };
        let document = match Document::new(parsed.version, bytes) {
            Ok(document) => document,
            Err(error) => return self.refuse_unread(bytes, error.to_string(), now),
        };
        let outcome = self.with(&document, now);
        let verdict = outcome.as_ref().map(drop).map_err(Clone::clone);
        match (self.memory.received(&document, verdict, now), outcome) {
            (Answer::Try, Ok(effective)) => {
                self.memory.put_on_trial(document);
                self.save();
                self.notes.clone_from(&effective.notes);
                Received::Try(Box::new(effective))
            }
            (Answer::Refuse(refused), _) => self.refuse(refused),
            _ => Received::Known,
        }
    }

    fn refuse_unread(&mut self, bytes: &[u8], why: String, now: Timestamp) -> Received {
        let sha256 = store::digest(bytes);
        if self.memory.refused.as_ref().is_some_and(|refused| refused.sha256 == sha256) {
            return Received::Known;
        }
        self.refuse(Refused { version: None, sha256, why, at: now })
    }

    fn refuse(&mut self, refused: Refused) -> Received {
        let why = refused.why.clone();
        self.memory.refused = Some(refused);
        self.save();
        Received::Refused(why)
    }

    /// The document on trial could not be applied.
    pub fn give_up(&mut self, why: String, now: Timestamp) {
        self.memory.give_up(why, now);
        self.save();
    }

    /// The sensor has lived on for a while: what it follows has proved itself.
    pub fn settled(&mut self) {
        if self.memory.settled() {
            self.save();
        }
    }

    /// Whether a document is on trial.
    pub fn is_on_trial(&self) -> bool {
        self.memory.trying.is_some()
    }

    /// What is remembered.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    fn save(&self) {
        if let Some(store) = &self.store
            && let Err(error) = store.save(&self.memory)
        {
            log::error!("settings of the fleet are followed, but not kept over a restart: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
