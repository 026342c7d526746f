//! `status`: how the running agent is, from its health document.

use std::{fmt::Write, path::Path};

use jiff::Timestamp;
use linnet_fleet::{
    health::{
        Health, HealthError, Losses, Plugin, PluginChannel, PushedMetrics, RateLimits, Remote, Shedding,
        SinkAccount, State, Trial,
    },
    lock,
};
use linnet_settings::Settings;

use super::load_settings;
use crate::{
    exit_code,
    terminal::{self, sanitised_lines},
};

/// A document older than this many intervals is not of a living agent.
const STALE_INTERVALS: u32 = 6;

/// Prints the status and gives the exit code: 0 well, 1 not running, 3 degraded. For a probe (`alive`) degraded is well:
/// a restart would not mend it.
pub fn execute(named: Option<&Path>, json: bool, alive: bool) -> anyhow::Result<u8> {
    let settings = load_settings(named)?.settings;
    let holder = lock::holder(&settings.lock_path());
    let health = match Health::read(&settings.health_path()) {
        Ok(health) => health,
        Err(HealthError::Missing { .. }) if holder.is_some() => {
            terminal::print("linnet-agent is starting\n")?;
            return Ok(exit_code::ERROR);
        }
        Err(error) => return Err(error.into()),
    };
    let (code, verdict) = verdict(&health, holder, &settings);
    if alive && matches!(code, exit_code::OK | exit_code::UNSUPPORTED) {
        return Ok(exit_code::OK);
    }
    if json {
        terminal::print(&format!("{}\n", serde_json::to_string_pretty(&health)?))?;
    } else {
        terminal::print(&sanitised_lines(&describe(&health, &verdict)))?;
    }
    Ok(code)
}

fn verdict(health: &Health, holder: Option<u32>, settings: &Settings) -> (u8, String) {
    let age = health.age(Timestamp::now());
    if holder.is_none() {
        return (exit_code::ERROR, format!("not running; last seen {} s ago", age.as_secs()));
    }
    let stale = i64::from(settings.health.interval_s) * i64::from(STALE_INTERVALS);
    if age.as_secs() > stale {
        return (
            exit_code::ERROR,
            format!("pid {} holds the lock but has said nothing for {} s", health.pid, age.as_secs()),
        );
    }
    match health.state {
        State::Running => (exit_code::OK, "running".to_owned()),
        State::Degraded => (exit_code::UNSUPPORTED, "running, degraded".to_owned()),
        other => (exit_code::ERROR, other.as_str().to_owned()),
    }
}

fn describe(health: &Health, verdict: &str) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "linnet-agent {}: {verdict} (pid {}, kernel {})",
        health.version, health.pid, health.kernel_release
    );
    for reason in &health.degraded {
        let _ = writeln!(out, "  ! {reason}");
    }
    let seen = health.canary.last_seen_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let _ = writeln!(out, "canary   sent {}, seen {}, last {seen}", health.canary.sent, health.canary.seen);
    if let Some(at) = health.last_event_at {
        let _ = writeln!(out, "events   last written {at}");
    }
    describe_hooks(health, &mut out);
    describe_limits(health, &mut out);
    describe_losses(health, &mut out);
    describe_shedding(&health.shedding, &mut out);
    describe_rate_limits(&health.rate_limits, &mut out);
    for sink in &health.sinks {
        let _ = write!(
            out,
            "sink     {}: {} events, {}, dropped {}",
            sink.name,
            sink.written_events,
            size(sink.written_bytes),
            sink.dropped
        );
        let _ = writeln!(
            out,
            "{}",
            sink.last_error.as_ref().map_or_else(String::new, |error| format!(" ({error})"))
        );
    }
    describe_network(health, &mut out);
    if let Some(pushed) = &health.pushed_metrics {
        describe_pushed(pushed, &mut out);
    }
    let table = &health.process_table;
    let _ = writeln!(
        out,
        "table    {} processes, {}, evicted {}, swept {}",
        table.entries,
        size(table.bytes),
        table.evicted,
        table.swept
    );
    let files: Vec<String> = health.files.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let _ = writeln!(out, "files    {}", files.join(", "));
    for plugin in &health.plugins {
        describe_plugin(plugin, &mut out);
    }
    let settings = health.settings.path.as_deref().unwrap_or("all defaults");
    let _ = writeln!(out, "settings {settings}");
    if !health.settings.pending_restart.is_empty() {
        let _ =
            writeln!(out, "           wait for a restart: {}", health.settings.pending_restart.join(", "));
    }
    if let Some(remote) = &health.remote {
        describe_fleet(remote, &mut out);
    }
    out
}

