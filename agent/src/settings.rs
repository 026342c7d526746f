//! The local settings: one JSON file, read once into typed values, refused whole when anything in it is wrong.
//!
//! Every key has a default, so an absent file is a valid one. Unknown keys are refused with their path: a misspelt limit must
//! not be taken for no limit.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where the settings are looked for when no file is named.
pub const DEFAULT_PATH: &str = "/etc/linnet/linnet.json";
/// No settings file is larger than this.
const MAX_FILE_BYTES: u64 = 1 << 20;
const MIB: u64 = 1 << 20;

/// Why settings are refused. Each names the file, and the key where there is one.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file can't be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Larger than any settings file.
    #[error("{path}: larger than {MAX_FILE_BYTES} bytes; is this the right file?")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not JSON, or not of the expected shape.
    #[error("{path}: {key}: {message}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// Path of the key, such as `output.file.path`.
        key: String,
        /// What is wrong, with line and column.
        message: String,
    },
    /// A value outside what makes sense.
    #[error("{path}: {key}: {message}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Path of the key.
        key: &'static str,
        /// What is wrong and what to write instead.
        message: String,
    },
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

section! {
    /// All settings.
    Settings {
        /// Where events go.
        output: Output = Output::default(),
        /// What the sensor may use.
        limits: Limits = Limits::default(),
        /// Which events are written.
        events: Events = Events::default(),
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
        /// Reports about the sensor itself.
        health: Health = Health::default(),
        /// Directory of the lock and the health document; on tmpfs.
        runtime_dir: PathBuf = PathBuf::from("/run/linnet"),
        /// `error`, `warn`, `info`, `debug` or `trace`; the log goes to standard error.
        log_level: LogLevel = LogLevel::Info,
    }
}

section! {
    /// Where events go. Each sink gets every event.
    Output {
        /// A file that rotates by itself; `null` for none.
        file: Option<FileOutput> = Some(FileOutput::default()),
        /// Standard output.
        stdout: bool = false,
    }
}

section! {
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

section! {
    /// What the sensor may use: its own cgroup.
    Limits {
        /// Whether to make one at all.
        enabled: bool = true,
        /// Refuse to start where the limits can't be enforced; otherwise run, and say so.
        required: bool = false,
        /// Processor time in thousandths of one core.
        cpu_permille: u32 = 500,
        /// Period of the processor limit.
        cpu_period_ms: u32 = 100,
        /// Memory in bytes, the ring included.
        memory_max_bytes: u64 = 128 * MIB,
        /// Memory at which the kernel begins to reclaim; seven eighths of the maximum when `null`.
        memory_high_bytes: Option<u64> = None,
        /// Processes and threads.
        pids_max: u32 = 64,
    }
}

section! {
    /// Which events are written. What is switched off is still counted, as filtered.
    Events {
        /// Process Activity: Launch, at exec.
        exec: bool = true,
        /// Process Activity: Terminate.
        exit: bool = true,
        /// Process Activity: Launch, at fork. Off by default: most forks exec at once.
        fork: bool = false,
        /// Script Activity.
        script: bool = true,
    }
}

section! {
    /// SHA-256 of executables and scripts.
    Hash {
        /// Whether to hash.
        enabled: bool = true,
        /// Larger files are not hashed.
        max_file_bytes: u64 = 128 * MIB,
        /// Bytes hashed a second, after a burst of four seconds' worth.
        bytes_per_second: u64 = 64 * MIB,
        /// How long an event waits for its hash.
        wait_ms: u32 = 2000,
    }
}

section! {
    /// Contents of scripts that are started by their `#!` line.
    Script {
        /// Whether to keep contents.
        content: bool = true,
        /// Bytes of content in an event.
        max_content_bytes: u32 = 65536,
    }
}

section! {
    /// The ring between kernel and agent.
    Ring {
        /// Size in bytes: a power of two, at least 64 KiB.
        bytes: u32 = 8 << 20,
        /// How often the agent looks while events flow.
        coalesce_ms: u32 = 10,
    }
}

section! {
    /// The process table.
    ProcessTable {
        /// Most bytes it takes.
        max_bytes: u64 = 4 * MIB,
    }
}

section! {
    /// Reports about the sensor itself.
    Health {
        /// How often the health document is written.
        interval_s: u32 = 5,
        /// How often a health report is put among the events.
        report_interval_s: u32 = 300,
        /// How often the sensor starts a process of its own to see that it is seen.
        canary_interval_s: u32 = 600,
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

/// Settings, and where they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub settings: Settings,
    /// The file, unless all are defaults.
    pub path: Option<PathBuf>,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: Option<String>,
}

impl Loaded {
    /// Reads the named file, or the default one if it is there.
    ///
    /// # Errors
    /// [`SettingsError`]; also when a file was named that does not exist.
    pub fn read(named: Option<&Path>) -> Result<Self, SettingsError> {
        let path = named.unwrap_or_else(|| Path::new(DEFAULT_PATH));
        let bytes = match read_capped(path) {
            Err(SettingsError::Read { source, .. })
                if named.is_none() && source.kind() == io::ErrorKind::NotFound =>
            {
                return Ok(Self { settings: Settings::default(), path: None, sha256: None });
            }
            other => other?,
        };
        let settings = parse(path, &bytes)?;
        let sha256 = Hexadecimal(&Sha256::digest(&bytes)).to_string();
        Ok(Self { settings, path: Some(path.to_owned()), sha256: Some(sha256) })
    }
}

/// Bytes as hexadecimal digits.
pub struct Hexadecimal<'b>(pub &'b [u8]);

impl fmt::Display for Hexadecimal<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

fn read_capped(path: &Path) -> Result<Vec<u8>, SettingsError> {
    let wrap = |source| SettingsError::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(wrap)?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE_BYTES + 1), &mut bytes).map_err(wrap)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(SettingsError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Reads and checks settings; `path` is for the messages.
///
/// # Errors
/// [`SettingsError::Shape`] or [`SettingsError::Value`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Settings, SettingsError> {
    let shape = |key: String, message: String| SettingsError::Shape { path: path.to_owned(), key, message };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let settings: Settings = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| shape(error.path().to_string(), error.into_inner().to_string()))?;
    json.end().map_err(|error| shape("end of file".to_owned(), error.to_string()))?;
    check(&settings).map_err(|(key, message)| SettingsError::Value {
        path: path.to_owned(),
        key,
        message,
    })?;
    Ok(settings)
}

