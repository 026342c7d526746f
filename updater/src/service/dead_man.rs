//! `armed.json`: a switch is under way, and who is to roll it back when.
//!
//! It is written before the switch and removed after the commit or the rollback, so it also tells a recovery whose state
//! is damaged that there was a switch, and where it came from.

use std::io::Read;
use std::time::Duration;

use linnet_fleet::atomic_file::{self, AtomicFileError};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::disk::{DiskError, remove_file, sync_directory};
use crate::layout::Layout;
use crate::machine::{Job, Moment};

const SCHEMA_VERSION: u32 = 1;
const MAX_BYTES: u64 = 64 << 10;
/// How often the process looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(500);

/// A switch that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    schema_version: u32,
    /// The transaction.
    pub job: Job,
    /// When it was armed.
    pub since: Moment,
    /// When the dead-man rolls back, in the same boot.
    pub deadline_up_ms: u64,
}

impl Armed {
    /// Armed now.
    #[must_use]
    pub fn new(job: &Job, since: Moment, after: Duration) -> Self {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let deadline_up_ms = since.up_ms.saturating_add(after_ms);
        Self { schema_version: SCHEMA_VERSION, job: job.clone(), since, deadline_up_ms }
    }

    /// Puts it on the disk.
    ///
    /// # Errors
    /// [`AtomicFileError`].
    pub fn write(&self, layout: &Layout) -> Result<(), AtomicFileError> {
        let json = serde_json::to_vec_pretty(self).unwrap_or_default();
        atomic_file::write(&layout.armed(), &json, 0o644)
    }

    /// What is on the disk; none where there is nothing or nothing of use.
    #[must_use]
    pub fn read(layout: &Layout) -> Option<Self> {
        let mut bytes = Vec::new();
        std::fs::File::open(layout.armed()).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice::<Self>(&bytes).ok().filter(|armed| armed.schema_version == SCHEMA_VERSION)
    }

    /// Takes it from the disk.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn remove(layout: &Layout) -> Result<(), DiskError> {
        if remove_file(&layout.armed())? { sync_directory(&layout.state_dir) } else { Ok(()) }
    }
}

/// The dead-man's own process: leaves its parent's session and waits. Returns whether it is to roll back; otherwise the
/// transaction ended, or another dead-man was armed for it.
#[must_use]
pub fn wait_in_the_background(layout: &Layout, clock: &dyn Clock) -> bool {
    // Refused only to one that leads a session already, which is what is wanted.
    let _ = rustix::process::setsid();
    let Some(mine) = Armed::read(layout) else { return false };
    loop {
        if Armed::read(layout).as_ref() != Some(&mine) {
            return false;
        }
        let now = clock.moment();
        if now.boot_id != mine.since.boot_id || now.up_ms >= mine.deadline_up_ms {
            return true;
        }
        clock.sleep(LOOK.min(Duration::from_millis(mine.deadline_up_ms - now.up_ms)));
    }
}
