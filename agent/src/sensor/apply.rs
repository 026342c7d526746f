//! Other settings for a running sensor.
//!
//! What is read anew at each use follows at once. What was built into something at the start (the ring, the programs'
//! constants, the process table, the sinks) waits for the next start and is named in [`Changed::pending_restart`]:
//! replacing it under way would lose events, which no settings are worth.

use std::time::Duration;

use linnet_fileview::Budget;
use linnet_settings::{
    Settings,
    layers::{changed_keys, is_live},
};

use super::{run::Sensor, start};

/// Above this share of a new memory limit, in percent, the limit waits for a restart: set now, it would kill.
const FULL_PERCENT: u64 = 75;

/// What became of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Keys that are followed now.
    pub live: Vec<String>,
    /// Keys that are followed from the next start on.
    pub pending_restart: Vec<String>,
}

/// Splits the differences between what was started with and what is wanted.
fn split(running: &Settings, started: &Settings, wanted: &Settings) -> Changed {
    let (live, _): (Vec<_>, Vec<_>) = changed_keys(running, wanted).into_iter().partition(|key| is_live(key));
    // Against the start, because a change that is taken back before the restart is no change.
    let pending_restart = changed_keys(started, wanted).into_iter().filter(|key| !is_live(key)).collect();
    Changed { live, pending_restart }
}

impl Sensor {
    /// Follows other settings as far as can be done without a restart.
    ///
    /// # Errors
    /// When the limits are refused as senseless; what was in force stays in force.
    pub fn apply(&mut self, wanted: &Settings) -> Result<Changed, String> {
        let started = self.parts.loaded.settings.clone();
        let mut changed = split(&self.settings, &started, wanted);
        let mut next = wanted.clone();
        let memory = |key: &String| key.starts_with("limits.memory_");
        if changed.live.iter().any(memory) && !self.has_room_in(wanted.limits.memory_max_bytes) {
            next.limits.memory_max_bytes = self.settings.limits.memory_max_bytes;
            next.limits.memory_high_bytes = self.settings.limits.memory_high_bytes;
            let (waits, live) = std::mem::take(&mut changed.live).into_iter().partition(memory);
            changed.live = live;
            changed.pending_restart.extend::<Vec<_>>(waits);
        }
        if changed.live.iter().any(|key| key.starts_with("limits."))
            && let Some(limits) = &mut self.parts.limits
        {
            let enforced = limits.change(&start::wanted(&next.limits)).map_err(|error| error.to_string())?;
            if !enforced {
                log::warn!("the new limits are not all enforced: {}", limits.limits().problems.join("; "));
            }
        }
        if next.ring.cgroup_records_per_s != self.settings.ring.cgroup_records_per_s
            && let Err(error) = self.parts.programs.rates.set(next.ring.cgroup_records_per_s)
        {
            log::error!("ring.cgroup_records_per_s: the kernel refuses it: {error}");
        }
        let pipeline = &mut self.parts.pipeline;
        pipeline.set_events(&next);
        pipeline.set_wait(Duration::from_millis(u64::from(next.hash.wait_ms)));
        let view = pipeline.view();
        view.set_hashing(next.hash.enabled);
        view.set_script_contents(next.script.content);
        if next.hash != self.settings.hash || next.script != self.settings.script {
            view.set_budget(budget(&next));
        }
        log::set_max_level(next.log_level.into());
        // The keys that wait keep what was started with, in the copy that the loop reads.
        next.output = self.settings.output.clone();
        next.sinks = self.settings.sinks.clone();
        next.spool = self.settings.spool.clone();
        next.ring.bytes = self.settings.ring.bytes;
        next.process_table = self.settings.process_table.clone();
        next.argv_max_bytes = self.settings.argv_max_bytes;
        next.runtime_dir = self.settings.runtime_dir.clone();
        next.metrics = self.settings.metrics.clone();
        next.plugins.directory = self.settings.plugins.directory.clone();
        next.plugins.state_directory = self.settings.plugins.state_directory.clone();
        next.plugins.disk_reserve_bytes = self.settings.plugins.disk_reserve_bytes;
        if next.plugins != self.settings.plugins
            && let Err(error) = self.parts.plugins.configure(&next.plugins)
        {
            log::error!("thread of the plugins: {error}");
        }
        self.settings = next;
        Ok(changed)
    }

    /// Whether what cannot be reclaimed leaves room below a new memory limit.
    fn has_room_in(&self, memory_max_bytes: u64) -> bool {
        let Some(limits) = &self.parts.limits else { return true };
        let usage = limits.usage();
        let held = usage.memory_anon_bytes.unwrap_or(0) + usage.memory_kernel_bytes.unwrap_or(0);
        held.saturating_mul(100) <= memory_max_bytes.saturating_mul(FULL_PERCENT)
    }
}

/// How much is hashed and kept under these settings.
pub fn budget(settings: &Settings) -> Budget {
    Budget {
        max_file_bytes: settings.hash.max_file_bytes,
        bytes_per_second: settings.hash.bytes_per_second,
        burst_bytes: settings.hash.bytes_per_second.saturating_mul(4),
        content_bytes: usize::try_from(settings.script.max_content_bytes).unwrap_or(usize::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toggles_are_live_and_what_is_built_in_waits() {
        let (old, mut new) = (Settings::default(), Settings::default());
        new.events.fork = true;
        new.hash.wait_ms = 7;
        new.ring.bytes = 1 << 20;
        new.ring.coalesce_ms = 20;
        new.argv_max_bytes = 100;
        let changed = split(&old, &old, &new);
        assert_eq!(changed.live, ["events.fork", "hash.wait_ms", "ring.coalesce_ms"]);
        assert_eq!(changed.pending_restart, ["argv_max_bytes", "ring.bytes"]);
    }

    #[test]
    fn a_change_that_is_taken_back_before_the_restart_is_none() {
        let started = Settings::default();
        let mut running = started.clone();
        running.events.fork = true;
        let changed = split(&running, &started, &started);
        assert_eq!(changed.live, ["events.fork"]);
        assert!(changed.pending_restart.is_empty());
    }
}