fn describe_network(health: &Health, out: &mut String) {
    if let Some(spool) = &health.spool {
        let age = spool.oldest_age_s.map_or_else(String::new, |age| format!(", oldest {age} s"));
        let _ = writeln!(
            out,
            "spool    {} of {} in {} files{age}",
            size(spool.bytes),
            size(spool.max_bytes),
            spool.segments
        );
    }
    for sink in &health.network_sinks {
        let state = match (&sink.last_error, sink.down) {
            (_, true) => "DOWN",
            (Some(_), false) => "in trouble",
            (None, false) => "well",
        };
        let last = sink.last_success_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let _ = writeln!(
            out,
            "sink     {} to {}: {state}, last delivered {last}, {} requests, {} sent",
            sink.name,
            sink.url,
            sink.requests,
            size(sink.sent_bytes)
        );
        if let Some(error) = &sink.last_error {
            let _ = writeln!(out, "           {error}");
        }
        for (kind, account) in sink.events.iter().filter(|(_, account)| account.appended > 0) {
            let _ = writeln!(out, "           {kind}: {}", sink_account(account));
        }
    }
}

fn describe_pushed(pushed: &PushedMetrics, out: &mut String) {
    let last = pushed.last_success_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let _ = writeln!(
        out,
        "metrics  to {}: last taken {last}, {} requests, {} failed, {} sent",
        pushed.url,
        pushed.requests,
        pushed.failures,
        size(pushed.sent_bytes)
    );
    if let Some(error) = &pushed.last_error {
        let _ = writeln!(out, "           {error}");
    }
}

fn sink_account(account: &SinkAccount) -> String {
    let mut text = format!("{} = delivered {}", account.appended, account.delivered);
    for (what, count) in
        [("filtered", account.filtered), ("refused", account.refused), ("waiting", account.waiting)]
    {
        if count > 0 {
            let _ = write!(text, " + {what} {count}");
        }
    }
    for (reason, count) in &account.dropped {
        let _ = write!(text, " + dropped {count} ({reason})");
    }
    text
}

fn describe_fleet(remote: &Remote, out: &mut String) {
    let running = remote.running.as_ref().map_or_else(
        || "nothing followed yet".to_owned(),
        |one| format!("follows version {}{}", one.version, if remote.on_trial { ", on trial" } else { "" }),
    );
    let _ = writeln!(out, "fleet    {running}");
    for note in &remote.notes {
        let _ = writeln!(out, "           {note}");
    }
    if let Some(refused) = &remote.refused {
        let version =
            refused.version.map_or_else(|| "a document".to_owned(), |version| format!("version {version}"));
        let _ = writeln!(out, "           refused {version} at {}: {}", refused.at, refused.why);
    }
    let channel = &remote.channel;
    let last = channel.last_success_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let _ = writeln!(out, "channel  {}: asked {} times, last answered {last}", channel.url, channel.polls);
    if let Some(error) = &channel.last_error {
        let _ = writeln!(out, "           {} failures in a row: {error}", channel.failures);
    }
    if let Some(error) = &channel.plugins_error {
        let _ = writeln!(out, "           plugins: {error}");
    }
}

fn describe_hooks(health: &Health, out: &mut String) {
    for hook in &health.hooks {
        let _ = writeln!(out, "hook     {:<5} {} ({})", hook.event, hook.chosen, hook.why);
        for refused in &hook.refused {
            let _ = writeln!(out, "           refused {}: {}", refused.hook, refused.error);
        }
    }
}

