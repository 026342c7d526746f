//! The values, with their defaults. A key's unit is in its name.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use linnet_fleet::settings_section;
use linnet_keys::release::Version;
use linnet_plugin_manifest::policy::Policy;
use serde::{Deserialize, Serialize};

use crate::{
    ignore::IgnoreRules,
    metrics::{MetricsAddress, OtlpMetrics},
    sinks::{NetworkSink, Spool},
};

pub(crate) const MIB: u64 = 1 << 20;

settings_section! {
    /// All settings.
    Settings {
        /// Where events go.
        output: Output = Output::default(),
        /// Sinks over the network, by name.
        sinks: BTreeMap<String, NetworkSink> = BTreeMap::new(),
        /// What waits on disk for them.
        spool: Spool = Spool::default(),
        /// What the sensor may use.
        limits: Limits = Limits::default(),
        /// Which events are written.
        events: Events = Events::default(),
        /// Processes that are not told of, by the names of the rules.
        ignore: IgnoreRules = IgnoreRules::new(),
        /// What share of the processes is told of.
        sampling: Sampling = Sampling::default(),
        /// Most bytes of argv in an event; the kernel side reads no more.
        argv_max_bytes: u32 = linnet_ebpf::ARGV_MAX,
        /// SHA-256 of executables and scripts.
        hash: Hash = Hash::default(),
        /// Contents of scripts.
        script: Script = Script::default(),
        /// The ring between kernel and agent.
        ring: Ring = Ring::default(),
        /// The process table.
        process_table: ProcessTable = ProcessTable::default(),
        /// Metrics.
        metrics: Metrics = Metrics::default(),
        /// Reports about the sensor itself.
        health: Health = Health::default(),
        /// Plugins.
        plugins: Plugins = Plugins::default(),
        /// The channel that the fleet's settings come from.
        fleet: Fleet = Fleet::default(),
        /// Directory of the lock and the health document; on tmpfs.
        runtime_dir: PathBuf = PathBuf::from("/run/linnet"),
        /// `error`, `warn`, `info`, `debug` or `trace`; the log goes to standard error.
        log_level: LogLevel = LogLevel::Info,
    }
}

settings_section! {
    /// Where events go. Each sink gets every event.
    Output {
        /// A file that rotates by itself; `null` for none.
        file: Option<FileOutput> = Some(FileOutput::default()),
        /// Standard output.
        stdout: bool = false,
    }
}

settings_section! {
    /// The rotating file. It and its predecessors never take more than `max_bytes * (keep + 1)`.
    FileOutput {
        /// Path of the current file; older ones get `.1`, `.2`, … appended.
        path: PathBuf = PathBuf::from("/var/log/linnet/events.ndjson"),
        /// Size in bytes at which it is rotated.
        max_bytes: u64 = 64 * MIB,
        /// Older files to keep.
        keep: u32 = 4,
    }
}

settings_section! {
    /// What the sensor may use: its own cgroup.
    Limits {
        /// Whether to make one at all.
        enabled: bool = true,
        /// Refuse to start (code 3) where the limits can't be enforced, instead of running degraded.
        required: bool = false,
        /// Processor time in thousandths of one core: 500 is half a core.
        cpu_permille: u32 = 500,
        /// Period of the processor limit. `cpu_permille * cpu_period_ms` must be 1000 at least, the kernel's smallest quota.
        cpu_period_ms: u32 = 100,
        /// Memory at which the kernel kills; ring and maps included.
        memory_max_bytes: u64 = 128 * MIB,
        /// Memory at which the kernel begins to reclaim (cgroup v2); seven eighths of the maximum when `null`, and never
        /// above it.
        memory_high_bytes: Option<u64> = None,
        /// Processes and threads.
        pids_max: u32 = 64,
    }
}

settings_section! {
    /// Which events are written. What is switched off is still counted, as filtered.
    Events {
        /// Process Activity: Launch, at exec.
        exec: bool = true,
        /// Process Activity: Terminate.
        exit: bool = true,
        /// Process Activity: Launch, at fork, and the ends of processes that never execute. Off by default: most forks exec
        /// at once.
        fork: bool = false,
        /// Script Activity.
        script: bool = true,
    }
}

settings_section! {
    /// What share of the processes is told of, by family. A process is told of whole, from its exec to its end, or not at
    /// all; which ones is drawn anew at each start of the sensor, so that none can choose to be left out. Set-uid programs
    /// and files that no path leads to are always told.
    Sampling {
        /// Of processes that take an image of their own: their execs, scripts and ends.
        exec_permille: u32 = 1000,
        /// Of processes that were only forked, where forks are told at all: their forks and ends.
        fork_permille: u32 = 1000,
    }
}

