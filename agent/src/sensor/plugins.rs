//! The agent's end of the plugins: their host, the queue of their events, and their books together with the sinks'.

use std::{future::Future, path::PathBuf, sync::Arc};

use linnet_fleet::health::Plugin;
use linnet_plugin_host::{Options, PluginEvent, PluginHost, Wanted, supervisor::Timing};
use serde_json::Value;
use smol::channel::{Receiver, Sender, TrySendError, bounded};

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
}

impl Plugins {
    /// Starts what the settings enable; without any, there is no thread for them either.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(settings: &linnet_settings::Plugins, cgroup: String) -> std::io::Result<Self> {
        let (sender, events) = bounded(QUEUE_EVENTS);
        let options = Options {
            launcher: PathBuf::from("/proc/self/exe"),
            launcher_arguments: vec![COMMAND.to_owned()],
            cgroup,
            directory: settings.directory.clone(),
            state_directory: settings.state_directory.clone(),
            timing: Timing::default(),
            filter: true,
        };
        let mut plugins = Self { host: None, options, sender, events };
        plugins.configure(settings)?;
        Ok(plugins)
    }

    /// Takes new settings over.
    ///
    /// # Errors
    /// When no thread can be had for the first plugin.
    pub fn configure(&mut self, settings: &linnet_settings::Plugins) -> std::io::Result<()> {
        let enabled = settings.enabled.iter();
        let wanted = Wanted {
            enabled: enabled.map(|(name, one)| (name.clone(), Value::Object(one.settings.clone()))).collect(),
            policy: settings.policy.clone(),
        };
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

    /// An event that is there already.
    pub fn try_next(&self) -> Option<PluginEvent> {
        self.events.try_recv().ok()
    }

    /// The next event; pending as long as there is none.
    pub async fn next(&self) -> PluginEvent {
        match self.events.recv().await {
            Ok(event) => event,
            Err(_) => std::future::pending().await,
        }
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
        let report = self.host.as_ref().map(PluginHost::report).unwrap_or_default();
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