fn describe_limits(health: &Health, out: &mut String) {
    let limits = &health.limits;
    let force = &limits.in_force;
    let cpu = match (force.cpu_quota_us, force.cpu_period_us) {
        (Some(quota), Some(period)) if period > 0 => format!("{} % of a core", quota * 100 / period),
        _ => "cpu unlimited".to_owned(),
    };
    let memory = force
        .memory_max_bytes
        .map_or_else(|| "memory unlimited".to_owned(), |bytes| format!("{} memory", size(bytes)));
    let pids = force.pids_max.map_or_else(|| "pids unlimited".to_owned(), |most| format!("{most} pids"));
    let enforced = if limits.enforced { "enforced" } else { "NOT all enforced" };
    let _ = writeln!(out, "limits   {cpu}, {memory}, {pids}: {enforced} (cgroup {})", limits.mode.as_str());
    for problem in &limits.problems {
        let _ = writeln!(out, "           {problem}");
    }
    let usage = &health.usage;
    if let Some(bytes) = usage.memory_bytes {
        let peak = usage.memory_peak_bytes.map_or_else(String::new, |peak| format!(", peak {}", size(peak)));
        let throttled =
            usage.throttled_us.map_or_else(String::new, |us| format!(", throttled {} ms", us / 1000));
        let cache = usage
            .memory_file_bytes
            .map_or_else(String::new, |cache| format!(" ({} of it page cache)", size(cache)));
        let _ = writeln!(out, "usage    {}{cache}{peak}{throttled}", size(bytes));
    }
}

fn describe_shedding(shedding: &Shedding, out: &mut String) {
    let pressure = &shedding.pressure;
    let _ = writeln!(
        out,
        "pressure memory {} %, ring {} %, throttled {} %, outputs {} %",
        pressure.memory_permille / 10,
        pressure.ring_permille / 10,
        pressure.throttled_permille / 10,
        pressure.output_permille / 10,
    );
    if shedding.times == 0 {
        return;
    }
    let now = match (&shedding.cause, &shedding.since) {
        (Some(cause), Some(since)) => format!("{} ({cause}, since {since})", shedding.now.join(", ")),
        _ => "nothing".to_owned(),
    };
    let counts: Vec<String> = shedding.counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let _ = writeln!(
        out,
        "shed     now {now}; began {} times, left out so far: {}",
        shedding.times,
        counts.join(", ")
    );
}

fn describe_rate_limits(limits: &RateLimits, out: &mut String) {
    if limits.times == 0 {
        return;
    }
    let _ = writeln!(
        out,
        "limited  {} cgroups now, at {} records a second each; began {} times",
        limits.groups, limits.records_per_s, limits.times
    );
    for group in &limits.now {
        let counts: Vec<String> =
            group.counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let _ =
            writeln!(out, "         {} since {}: left out {}", group.cgroup, group.since, counts.join(", "));
    }
}

