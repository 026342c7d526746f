//! The fleet's side of the sensor: what its documents change here, and when they have proved themselves.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use linnet_fleet::{
    channel::Enrolment,
    health::{DocumentId, RefusedDocument, Remote},
    host::Host,
    rollout::HostTraits,
    settings_file::SettingsError,
};
use linnet_plugin_store::{Desk, Source};
use linnet_settings::{
    Loaded,
    layers::{Effective, LayerError},
};

use super::{reload::Reloaded, run::Sensor};
use crate::remote::{Follower, Received, poll::Poller};

/// How often it is looked whether a wave of an override has begun.
const WAVES: Duration = Duration::from_secs(30);

/// Why the sensor does not start with the fleet's settings.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The enrolment.
    #[error(transparent)]
    Enrolment(#[from] SettingsError),
    /// The host's own settings.
    #[error(transparent)]
    Settings(#[from] LayerError),
    /// The thread that asks the channel.
    #[error("thread of the channel: {0}")]
    Thread(std::io::Error),
}

/// What the sensor has of the fleet.
#[derive(Debug)]
pub struct FleetSide {
    follower: Follower,
    poller: Poller,
    /// Where plugins come from.
    pub source: Source,
    /// When what is followed came into force.
    followed_at: Instant,
    looked_at: Instant,
}

impl FleetSide {
    /// Takes up what the fleet wants of this host, if it was enrolled: `loaded` has the settings in force afterwards.
    /// To be called with the agent's lock held. What the channel has of plugins is told at the desk.
    ///
    /// # Errors
    /// [`FleetError`]; never because of a document of the fleet's.
    pub fn open(loaded: &mut Loaded, host: &Host, desk: Desk) -> Result<Option<Self>, FleetError> {
        let place = loaded.settings.fleet.clone();
        let Some(enrolment) = Enrolment::read(&place.enrolment)? else { return Ok(None) };
        let mut follower =
            Follower::open(&place.state_dir, traits(host, &enrolment), loaded, Timestamp::now());
        loaded.settings = follower.effective(Timestamp::now())?.settings;
        let interval = Duration::from_secs(u64::from(loaded.settings.fleet.poll_s));
        let metadata = place.state_dir.join("channel");
        let source = Source { channel: enrolment.channel.clone(), metadata: metadata.clone() };
        let poller = Poller::start(enrolment, metadata, interval, desk).map_err(FleetError::Thread)?;
        let now = Instant::now();
        Ok(Some(Self { follower, poller, source, followed_at: now, looked_at: now }))
    }

    /// The next document from the channel.
    pub async fn next(&self) -> Vec<u8> {
        self.poller.next().await
    }

    /// For the health document.
    pub fn health(&self) -> Remote {
        let memory = self.follower.memory();
        let refused = memory.refused.as_ref().map(|refused| RefusedDocument {
            version: refused.version,
            sha256: refused.sha256.clone(),
            why: refused.why.clone(),
            at: refused.at,
        });
        let running = memory.running();
        Remote {
            running: running.map(|one| DocumentId { version: one.version, sha256: one.sha256.clone() }),
            on_trial: self.follower.is_on_trial(),
            refused,
            notes: self.follower.notes.clone(),
            channel: self.poller.health(),
        }
    }
}

/// What overrides can ask of this host.
pub fn traits(host: &Host, enrolment: &Enrolment) -> HostTraits {
    HostTraits { id: host.host_id, hostname: host.hostname.clone(), tags: enrolment.tags.clone() }
}

impl Sensor {
    /// A document came from the channel.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        let Some(fleet) = &mut self.parts.fleet else { return };
        match fleet.follower.receive(bytes, Timestamp::now()) {
            Received::Known => {}
            Received::Refused(why) => {
                log::error!("the fleet's settings are refused, those in force stay: {why}");
            }
            Received::Try(effective) => {
                log::info!("the fleet's settings came, and are tried");
                self.follow(&effective);
            }
        }
    }

    /// Follows other settings; the fleet's are given up when they can't be.
    fn follow(&mut self, effective: &Effective) {
        for note in self.parts.fleet.iter().flat_map(|fleet| &fleet.follower.notes) {
            log::warn!("settings: {note}");
        }
        if let Err(why) = self.apply_and_tell(&effective.settings) {
            let Some(fleet) = &mut self.parts.fleet else { return };
            fleet.follower.give_up(why, Timestamp::now());
            // Those before worked.
            if let Ok(former) = fleet.follower.effective(Timestamp::now()) {
                let _ = self.apply_and_tell(&former.settings);
            }
        }
        if let Some(fleet) = &mut self.parts.fleet {
            fleet.followed_at = Instant::now();
            fleet.poller.set_interval(Duration::from_secs(u64::from(self.settings.fleet.poll_s)));
        }
    }

    /// Now and then: whether a trial has ended well, and whether a wave has begun.
    pub(super) fn tend_fleet(&mut self, now: Instant) {
        let canaries_are_seen =
            self.parts.pipeline.canaries.unseen == 0 && self.parts.pipeline.canaries.seen > 0;
        let trial = Duration::from_secs(u64::from(self.settings.fleet.trial_s));
        let Some(fleet) = &mut self.parts.fleet else { return };
        if fleet.follower.is_on_trial()
            && canaries_are_seen
            && now.saturating_duration_since(fleet.followed_at) >= trial
        {
            fleet.follower.settled();
            log::info!("the fleet's settings have proved themselves");
        }
        if now.saturating_duration_since(fleet.looked_at) < WAVES {
            return;
        }
        fleet.looked_at = now;
        match fleet.follower.effective(Timestamp::now()) {
            Ok(effective) if effective.settings != self.wanted => self.follow(&effective),
            Ok(_) => {}
            Err(error) => log::error!("settings: {error}"),
        }
    }

    /// The settings that follow from the host's own file as it is now, the fleet's included.
    pub(super) fn with_local(&mut self, loaded: &Loaded) -> Result<linnet_settings::Settings, String> {
        match &mut self.parts.fleet {
            None => Ok(loaded.settings.clone()),
            Some(fleet) => {
                fleet.follower.set_local(loaded);
                let effective =
                    fleet.follower.effective(Timestamp::now()).map_err(|error| error.to_string())?;
                Ok(effective.settings)
            }
        }
    }

    /// Applies settings, and tells of it in the log and the health document.
    pub(super) fn apply_and_tell(&mut self, settings: &linnet_settings::Settings) -> Result<(), String> {
        let changed = self.apply(settings)?;
        self.wanted = settings.clone();
        for key in &changed.live {
            log::info!("settings: {key} is followed now");
        }
        for key in &changed.pending_restart {
            log::warn!("settings: {key} waits for a restart of the agent");
        }
        let sha256 = self.reloaded.sha256.take();
        self.reloaded = Reloaded {
            at: Some(Timestamp::now()),
            sha256,
            pending_restart: changed.pending_restart,
            refused: None,
        };
        Ok(())
    }
}
