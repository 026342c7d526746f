//! The spool as a sink: what the sinks over the network take their events from.
//!
//! A batch counts as taken when no crash of the sensor can lose it any more. What the spool can't take is in the account of
//! each of these sinks, by kind of event. Every few seconds, while there is something, the spool is brought to the disk:
//! that much a power loss may take.

use std::time::{Duration, Instant};

use linnet_spool::Spool;

use super::{Sink, SinkError};
use crate::event::clock;

/// Its name among the sinks.
pub const NAME: &str = "spool";
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// Appends to the spool.
pub struct SpoolSink {
    spool: Spool,
    synced: Instant,
}

impl SpoolSink {
    /// Of a spool that is open.
    pub fn new(spool: Spool) -> Self {
        Self { spool, synced: Instant::now() }
    }
}

impl Sink for SpoolSink {
    fn name(&self) -> &'static str {
        NAME
    }

    fn write(&mut self, lines: &[u8], kinds: &[u8]) -> Result<(), SinkError> {
        self.spool.append(kinds, lines, clock::epoch_ms())?;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.synced = Instant::now();
            if let Err(error) = self.spool.sync() {
                log::warn!("{error}: a power loss would take what was appended");
            }
        }
        Ok(())
    }
}
