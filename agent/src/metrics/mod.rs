//! Metrics: the numbers of the health document, for Prometheus as text over HTTP on a unix socket or a loopback port, and for
//! OpenTelemetry as requests to a collector.
//!
//! [`catalog`] says what there is; [`exposition`] and [`otlp`] how it is written; [`request`] what is answered to whom, [`server`] does
//! it; [`push`] sends. Nothing is counted here: a number that is not in the health document is no metric.

pub mod catalog;
pub mod exposition;
pub mod network;
pub mod otlp;
pub mod push;
pub mod request;
pub mod sample;
pub mod server;

use std::sync::Arc;

use linnet_fleet::{
    health::{Health, PushedMetrics},
    host::Host,
};
use linnet_settings::Metrics as Settings;

use push::Pusher;
use server::{Server, ServerError};

/// All ways on which metrics are told.
pub struct Metrics {
    server: Result<Option<Server>, ServerError>,
    pusher: Option<Pusher>,
}

impl Metrics {
    /// Starts what the settings ask for. What watches the sensor must not keep it from watching: what can't be had is told in the
    /// health document.
    pub fn start(settings: &Settings, host: &Host) -> Self {
        let server = settings.listen.as_ref().map(Server::start).transpose();
        if let Err(error) = &server {
            log::error!("{error}");
        }
        let pusher = settings.otlp.as_ref().map(|otlp| Pusher::start(otlp.clone(), otlp::Resource::of(host)));
        Self { server, pusher }
    }

    /// Shows this from now on.
    pub fn show(&self, health: Health) {
        let health = Arc::new(health);
        if let Ok(Some(server)) = &self.server {
            server.show(Arc::clone(&health));
        }
        if let Some(pusher) = &self.pusher {
            pusher.show(health);
        }
    }

    /// Where they can be asked for.
    pub fn address(&self) -> Option<&str> {
        self.server.as_ref().ok()?.as_ref().map(Server::address)
    }

    /// Why they can't be asked for.
    pub fn refused(&self) -> Option<&ServerError> {
        self.server.as_ref().err()
    }

    /// How sending them goes.
    pub fn pushed(&self) -> Option<PushedMetrics> {
        self.pusher.as_ref().map(Pusher::report)
    }

    /// Sends the last ones.
    pub fn finish(&mut self) {
        if let Some(pusher) = self.pusher.take() {
            pusher.finish();
        }
    }
}