/// Bounds that types can't express.
fn check(settings: &Settings) -> Result<(), (&'static str, String)> {
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
    within("health.interval_s", u64::from(settings.health.interval_s), 1, 3600)?;
    within("health.report_interval_s", u64::from(settings.health.report_interval_s), 1, 86_400)?;
    within("health.canary_interval_s", u64::from(settings.health.canary_interval_s), 1, 86_400)?;
    if !settings.runtime_dir.is_absolute() {
        return Err(("runtime_dir", "give an absolute path".to_owned()));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        parse(Path::new("linnet.json"), json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn the_empty_object_is_the_default() {
        assert_eq!(parse(Path::new("x"), b"{}").unwrap(), Settings::default());
    }

    #[test]
    fn the_defaults_are_within_their_own_bounds_and_survive_a_round_trip() {
        let json = serde_json::to_vec(&Settings::default()).unwrap();
        assert_eq!(parse(Path::new("x"), &json).unwrap(), Settings::default());
    }

    #[test]
    fn an_unknown_key_is_refused_by_its_path() {
        let message = refused(r#"{"limits": {"cpu_permile": 100}}"#);
        assert!(
            message.starts_with("linnet.json: limits.cpu_permile: unknown field `cpu_permile`"),
            "{message}"
        );
        assert!(message.contains("cpu_permille"), "{message}");
    }

    #[test]
    fn a_wrong_type_a_second_value_and_a_repeated_key_are_refused_by_their_path() {
        assert!(
            refused(r#"{"output": {"file": {"keep": "four"}}}"#).contains("output.file.keep: invalid type")
        );
        assert!(refused("{} {}").contains("end of file"));
        assert!(refused(r#"{"argv_max_bytes": 100, "argv_max_bytes": 200}"#).contains("duplicate field"));
        assert!(refused("").contains("EOF"));
    }

    #[test]
    fn values_out_of_bounds_name_the_key_and_the_bounds() {
        assert_eq!(
            refused(r#"{"ring": {"bytes": 100000}}"#),
            "linnet.json: ring.bytes: 100000 is not a power of two"
        );
        assert_eq!(
            refused(r#"{"argv_max_bytes": 9000}"#),
            "linnet.json: argv_max_bytes: 9000 is outside 64 to 8192"
        );
        assert!(refused(r#"{"runtime_dir": "run"}"#).contains("runtime_dir: give an absolute path"));
        assert!(refused(r#"{"ring": {"bytes": 134217728}}"#).contains("half of limits.memory_max_bytes"));
    }

    #[test]
    fn a_named_file_must_exist_and_the_default_one_need_not() {
        assert!(Loaded::read(Some(Path::new("/nonexistent/linnet.json"))).is_err());
    }
}
