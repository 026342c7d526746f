//! What the file view did so far, and its present levels, for status and health reports.

use crate::answer::{Missing, Road};

/// Counts since the start; the last group are levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Answered at once from the cache.
    pub hits: u64,
    /// Booked as a new lookup.
    pub misses: u64,
    /// Joined a lookup that was under way.
    pub joined: u64,
    /// Files hashed.
    pub hashed_files: u64,
    /// Bytes hashed.
    pub hashed_bytes: u64,
    /// Answers with facts, by [`Road::index`]. One for each ticket and each hit.
    pub roads: [u64; Road::ALL.len()],
    /// Answers without, by [`Missing::index`].
    pub missing: [u64; Missing::NAMES.len()],
    /// Threads that were held fast by a file system and replaced.
    pub stuck: u64,
    /// Threads now, those held fast included.
    pub threads: usize,
    /// Hashes remembered.
    pub cache_entries: usize,
    /// Bytes of script contents kept.
    pub content_bytes: usize,
    /// Requests waiting to be opened.
    pub waiting: usize,
    /// Files opened and waiting to be hashed.
    pub open_files: usize,
    /// Roots of mount namespaces held.
    pub kept_roots: usize,
    /// Bytes of the table of mounts.
    pub mount_table_bytes: usize,
}

impl Counters {
    /// Answers that came by this road.
    #[must_use]
    pub fn by_road(&self, road: Road) -> u64 {
        self.roads.get(road.index()).copied().unwrap_or(0)
    }

    /// Answers that are missing for this reason; an `Io` of any number counts as one reason.
    #[must_use]
    pub fn by_missing(&self, missing: Missing) -> u64 {
        self.missing.get(missing.index()).copied().unwrap_or(0)
    }

    pub(crate) fn count_road(&mut self, road: Road) {
        if let Some(count) = self.roads.get_mut(road.index()) {
            *count += 1;
        }
    }

    pub(crate) fn count_missing(&mut self, missing: Missing) {
        if let Some(count) = self.missing.get_mut(missing.index()) {
            *count += 1;
        }
    }
}
