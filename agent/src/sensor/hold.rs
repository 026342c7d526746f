//! Passing batches on, and living on while nothing takes them.
//!
//! A disk that does not answer, or a reader of standard output that does not read, must not make the sensor look dead: systemd would kill
//! it, and the updater would take its version for a bad one. So while it waits it tells its health and follows signals.
//!
//! Everything else rests. Records stay in the ring, which counts what it can't take. What looks at processes must not run ahead of the
//! records that are still there, and what would write to a disk might hang as the output does.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use async_signal::Signal;
use linnet_fleet::health::State;
use smol::{Timer, future::FutureExt, stream::StreamExt};

use super::{ending::Ending, run::Sensor};

/// An output that has had a batch in hand for so long hangs.
pub const HANGS: Duration = Duration::from_secs(5);

/// What ended a wait for the outputs.
enum Held {
    Taken,
    Signal(Signal),
    Time,
}

impl Sensor {
    /// Passes the batch on, waiting while the outputs are behind.
    pub(super) async fn pass_on(&mut self) {
        if self.parts.pipeline.batch.lines.is_empty() {
            return;
        }
        let Some(writer) = &self.writer else { return };
        let full = std::mem::replace(&mut self.parts.pipeline.batch, writer.fresh());
        let Err(full) = writer.try_send(full) else { return self.taken() };
        let mut sending = pin!(writer.send(full));
        let from = Instant::now();
        // A batch that is given up at the end stays in the account as waiting.
        while self.ending.is_none_or(|ending| Instant::now() < ending.outputs_until()) {
            match self.wait_for(sending.as_mut()).await {
                Held::Taken => {
                    self.relief.gauge.note_full_queue(from.elapsed());
                    return self.taken();
                }
                Held::Signal(Signal::Hup) if self.ending.is_none() => self.reload(),
                Held::Signal(Signal::Hup) => {}
                Held::Signal(_) => drop(self.end()),
                Held::Time => self.live_on(Instant::now()),
            }
        }
    }

    fn taken(&mut self) {
        if let Some(ending) = &mut self.ending {
            ending.taken(Instant::now());
        }
    }

    /// The time that is left; the end begins with the first call.
    pub(super) fn end(&mut self) -> Ending {
        let is_service = std::env::var_os("NOTIFY_SOCKET").is_some();
        *self.ending.get_or_insert_with(|| Ending::new(Instant::now(), is_service))
    }

    async fn wait_for(&mut self, taken: impl Future<Output = ()>) -> Held {
        let until = self.ending.map_or(self.tick_at, |ending| self.tick_at.min(ending.outputs_until()));
        let is_ending = self.ending.is_some();
        let taken = async {
            taken.await;
            Held::Taken
        };
        let signal = async {
            let Some(signals) = &mut self.signals else { return std::future::pending().await };
            match signals.next().await {
                Some(Ok(signal)) => Held::Signal(signal),
                // None ever comes again.
                _ if is_ending => std::future::pending().await,
                _ => Held::Signal(Signal::Term),
            }
        };
        let time = async {
            Timer::at(until).await;
            Held::Time
        };
        taken.or(signal).or(time).await
    }

    fn live_on(&mut self, now: Instant) {
        if now < self.tick_at {
            return;
        }
        self.tick_at = now + self.tick_period();
        self.note_ring();
        self.feed_watchdog();
        // What is being taken down is told of when it is down.
        if self.ending.is_none() {
            let losses = self.losses();
            self.write_health(State::Running, losses);
        }
    }
}