settings_section! {
    /// SHA-256 of executables and scripts.
    Hash {
        /// Whether to hash. `false` also leaves scripts without content.
        enabled: bool = true,
        /// Larger files are not hashed.
        max_file_bytes: u64 = 128 * MIB,
        /// Bytes hashed a second, after a burst of four seconds' worth.
        bytes_per_second: u64 = 64 * MIB,
        /// How long an event waits for its hash. A file is given up after this time, and after five seconds at the earliest.
        wait_ms: u32 = 2000,
    }
}

settings_section! {
    /// Contents of scripts that are started by their `#!` line.
    Script {
        /// Whether to keep contents.
        content: bool = true,
        /// Bytes of content in an event.
        max_content_bytes: u32 = 65536,
    }
}

settings_section! {
    /// The ring between kernel and agent.
    Ring {
        /// Size: a power of two, at most half of `limits.memory_max_bytes`.
        bytes: u32 = 8 << 20,
        /// How often the agent looks while events flow.
        coalesce_ms: u32 = 10,
        /// Records (forks, execs, exits) a second that one cgroup may make over time, and twice as many at once: what is
        /// above is left out in the kernel, counted and told, so that one container can't blind the sensor for all others. 0 for no limit.
        cgroup_records_per_s: u32 = 60_000,
    }
}

settings_section! {
    /// The process table.
    ProcessTable {
        /// Most bytes it takes, at most half of `limits.memory_max_bytes`.
        max_bytes: u64 = 4 * MIB,
    }
}

settings_section! {
    /// Plugins: programs of their own that find out what the sensor's hooks do not.
    Plugins {
        /// Where they are installed, each in a directory of its name; those of the channel in `.channel`.
        directory: PathBuf = PathBuf::from("/opt/linnet/plugins"),
        /// Where what they remember is kept.
        state_directory: PathBuf = PathBuf::from("/var/lib/linnet/plugins"),
        /// Those that run, by name; `null` keeps one from running that another layer enables.
        enabled: BTreeMap<String, Option<EnabledPlugin>> = BTreeMap::new(),
        /// How long a version from the channel has to run well until it counts as good.
        trial_s: u32 = 60,
        /// Bytes that stay free on the disk when one is fetched.
        disk_reserve_bytes: u64 = 100 * MIB,
        /// What they may do and use on this host at most.
        policy: Policy = Policy::default(),
    }
}

settings_section! {
    /// A plugin that runs.
    EnabledPlugin {
        /// The version to take from the channel; the newest one where it is `null`.
        version: Option<Version> = None,
        /// Its settings, which it checks itself; `interval_s` and `cpu_permille` are known to all.
        settings: serde_json::Map<String, serde_json::Value> = serde_json::Map::new(),
    }
}

settings_section! {
    /// Metrics: the numbers of the health document, for Prometheus or OpenTelemetry.
    Metrics {
        /// `unix:/path`, `127.0.0.1:port` or `[::1]:port`; `null` for none.
        listen: Option<MetricsAddress> = None,
        /// A collector that they are sent to; `null` for none.
        otlp: Option<OtlpMetrics> = None,
    }
}

settings_section! {
    /// Reports about the sensor itself.
    Health {
        /// How often the health document is written; who watches the agent takes silence for a hang.
        interval_s: u32 = 5,
        /// How often a health report is put among the events.
        report_interval_s: u32 = 300,
        /// How often the sensor starts a process of its own to see that it is seen.
        canary_interval_s: u32 = 600,
    }
}

settings_section! {
    /// The fleet's settings, from the channel that this host was enrolled to.
    Fleet {
        /// File that says where the channel is and what this host is called; without it, the host follows none.
        enrolment: PathBuf = PathBuf::from("/etc/linnet/enrolment.json"),
        /// Directory of what is remembered: the channel's metadata, and the documents that are followed.
        state_dir: PathBuf = PathBuf::from("/var/lib/linnet/agent"),
        /// How often the channel is asked, on the whole: each wait is a fifth longer or shorter by chance.
        poll_s: u32 = 60,
        /// How long the sensor has to live on with changed settings until they count as good.
        trial_s: u32 = 60,
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What stops or damages the sensor.
    Error,
    /// And what degrades it.
    Warn,
    /// And what it does on the whole.
    Info,
    /// And details.
    Debug,
    /// And everything.
    Trace,
}

impl From<LogLevel> for log::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}

impl Settings {
    /// Path of the lock that one agent holds.
    pub fn lock_path(&self) -> PathBuf {
        self.runtime_dir.join("agent.lock")
    }

    /// Path of the health document.
    pub fn health_path(&self) -> PathBuf {
        self.runtime_dir.join("health.json")
    }

    /// How often the reader looks while events flow.
    pub fn coalesce(&self) -> Duration {
        Duration::from_millis(u64::from(self.ring.coalesce_ms))
    }
}
