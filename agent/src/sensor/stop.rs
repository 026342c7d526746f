//! The end: nothing more is watched, and what was seen is still told.

use std::time::{Duration, Instant};

use linnet_ocsf::class::LifecycleActivity;
use serde_json::json;
use smol::{Timer, future::FutureExt};

use super::{report, run::Sensor};

/// After the programs are detached, how long one that still runs may take.
const LAST_RECORDS: Duration = Duration::from_millis(20);
const LAST_LOOKS: u32 = 50;

impl Sensor {
    /// Lets the plugins end, while everything else goes on.
    async fn stop_plugins(&mut self) {
        let mut ended = std::pin::pin!(self.parts.plugins.stop());
        loop {
            let report = async { Some((&mut ended).await) };
            let time = async {
                Timer::after(LAST_RECORDS).await;
                None
            };
            let report = report.or(time).await;
            self.take();
            self.pass_on().await;
            if report.is_some() {
                self.parts.plugins_at_end = report;
                return;
            }
        }
    }

    /// Detaches, takes what is left, and says goodbye.
    pub(super) async fn stop(mut self) {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        let ending = self.end();
        self.stop_plugins().await;
        self.parts.programs.detach();
        for _ in 0..LAST_LOOKS {
            Timer::after(LAST_RECORDS).await;
            while !self.take().empty {
                self.pass_on().await;
            }
            self.pass_on().await;
            if self.losses().values().all(|one| one.ring_imbalance() == 0) {
                break;
            }
        }
        let files_until = ending.files_until();
        while !self.parts.pipeline.lot().is_empty() && Instant::now() < files_until {
            let next = self.parts.pipeline.lot().next_deadline().unwrap_or_else(Instant::now);
            let deadline = next.min(files_until);
            let file = async { self.parts.files_done.recv().await.ok() };
            let time = async {
                Timer::at(deadline).await;
                None
            };
            if let Some(done) = file.or(time).await {
                self.parts.pipeline.file_done(done);
            }
            self.parts.pipeline.expire(Instant::now());
        }
        self.parts.pipeline.give_up_files();
        self.pass_on().await;
        let losses = self.losses();
        self.look_at_noise(&losses);
        self.report_loss(&losses);
        let details = json!({ "losses": losses });
        self.tell(LifecycleActivity::Stop, "the sensor watches this host no more", &details);
        self.pass_on().await;
        report::finish(self).await;
    }
}
