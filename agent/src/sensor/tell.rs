//! What the sensor says of itself in the stream: where it is told that something is missing, it is told in order.

use linnet_fleet::health::{LossesByKind, Plugin};
use linnet_ocsf::class::LifecycleActivity;
use serde_json::{Value, json};

use super::{
    ledger::{limited_total, missing_total},
    outgoing::Missing,
    report,
    run::Sensor,
};
use crate::event::{clock, lifecycle};

impl Sensor {
    /// Puts an event of the sensor's own life into the stream.
    pub(super) fn tell(&mut self, activity: LifecycleActivity, message: &str, details: &Value) {
        let mut line = Vec::new();
        let frame = self.parts.pipeline.frame();
        if let Err(error) = lifecycle::write_lifecycle(&mut line, frame, activity, message, details) {
            log::error!("{message}: not told as an event: {error}");
        }
        self.parts.pipeline.batch.lines.append(&mut line);
    }

    /// Puts a loss into the stream: so many events, since the last report.
    fn tell_of_loss(&mut self, count: u64, message: &str, details: &Value) {
        let since = if self.reported.at_ms == 0 { self.started_at_ms } else { self.reported.at_ms };
        let mut line = Vec::new();
        let frame = self.parts.pipeline.frame();
        if let Err(error) = lifecycle::write_loss(&mut line, frame, count, since, message, details) {
            log::error!("{message}: not told as an event: {error}");
        }
        self.parts.pipeline.batch.lines.append(&mut line);
        log::warn!("{message}");
    }

    /// What is newly missing.
    pub(super) fn report_loss(&mut self, losses: &LossesByKind) {
        let plugins = self.plugins();
        let total = missing_total(losses) + plugins.iter().map(|one| one.losses.missing()).sum::<u64>();
        let newly = total.saturating_sub(self.reported.missing);
        self.reported.newly_missing = newly;
        let limited = limited_total(losses);
        self.reported.newly_limited = limited.saturating_sub(self.reported.limited);
        self.reported.limited = limited;
        self.report_undelivered();
        if newly > 0 {
            self.reported.missing = total;
            self.report_missing(newly, losses, &plugins);
        }
        self.reported.at_ms = clock::epoch_ms();
    }

    fn report_missing(&mut self, newly: u64, losses: &LossesByKind, plugins: &[Plugin]) {
        let message = format!("{newly} records are missing from the stream; the counters say at which stage");
        let details = json!({ "losses": losses, "plugins": report::plugin_losses(plugins) });
        self.tell_of_loss(newly, &message, &details);
    }

    /// What is newly lost between the spool and a sink.
    fn report_undelivered(&mut self) {
        for Missing { sink, count, details } in self.parts.outgoing.newly_missing() {
            let message =
                format!("{count} events were lost before they reached the sink {sink}; its account says why");
            self.tell_of_loss(count, &message, &details);
        }
    }

    pub(super) fn report_health(&mut self, losses: &LossesByKind) {
        let details = report::health_details(self, losses);
        self.tell(LifecycleActivity::HealthReport, "health of the sensor", &details);
    }
}
