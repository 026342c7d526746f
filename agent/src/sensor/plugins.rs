//! The agent's end of the plugins: which of them run from where, their host, the queue of their events, and their books
//! together with the sinks'.

use std::{collections::BTreeMap, future::Future, path::PathBuf, sync::Arc, time::Duration};

use linnet_fleet::health::Plugin;
use linnet_plugin_host::{Chosen, Options, PluginEvent, PluginHost, Wanted, supervisor::Timing};
use linnet_plugin_store::{Desk, Keeper, Pick, Request, Sight, Source, tree::CHANNEL};
use linnet_settings::Hexadecimal;
use serde_json::Value;
use sha2::{Digest, Sha256};
use smol::{
    channel::{Receiver, Sender, TrySendError, bounded},
    future::FutureExt,
};

use crate::sink::{DropReason, Shared};

/// The hidden command that confines itself and becomes a plugin.
pub const COMMAND: &str = "plugin-launch";
/// Events between the host and the sensor. When it is full, plugins wait with their next.
const QUEUE_EVENTS: usize = 256;

/// The plugins, if there are any.
pub struct Plugins {
    host: Option<PluginHost>,
    options: Options,
    sender: Sender<PluginEvent>,
    events: Receiver<PluginEvent>,
    /// Says what runs from where, by [`Plugins::desk`].
    keeper: Option<Keeper>,
    keeper_options: linnet_plugin_store::Options,
    desk: Desk,
    picked: Receiver<()>,
    has_picked: Sender<()>,
    settings: linnet_settings::Plugins,
    /// Enabled plugins of which there is nothing to run yet, and why.
    absent: BTreeMap<String, String>,
}

/// What the sensor hears of its plugins.
pub enum News {
    /// An event.
    Event(PluginEvent),
    /// Other plugins are to run, or from elsewhere: [`Plugins::follow`].
    Picked,
}

