//! Bounds that types can't express.

use linnet_plugin_manifest::manifest::is_name;

use crate::ignore;
use crate::values::{MIB, Plugins, Settings};

/// Plugins that run at once.
const MAX_PLUGINS: usize = 16;

/// The first key whose value makes no sense, and why.
pub(crate) fn check(settings: &Settings) -> Result<(), (&'static str, String)> {
    let within = |key, value: u64, from: u64, to: u64| {
        if (from..=to).contains(&value) {
            Ok(())
        } else {
            Err((key, format!("{value} is outside {from} to {to}")))
        }
    };
    if let Some(file) = &settings.output.file {
        within("output.file.max_bytes", file.max_bytes, 64 * 1024, 1 << 40)?;
        within("output.file.keep", u64::from(file.keep), 0, 1000)?;
        if !file.path.is_absolute() {
            return Err(("output.file.path", "give an absolute path".to_owned()));
        }
    }
    within("limits.cpu_permille", u64::from(settings.limits.cpu_permille), 10, 1_000_000)?;
    within("limits.cpu_period_ms", u64::from(settings.limits.cpu_period_ms), 1, 1000)?;
    if u64::from(settings.limits.cpu_permille) * u64::from(settings.limits.cpu_period_ms) < 1000 {
        let message =
            "its share of limits.cpu_period_ms is below the kernel's least, 1 ms: raise one of them";
        return Err(("limits.cpu_permille", message.to_owned()));
    }
    within("limits.memory_max_bytes", settings.limits.memory_max_bytes, 24 * MIB, 1 << 40)?;
    if let Some(high) = settings.limits.memory_high_bytes {
        within("limits.memory_high_bytes", high, 16 * MIB, settings.limits.memory_max_bytes)?;
    }
    within("limits.pids_max", u64::from(settings.limits.pids_max), 16, 1 << 20)?;
    within("argv_max_bytes", u64::from(settings.argv_max_bytes), 64, u64::from(linnet_ebpf::ARGV_MAX))?;
    within("sampling.exec_permille", u64::from(settings.sampling.exec_permille), 1, 1000)?;
    within("sampling.fork_permille", u64::from(settings.sampling.fork_permille), 1, 1000)?;
    ignore::check(&settings.ignore)?;
    within("hash.max_file_bytes", settings.hash.max_file_bytes, 4096, 1 << 40)?;
    within("hash.bytes_per_second", settings.hash.bytes_per_second, 64 * 1024, 1 << 40)?;
    within("hash.wait_ms", u64::from(settings.hash.wait_ms), 1, 30_000)?;
    within("script.max_content_bytes", u64::from(settings.script.max_content_bytes), 256, MIB)?;
    within("ring.bytes", u64::from(settings.ring.bytes), 64 * 1024, 1 << 30)?;
    if !settings.ring.bytes.is_power_of_two() {
        return Err(("ring.bytes", format!("{} is not a power of two", settings.ring.bytes)));
    }
    if u64::from(settings.ring.bytes) > settings.limits.memory_max_bytes / 2 {
        return Err(("ring.bytes", "the ring may take at most half of limits.memory_max_bytes".to_owned()));
    }
    within("ring.coalesce_ms", u64::from(settings.ring.coalesce_ms), 1, 1000)?;
    within(
        "process_table.max_bytes",
        settings.process_table.max_bytes,
        256 * 1024,
        settings.limits.memory_max_bytes / 2,
    )?;
    // The updater takes an agent for hung that has said nothing for 30 s.
    within("health.interval_s", u64::from(settings.health.interval_s), 1, 10)?;
    within("health.report_interval_s", u64::from(settings.health.report_interval_s), 1, 86_400)?;
    within("health.canary_interval_s", u64::from(settings.health.canary_interval_s), 1, 86_400)?;
    within("fleet.poll_s", u64::from(settings.fleet.poll_s), 1, 86_400)?;
    within("fleet.trial_s", u64::from(settings.fleet.trial_s), 0, 86_400)?;
    if !settings.fleet.enrolment.is_absolute() {
        return Err(("fleet.enrolment", "give an absolute path".to_owned()));
    }
    if !settings.fleet.state_dir.is_absolute() {
        return Err(("fleet.state_dir", "give an absolute path".to_owned()));
    }
    check_plugins(&settings.plugins)?;
    if !settings.runtime_dir.is_absolute() {
        return Err(("runtime_dir", "give an absolute path".to_owned()));
    }
    Ok(())
}

fn check_plugins(plugins: &Plugins) -> Result<(), (&'static str, String)> {
    for (key, path) in
        [("plugins.directory", &plugins.directory), ("plugins.state_directory", &plugins.state_directory)]
    {
        if !path.is_absolute() {
            return Err((key, "give an absolute path".to_owned()));
        }
    }
    if plugins.enabled.values().flatten().count() > MAX_PLUGINS {
        return Err(("plugins.enabled", format!("at most {MAX_PLUGINS} plugins run at once")));
    }
    if let Some(name) = plugins.enabled.keys().find(|name| !is_name(name)) {
        let message = format!("{name:?} is no plugin's name: lower-case letters, digits, dashes");
        return Err(("plugins.enabled", message));
    }
    if !(1..=86_400).contains(&plugins.trial_s) {
        return Err(("plugins.trial_s", format!("{} is outside 1 to 86400", plugins.trial_s)));
    }
    if plugins.disk_reserve_bytes > 1 << 50 {
        return Err(("plugins.disk_reserve_bytes", "more than any disk has".to_owned()));
    }
    plugins.policy.check()
}