fn describe_plugin(plugin: &Plugin, out: &mut String) {
    let reason = plugin.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let version = if plugin.version.is_empty() { String::new() } else { format!(" {}", plugin.version) };
    let trial = if plugin.trial == Some(Trial::UnderWay) { ", on trial" } else { "" };
    let from = match &plugin.channel {
        Some(_) if !plugin.version.is_empty() => ", from the channel",
        _ => "",
    };
    let _ = writeln!(out, "plugin   {}{version}: {}{trial}{from}{reason}", plugin.name, plugin.state);
    if let Some(channel) = &plugin.channel {
        describe_plugin_channel(plugin, channel, out);
    }
    if plugin.version.is_empty() {
        return;
    }
    let losses = &plugin.losses;
    let mut line = format!("received {}, delivered {}", losses.received, losses.delivered);
    for (what, count) in
        [("over its rate", losses.over_rate), ("over its day", losses.over_day), ("waiting", losses.waiting)]
    {
        if count > 0 {
            let _ = write!(line, ", {what} {count}");
        }
    }
    for (what, reasons) in [("invalid", &losses.invalid), ("dropped", &losses.dropped)] {
        for (reason, count) in reasons {
            let _ = write!(line, ", {what} {count} ({reason})");
        }
    }
    if plugin.starts > 1 || plugin.failures > 0 {
        let _ = write!(line, "; started {} times, failed {}", plugin.starts, plugin.failures);
    }
    if let Some(us) = plugin.usage.cpu_usage_us {
        let _ = write!(line, "; used {} ms", us / 1000);
    }
    if let Some(bytes) = plugin.usage.memory_bytes {
        let _ = write!(line, ", {}", size(bytes));
    }
    let _ = writeln!(out, "           {line}");
    if !plugin.sandbox.is_empty() {
        let _ = writeln!(out, "           confined by {}", plugin.sandbox.join(", "));
    }
    if !plugin.denied.is_empty() {
        let _ = writeln!(out, "           plugins.policy.allow keeps from it: {}", plugin.denied.join(", "));
    }
    for problem in &plugin.problems {
        let _ = writeln!(out, "           ! {problem}");
    }
}

/// What is to run in its place, and what is not tried again.
fn describe_plugin_channel(plugin: &Plugin, channel: &PluginChannel, out: &mut String) {
    let wanted = channel.wanted.as_ref().filter(|wanted| **wanted != plugin.version);
    // What an absent one waits for is the reason of its state.
    let note = channel.note.as_ref().filter(|note| Some(*note) != plugin.reason.as_ref());
    match (wanted, note) {
        (Some(wanted), Some(note)) => drop(writeln!(out, "           wanted {wanted}: {note}")),
        (None, Some(note)) => drop(writeln!(out, "           {note}")),
        (Some(wanted), None) if plugin.reason.is_none() => drop(writeln!(out, "           wanted {wanted}")),
        _ => {}
    }
    for refused in &channel.refused {
        let _ = writeln!(out, "           refused {} at {}: {}", refused.version, refused.at, refused.why);
    }
}

fn describe_losses(health: &Health, out: &mut String) {
    for (kind, losses) in &health.losses {
        let _ = writeln!(out, "{kind:<8} {}", equation(losses));
    }
}

fn equation(losses: &Losses) -> String {
    let mut text =
        format!("attempted {} = received {} + lost {}", losses.attempted, losses.received, losses.lost_ring);
    if losses.rate_limited > 0 {
        let _ = write!(text, " + rate-limited {}", losses.rate_limited);
    }
    let in_ring = losses.ring_imbalance();
    if in_ring > 0 {
        let _ = write!(text, " + in the ring {in_ring}");
    }
    let _ = write!(text, "; delivered {}", losses.delivered);
    for (what, reasons) in
        [("filtered", &losses.filtered), ("shed", &losses.shed), ("dropped", &losses.dropped)]
    {
        for (reason, count) in reasons {
            let _ = write!(text, ", {what} {count} ({reason})");
        }
    }
    for (what, count) in [
        ("not understood", losses.decode_errors),
        ("waiting", losses.waiting),
        ("missed by the kernel", losses.missed_by_kernel),
    ] {
        if count > 0 {
            let _ = write!(text, ", {what} {count}");
        }
    }
    text
}

/// Bytes for a reader.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_equation_shows_every_place_a_record_can_be() {
        let mut losses = Losses {
            attempted: 10,
            received: 7,
            lost_ring: 2,
            delivered: 4,
            waiting: 1,
            ..Losses::default()
        };
        losses.filtered.insert("disabled".to_owned(), 1);
        losses.dropped.insert("disk_full".to_owned(), 1);
        assert_eq!(
            equation(&losses),
            "attempted 10 = received 7 + lost 2 + in the ring 1; delivered 4, filtered 1 (disabled), dropped 1 (disk_full), waiting 1"
        );
    }
}