impl Plugins {
    /// Starts what the settings enable; without any, there is no thread for them either. `source` is where those come
    /// from that are not installed here, and `desk` is where the channel's answers are handed in.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(
        settings: &linnet_settings::Plugins,
        cgroup: String,
        source: Option<Source>,
        desk: Desk,
    ) -> std::io::Result<Self> {
        let (sender, events) = bounded(QUEUE_EVENTS);
        let (has_picked, picked) = bounded(1);
        let options = Options {
            launcher: PathBuf::from("/proc/self/exe"),
            launcher_arguments: vec![COMMAND.to_owned()],
            cgroup,
            directory: settings.directory.clone(),
            state_directory: settings.state_directory.clone(),
            timing: Timing::default(),
            filter: true,
        };
        let keeper_options = linnet_plugin_store::Options {
            directory: settings.directory.clone(),
            reserve_bytes: settings.disk_reserve_bytes,
            source,
        };
        let mut plugins = Self {
            host: None,
            options,
            sender,
            events,
            keeper: None,
            keeper_options,
            desk,
            picked,
            has_picked,
            settings: linnet_settings::Plugins::default(),
            absent: BTreeMap::new(),
        };
        // What was fetched once and is enabled no more has to go.
        if settings.directory.join(CHANNEL).exists() {
            plugins.keep()?;
        }
        plugins.configure(settings)?;
        Ok(plugins)
    }

    /// Takes new settings over.
    ///
    /// # Errors
    /// When no thread can be had for the first plugin.
    pub fn configure(&mut self, settings: &linnet_settings::Plugins) -> std::io::Result<()> {
        self.settings = settings.clone();
        let enabled = settings.enabled.iter().filter_map(|(name, one)| Some((name, one.as_ref()?)));
        let wanted: BTreeMap<_, _> = enabled
            .map(|(name, one)| {
                let with = serde_json::to_vec(&(&one.settings, &settings.policy)).unwrap_or_default();
                let request = Request {
                    version: one.version,
                    settings_sha256: Hexadecimal(&Sha256::digest(with)).to_string(),
                    from_channel: settings.policy.from_channel,
                };
                (name.clone(), request)
            })
            .collect();
        if self.keeper.is_none() && wanted.is_empty() {
            return Ok(());
        }
        self.keep()?;
        self.desk.want(wanted);
        // Those that run already need not wait for the keeper.
        self.follow()
    }

    fn keep(&mut self) -> std::io::Result<()> {
        if self.keeper.is_none() {
            let tell = self.has_picked.clone();
            // Full only when it is told already.
            let changed = move || {
                let _ = tell.try_send(());
            };
            self.keeper = Some(Keeper::start(self.keeper_options.clone(), self.desk.clone(), changed)?);
        }
        Ok(())
    }

    /// Runs what was picked, with the settings in force.
    ///
    /// # Errors
    /// When no thread can be had for the first plugin.
    pub fn follow(&mut self) -> std::io::Result<()> {
        let picks = self.desk.picks();
        let trial = Duration::from_secs(u64::from(self.settings.trial_s));
        let mut enabled = BTreeMap::new();
        self.absent.clear();
        for (name, one) in &self.settings.enabled {
            let Some(one) = one else { continue };
            match picks.get(name) {
                Some(Pick::Run { place, on_trial }) => {
                    let chosen = Chosen {
                        settings: Value::Object(one.settings.clone()),
                        place: place.clone(),
                        trial: on_trial.then_some(trial),
                    };
                    enabled.insert(name.clone(), chosen);
                }
                Some(Pick::Absent { reason }) => drop(self.absent.insert(name.clone(), reason.clone())),
                None => drop(self.absent.insert(name.clone(), "it is being looked for".to_owned())),
            }
        }
        let wanted = Wanted { enabled, policy: self.settings.policy.clone() };
        match &self.host {
            Some(host) => host.configure(wanted),
            None if wanted.enabled.is_empty() => {}
            None => {
                let sender = self.sender.clone();
                let deliver = move |event| {
                    sender.try_send(event).map_err(|refused| match refused {
                        TrySendError::Full(event) | TrySendError::Closed(event) => event,
                    })
                };
                self.host = Some(PluginHost::start(self.options.clone(), wanted, deliver)?);
            }
        }
        Ok(())
    }

    /// Tells the keeper how the plugins are. To be called now and then.
    pub fn tend(&self) {
        if self.keeper.is_none() {
            return;
        }
        let report = self.host.as_ref().map(PluginHost::report).unwrap_or_default();
        let sight = |plugin: Plugin| Sight {
            name: plugin.name,
            place: plugin.place,
            trial: plugin.trial,
            reason: plugin.reason,
        };
        self.desk.see(report.into_iter().map(sight).collect());
    }

    /// An event that is there already.
    pub fn try_next(&self) -> Option<PluginEvent> {
        self.events.try_recv().ok()
    }

    /// The next news; pending as long as there is none.
    pub async fn next(&self) -> News {
        let event = async {
            match self.events.recv().await {
                Ok(event) => News::Event(event),
                Err(_) => std::future::pending().await,
            }
        };
        let picked = async {
            match self.picked.recv().await {
                Ok(()) => News::Picked,
                Err(_) => std::future::pending().await,
            }
        };
        picked.or(event).await
    }

    /// Stops all plugins; the future ends when none is left. Their last events have to be taken meanwhile.
    pub fn stop(&mut self) -> impl Future<Output = Vec<Plugin>> + use<> {
        let host = self.host.take();
        async move {
            match host {
                Some(host) => smol::unblock(move || host.stop()).await,
                None => Vec::new(),
            }
        }
    }

    /// How they are, with what the sinks made of their events.
    pub fn report(&self, shared: &Arc<Shared>) -> Vec<Plugin> {
        let mut report = self.host.as_ref().map(PluginHost::report).unwrap_or_default();
        for (name, reason) in &self.absent {
            // One that is on its way out is told as that.
            if !report.iter().any(|plugin| plugin.name == *name) {
                let (state, reason) = ("absent".to_owned(), Some(reason.clone()));
                report.push(Plugin { name: name.clone(), state, reason, ..Plugin::default() });
            }
        }
        let mut channel = self.desk.health();
        for plugin in &mut report {
            plugin.channel = channel.remove(&plugin.name);
        }
        with_sinks(report, shared)
    }
}

/// What counted as waiting has been delivered or dropped meanwhile.
pub fn with_sinks(mut report: Vec<Plugin>, shared: &Arc<Shared>) -> Vec<Plugin> {
    for plugin in &mut report {
        let counts = shared.plugin(&plugin.name);
        let losses = &mut plugin.losses;
        losses.delivered = counts.delivered;
        losses.dropped = DropReason::ALL
            .iter()
            .zip(counts.dropped)
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| (reason.as_str().to_owned(), count))
            .collect();
        let settled = counts.delivered + counts.dropped.iter().sum::<u64>();
        // The host's report may be a second older than the sinks' counts.
        losses.received = losses.received.max(losses.received - losses.waiting + settled);
        losses.waiting = losses.waiting.saturating_sub(settled);
    }
    report
}
