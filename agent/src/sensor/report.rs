//! What the sensor says about itself: the health document, and the details of its own events.

use std::time::Instant;

use jiff::Timestamp;
use linnet_fileview::{Missing, Road};
use linnet_fleet::health::{
    Canary, Health, Hook, LossesByKind, Plugin, ProcessTable, RateLimits, RefusedHook, Ring, SCHEMA_VERSION,
    Settings, State,
};
use serde_json::{Value, json};

use super::{ending::IDLE, fleet::FleetSide, hold::HANGS, run::Sensor};
use crate::{event::Clock, sink::spool};

/// What has been reported so far.
#[derive(Default)]
pub struct Reported {
    /// Missing records, over the whole run.
    pub missing: u64,
    /// Of these, since the report before.
    pub newly_missing: u64,
    /// Left out because their cgroup had made too many, over the whole run.
    pub limited: u64,
    /// Of these, since the report before.
    pub newly_limited: u64,
    /// When the last report was made, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// Details of the start event: what this kernel and this machine granted.
pub fn start_details(sensor: &Sensor) -> Value {
    let hooks = hooks(sensor);
    let limits = sensor.parts.limits.as_ref().map(linnet_limits::Applied::limits);
    json!({ "hooks": hooks, "limits": limits, "settings_sha256": sensor.parts.loaded.sha256 })
}

/// Details of a health report.
pub fn health_details(sensor: &Sensor, losses: &LossesByKind) -> Value {
    json!({
        "losses": losses,
        "usage": sensor.parts.limits.as_ref().map(linnet_limits::Applied::usage),
        "degraded": degraded(sensor),
        "shedding": sensor.relief.health(sensor.parts.pipeline.shed_counts()),
        "rate_limits": rate_limits(sensor),
        "plugins": plugin_losses(&sensor.plugins()),
        "network_sinks": sensor.parts.outgoing.health().0,
    })
}

/// Where the events of each plugin went, by its name.
pub fn plugin_losses(plugins: &[Plugin]) -> Value {
    plugins
        .iter()
        .map(|one| (one.name.clone(), json!({ "state": one.state, "losses": one.losses })))
        .collect()
}

/// The health document.
pub fn health(sensor: &mut Sensor, state: State, losses: LossesByKind) -> Health {
    let degraded = degraded(sensor);
    let table = sensor.parts.pipeline.table().counts();
    let canaries = &sensor.parts.pipeline.canaries;
    let shared = &sensor.shared;
    let (network_sinks, spool) = sensor.parts.outgoing.health();
    let (loaded, reloaded) = (&sensor.parts.loaded, &sensor.reloaded);
    Health {
        schema_version: SCHEMA_VERSION,
        version: crate::command::VERSION.to_owned(),
        pid: std::process::id(),
        boot_id: sensor.parts.host.boot_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        started_at: timestamp(sensor.started_at_ms),
        updated_at: Timestamp::now(),
        state: if state == State::Running && !degraded.is_empty() { State::Degraded } else { state },
        degraded,
        kernel_release: sensor.parts.host.kernel_release.clone(),
        hooks: hooks(sensor),
        limits: sensor.parts.limits.as_ref().map(|limits| limits.limits().clone()).unwrap_or_default(),
        usage: sensor.parts.limits.as_ref().map(linnet_limits::Applied::usage).unwrap_or_default(),
        losses,
        files: files(sensor),
        shedding: sensor.relief.health(sensor.parts.pipeline.shed_counts()),
        rate_limits: rate_limits(sensor),
        ring: Ring {
            bytes: sensor.parts.ring.bytes(),
            used_bytes: sensor.parts.ring.fill_bytes(),
            peak_bytes: std::mem::take(&mut sensor.ring_peak_bytes),
        },
        families: sensor.parts.pipeline.families(),
        talkers: sensor.parts.pipeline.talkers.take(Instant::now()),
        metrics: sensor.parts.metrics.address().map(str::to_owned),
        pushed_metrics: sensor.parts.metrics.pushed(),
        process_table: ProcessTable {
            entries: table.entries as u64,
            bytes: table.bytes as u64,
            evicted: table.evicted,
            swept: table.swept,
        },
        sinks: shared.sinks(),
        network_sinks,
        spool,
        last_event_at: Some(shared.last_delivery_ms()).filter(|ms| *ms > 0).map(timestamp),
        canary: Canary {
            sent: canaries.sent,
            seen: canaries.seen,
            last_seen_at: canaries.last_seen_ms.map(timestamp),
        },
        settings: Settings {
            path: loaded.path.as_ref().map(|path| path.display().to_string()),
            sha256: reloaded.sha256.clone().or_else(|| loaded.sha256.clone()),
            loaded_at: reloaded.at.or(Some(timestamp(sensor.started_at_ms))),
            pending_restart: reloaded.pending_restart.clone(),
            refused: reloaded.refused.clone(),
        },
        remote: sensor.parts.fleet.as_ref().map(FleetSide::health),
        plugins: sensor.plugins(),
        ..Health::default()
    }
}

fn rate_limits(sensor: &Sensor) -> RateLimits {
    let per_s = sensor.settings.ring.cgroup_records_per_s;
    sensor.noisy.health(per_s, sensor.parts.pipeline.cgroups(), Clock::now())
}

/// Ends the output, leaves the last health document, and gives the cgroup back.
pub async fn finish(mut sensor: Sensor) {
    let ending = sensor.end();
    let hangs = match sensor.writer.take() {
        // Only now are the sinks' counts final.
        Some(writer) => writer.finish(IDLE, ending.last()).await.err(),
        None => None,
    };
    if let Some(sink) = &hangs {
        log::error!("{sink} hangs: what stands as waiting in the account may be lost with this process");
    }
    // A spool that hangs would hold this up for ever; its places are stored every second.
    if hangs.is_none_or(|sink| sink != spool::NAME) {
        sensor.parts.outgoing.finish(ending.for_backends(Instant::now()));
    }
    let losses = sensor.losses();
    sensor.write_health(State::Stopping, losses.clone());
    sensor.parts.metrics.finish();
    for (kind, one) in &losses {
        log::info!(
            "{kind}: attempted {} = received {} + lost {}; delivered {}, filtered {}, dropped {}",
            one.attempted,
            one.received,
            one.lost_ring,
            one.delivered,
            one.filtered.values().sum::<u64>(),
            one.dropped.values().sum::<u64>(),
        );
    }
    if let Some(limits) = sensor.parts.limits.take()
        && let Err(error) = limits.release()
    {
        log::debug!("cgroup: {error}");
    }
}

/// A moment as the document has it.
pub(super) fn timestamp(epoch_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(epoch_ms).unwrap_or_default()
}

fn hooks(sensor: &Sensor) -> Vec<Hook> {
    sensor
        .parts
        .programs
        .hooks
        .iter()
        .map(|hook| {
            let name = format!("raw_tracepoint:{}", hook.tracepoint);
            match &hook.refused {
                None => Hook {
                    event: hook.event.to_owned(),
                    chosen: name,
                    why: "granted by every kernel since 4.17, and sees what the new image holds".to_owned(),
                    refused: Vec::new(),
                },
                Some(error) => Hook {
                    event: hook.event.to_owned(),
                    chosen: "none".to_owned(),
                    why: "the kernel refused the only hook".to_owned(),
                    refused: vec![RefusedHook { hook: name, error: error.clone() }],
                },
            }
        })
        .collect()
}

/// Why the sensor sees or delivers less than it should, each with what to do.
fn degraded(sensor: &Sensor) -> Vec<String> {
    let mut reasons = Vec::new();
    for hook in &sensor.parts.programs.hooks {
        if let Some(error) = &hook.refused {
            reasons.push(format!("{} events are not seen: {error}", hook.event));
        }
    }
    match &sensor.parts.limits {
        None => reasons.push("limits are switched off by limits.enabled".to_owned()),
        Some(limits) if !limits.limits().enforced => {
            reasons.push(format!("limits are not enforced: {}", limits.limits().problems.join("; ")));
        }
        Some(_) => {}
    }
    // The last one may still be on its way.
    if sensor.parts.pipeline.canaries.unseen > 1 {
        reasons.push(
            "the sensor's own test processes are not seen: events are missing, restart the agent".to_owned(),
        );
    }
    reasons.extend(sensor.relief.degraded());
    reasons.extend(sensor.noisy.degraded(sensor.parts.pipeline.cgroups()));
    let lost = sensor.reported.newly_missing.saturating_sub(sensor.reported.newly_limited);
    if lost > 0 {
        reasons.push(format!(
            "{lost} records were lost since the last report: raise limits.cpu_permille or ring.bytes if this goes on"
        ));
    }
    let strangers = sensor.parts.pipeline.ledger.strangers();
    if strangers > 0 {
        reasons.push(format!("{strangers} records of an unknown kind came out of the ring: another release's programs may be attached"));
    }
    for plugin in sensor.plugins() {
        if matches!(plugin.state.as_str(), "disabled" | "refused") {
            let reason = plugin.reason.unwrap_or_default();
            reasons.push(format!("plugin {} is {}: {reason}", plugin.name, plugin.state));
        }
    }
    for sink in sensor.shared.sinks() {
        if let Some(error) = sink.last_error {
            reasons.push(format!("{}: {error} ({} events dropped so far)", sink.name, sink.dropped));
        }
    }
    if let Some((sink, time)) = sensor.shared.in_hand()
        && time >= HANGS
    {
        let (s, queue) = (time.as_secs(), "events wait in the ring, which loses what it has no room for");
        reasons.push(format!(
            "{sink} has taken nothing for {s} s: does its disk answer, does its reader read? {queue}"
        ));
    }
    if let Some(error) = sensor.parts.metrics.refused() {
        reasons.push(format!("metrics are not told: {error}"));
    }
    if let Some(why) = sensor.parts.outgoing.refused() {
        reasons.push(format!("sinks over the network are off: {why}"));
    }
    if let Some(why) = &sensor.reloaded.refused {
        reasons.push(format!("changed settings were refused, the former ones are in force: {why}"));
    }
    reasons
}

fn files(sensor: &Sensor) -> std::collections::BTreeMap<String, u64> {
    let counters = sensor.parts.pipeline.view().counters();
    let plain = [
        ("cache_hits", counters.hits),
        ("cache_misses", counters.misses),
        ("joined", counters.joined),
        ("hashed_files", counters.hashed_files),
        ("hashed_bytes", counters.hashed_bytes),
        ("cache_entries", counters.cache_entries as u64),
        ("waiting", counters.waiting as u64),
        ("stuck_threads", counters.stuck),
    ];
    let roads = Road::ALL.into_iter().map(|road| (format!("road_{}", road.as_str()), counters.by_road(road)));
    let missing = Missing::NAMES
        .into_iter()
        .zip(counters.missing)
        .map(|(name, count)| (format!("missing_{name}"), count));
    plain
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count))
        .chain(roads.chain(missing).filter(|(_, count)| *count > 0))
        .collect()
}
