//! Bounds that types can't express.

use linnet_plugin_manifest::manifest::is_name;

use crate::sinks::{check_sinks, check_spool};
use crate::values::{MIB, Plugins, Settings};
use crate::{ignore, metrics};

/// Plugins that run at once.
const MAX_PLUGINS: usize = 16;

/// A key whose value is a number between two others, both of them included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The key, dotted.
    pub key: &'static str,
    /// The least value.
    pub from: u64,
    /// The greatest.
    pub to: u64,
}

impl Range {
    /// Whether the number at the dotted `path` is within. A key in an object that is `null`, or `null` itself, has none.
    pub(crate) fn check(&self, values: &serde_json::Value, path: &str) -> Result<(), String> {
        let Self { from, to, .. } = self;
        let value = path.split('.').try_fold(values, |value, part| value.get(part));
        match value.and_then(serde_json::Value::as_u64) {
            Some(value) if !(*from..=*to).contains(&value) => {
                Err(format!("{value} is outside {from} to {to}"))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) const fn range(key: &'static str, from: u64, to: u64) -> Range {
    Range { key, from, to }
}

/// The numbers, in the order in which they are checked. What depends on other keys is in [`check`].
pub const RANGES: &[Range] = &[
    range("output.file.max_bytes", 64 * 1024, 1 << 40),
    range("output.file.keep", 0, 1000),
    range("limits.cpu_permille", 10, 1_000_000),
    range("limits.cpu_period_ms", 1, 1000),
    range("limits.memory_max_bytes", 24 * MIB, 1 << 40),
    range("limits.memory_high_bytes", 16 * MIB, 1 << 40),
    range("limits.pids_max", 16, 1 << 20),
    range("argv_max_bytes", 64, linnet_ebpf::ARGV_MAX as u64),
    range("sampling.exec_permille", 1, 1000),
    range("sampling.fork_permille", 1, 1000),
    range("hash.max_file_bytes", 4096, 1 << 40),
    range("hash.bytes_per_second", 64 * 1024, 1 << 40),
    range("hash.wait_ms", 1, 30_000),
    range("script.max_content_bytes", 256, MIB),
    range("ring.bytes", 64 * 1024, 1 << 30),
    range("ring.coalesce_ms", 1, 1000),
    range("ring.cgroup_records_per_s", 0, 1_000_000_000),
    range("process_table.max_bytes", 256 * 1024, 1 << 40),
    // The updater takes an agent for hung that has said nothing for 30 s.
    range("health.interval_s", 1, 10),
    range("health.report_interval_s", 1, 86_400),
    range("health.canary_interval_s", 1, 86_400),
    range("plugins.trial_s", 1, 86_400),
    range("plugins.disk_reserve_bytes", 0, 1 << 50),
    range("metrics.otlp.interval_s", 5, 86_400),
    range("metrics.otlp.timeout_s", 1, 600),
    range("spool.max_bytes", MIB, 1 << 40),
    range("spool.max_age_s", 60, 1 << 30),
    range("fleet.poll_s", 1, 86_400),
    range("fleet.trial_s", 0, 86_400),
];

/// The first key whose value makes no sense, and why.
pub(crate) fn check(settings: &Settings) -> Result<(), (&'static str, String)> {
    let values = serde_json::to_value(settings).unwrap_or_default();
    for range in RANGES {
        range.check(&values, range.key).map_err(|why| (range.key, why))?;
    }
    let at_most = |key, value: u64, most: u64, of: &str| {
        if value > most { Err((key, format!("{value} is more than {most}, {of}"))) } else { Ok(()) }
    };
    for (key, path) in [
        ("output.file.path", settings.output.file.as_ref().map(|file| &file.path)),
        ("fleet.enrolment", Some(&settings.fleet.enrolment)),
        ("fleet.state_dir", Some(&settings.fleet.state_dir)),
        ("runtime_dir", Some(&settings.runtime_dir)),
    ] {
        if path.is_some_and(|path| !path.is_absolute()) {
            return Err((key, "give an absolute path".to_owned()));
        }
    }
    let limits = &settings.limits;
    if u64::from(limits.cpu_permille) * u64::from(limits.cpu_period_ms) < 1000 {
        let message =
            "its share of limits.cpu_period_ms is below the kernel's least, 1 ms: raise one of them";
        return Err(("limits.cpu_permille", message.to_owned()));
    }
    if let Some(high) = limits.memory_high_bytes {
        at_most("limits.memory_high_bytes", high, limits.memory_max_bytes, "limits.memory_max_bytes")?;
    }
    ignore::check(&settings.ignore)?;
    if !settings.ring.bytes.is_power_of_two() {
        return Err(("ring.bytes", format!("{} is not a power of two", settings.ring.bytes)));
    }
    if u64::from(settings.ring.bytes) > limits.memory_max_bytes / 2 {
        return Err(("ring.bytes", "the ring may take at most half of limits.memory_max_bytes".to_owned()));
    }
    let half = limits.memory_max_bytes / 2;
    at_most(
        "process_table.max_bytes",
        settings.process_table.max_bytes,
        half,
        "half of limits.memory_max_bytes",
    )?;
    check_plugins(&settings.plugins)?;
    metrics::check(settings.metrics.otlp.as_ref())?;
    check_spool(&settings.spool)?;
    check_sinks(settings.sinks.iter())
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
    plugins.policy.check()
}
