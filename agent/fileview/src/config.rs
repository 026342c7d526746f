//! The bounds of the file view. Every number here caps something that a hostile or broken machine could grow.

use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Bounds and rates. [`Config::default`] fits a sensor that is limited to half a core and 128 MiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Threads that open and hash. At least 1.
    pub threads: usize,
    /// Threads at most, those included that a dead file system holds fast. At least `threads`.
    pub max_threads: usize,
    /// Requests waiting to be opened; above it they are refused with `queue_full`.
    pub queue_len: usize,
    /// Files opened and waiting for a thread or for the byte rate. Each is a descriptor and keeps its mount busy.
    pub max_open_files: usize,
    /// Files larger than this are not hashed.
    pub max_file_bytes: u64,
    /// Bytes hashed in a second, over time.
    pub bytes_per_second: u64,
    /// Bytes hashed at once after a quiet time. Raised to `max_file_bytes` if below.
    pub burst_bytes: u64,
    /// How long an opened file waits for the byte rate before it is `rate_limited`.
    pub rate_wait: Duration,
    /// How long a request may take in all before it is answered with `timeout`.
    pub deadline: Duration,
    /// A thread that has not moved for so long is held fast by a dead file system and is replaced.
    pub stuck_after: Duration,
    /// Hashes remembered. About 130 bytes each.
    pub cache_entries: usize,
    /// Bytes of a script that are taken.
    pub content_bytes: usize,
    /// Bytes of script contents that are kept in memory.
    pub content_cache_bytes: usize,
    /// Roots of mount namespaces kept open at most.
    pub kept_roots: usize,
    /// How long a root is kept open.
    pub keep_root: Duration,
    /// Mount namespaces whose processes are remembered.
    pub namespaces: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            threads: 1,
            max_threads: 4,
            queue_len: 2048,
            max_open_files: 64,
            max_file_bytes: 64 * MIB,
            bytes_per_second: 64 * MIB,
            burst_bytes: 256 * MIB,
            rate_wait: Duration::from_secs(2),
            deadline: Duration::from_secs(5),
            stuck_after: Duration::from_secs(5),
            cache_entries: 8192,
            content_bytes: 64 * 1024,
            content_cache_bytes: 2 * 1024 * 1024,
            kept_roots: 64,
            keep_root: Duration::from_secs(5),
            namespaces: 512,
        }
    }
}

/// How much is hashed and kept; what can be changed while the view works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// As [`Config::max_file_bytes`].
    pub max_file_bytes: u64,
    /// As [`Config::bytes_per_second`].
    pub bytes_per_second: u64,
    /// As [`Config::burst_bytes`].
    pub burst_bytes: u64,
    /// As [`Config::content_bytes`].
    pub content_bytes: usize,
}

impl Config {
    /// The same with contradictions settled: at least one thread, a burst that lets the largest file through.
    pub(crate) fn settled(mut self) -> Self {
        self.threads = self.threads.clamp(1, 64);
        self.max_threads = self.max_threads.clamp(self.threads, 64);
        self.queue_len = self.queue_len.max(1);
        self.max_open_files = self.max_open_files.max(1);
        self.bytes_per_second = self.bytes_per_second.max(1);
        self.burst_bytes = self.burst_bytes.max(self.max_file_bytes);
        self.cache_entries = self.cache_entries.max(1);
        self
    }
}

/// What is left out under pressure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// Contents of scripts.
    pub contents: bool,
    /// Hashes that are not known yet.
    pub hashes: bool,
}
