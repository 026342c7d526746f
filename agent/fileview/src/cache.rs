//! What was found before: hashes by [`FileId`], script contents in a store bounded in bytes.
//!
//! Invariant: the hash under a key belongs to the file whose device, inode, ctime and size are that key; only results
//! that were verified against the key come in. Failures stay for a second at most: what failed may succeed by another
//! process's road.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::answer::{Content, Missing};
use crate::identity::FileId;

/// How long a failure is remembered, so that a storm does not ask a failing disk again for each process.
const FAILURE_KEPT: Duration = Duration::from_secs(1);
/// What an entry of the content store costs beside its bytes: key, links, table slot, two allocations.
const CONTENT_OVERHEAD: usize = 256;

#[derive(Clone, Copy, Debug)]
enum Entry {
    Hash([u8; 32]),
    Failed(Missing, Instant),
}

/// Hashes, least recently used out first.
#[derive(Debug)]
pub(crate) struct HashCache {
    entries: LruCache<FileId, Entry>,
    capacity: usize,
}

impl HashCache {
    pub(crate) fn new(capacity: usize) -> Self {
        // Unbounded here, bounded in `insert`: a bounded LruCache takes its whole table at once.
        Self { entries: LruCache::unbounded(), capacity: capacity.max(1) }
    }

    /// The hash, or the recent failure.
    pub(crate) fn get(&mut self, id: &FileId) -> Option<Result<[u8; 32], Missing>> {
        match *self.entries.get(id)? {
            Entry::Hash(hash) => Some(Ok(hash)),
            Entry::Failed(missing, at) if at.elapsed() < FAILURE_KEPT => Some(Err(missing)),
            Entry::Failed(..) => {
                self.entries.pop(id);
                None
            }
        }
    }

    pub(crate) fn insert(&mut self, id: FileId, hash: [u8; 32]) {
        self.put(id, Entry::Hash(hash));
    }

    /// Remembers a failure for a moment; never in place of a hash.
    pub(crate) fn insert_failure(&mut self, id: FileId, missing: Missing, now: Instant) {
        if !matches!(self.entries.peek(&id), Some(Entry::Hash(_))) {
            self.put(id, Entry::Failed(missing, now));
        }
    }

    fn put(&mut self, id: FileId, entry: Entry) {
        if self.entries.put(id, entry).is_none() && self.entries.len() > self.capacity {
            self.entries.pop_lru();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keeps the most recently used quarter and gives the rest of the memory back.
    pub(crate) fn shrink(&mut self) {
        let kept = self.capacity.div_ceil(4);
        while self.entries.len() > kept {
            self.entries.pop_lru();
        }
        let mut smaller = LruCache::unbounded();
        while let Some((id, entry)) = self.entries.pop_lru() {
            smaller.put(id, entry);
        }
        if let Some(len) = NonZeroUsize::new(smaller.len()) {
            // `resize` of an unbounded cache to its own length drops nothing and shrinks the table.
            smaller.resize(len);
            smaller.resize(NonZeroUsize::MAX);
        }
        self.entries = smaller;
    }
}

/// Contents of scripts, bounded in bytes, least recently used out first.
#[derive(Debug)]
pub(crate) struct ContentStore {
    entries: LruCache<FileId, Arc<Content>>,
    bytes: usize,
    max_bytes: usize,
}

impl ContentStore {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { entries: LruCache::unbounded(), bytes: 0, max_bytes }
    }

    pub(crate) fn get(&mut self, id: &FileId) -> Option<Arc<Content>> {
        self.entries.get(id).cloned()
    }

    pub(crate) fn insert(&mut self, id: FileId, content: Arc<Content>) {
        let cost = Self::cost(&content);
        if cost > self.max_bytes {
            return;
        }
        self.bytes += cost;
        if let Some(old) = self.entries.put(id, content) {
            self.bytes -= Self::cost(&old);
        }
        while self.bytes > self.max_bytes
            && let Some((_, old)) = self.entries.pop_lru()
        {
            self.bytes -= Self::cost(&old);
        }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.entries = LruCache::unbounded();
        self.bytes = 0;
    }

    fn cost(content: &Content) -> usize {
        content.bytes.len() + CONTENT_OVERHEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(inode: u64) -> FileId {
        FileId { dev: 1, inode, ctime_sec: 7, ctime_nsec: 9, size: 3, fs_magic: 0 }
    }

    fn content(len: usize) -> Arc<Content> {
        Arc::new(Content { bytes: vec![0; len].into(), true_len: len as u64, cut: false })
    }

    #[test]
    fn least_recently_used_hash_goes_first() {
        let mut cache = HashCache::new(2);
        cache.insert(id(1), [1; 32]);
        cache.insert(id(2), [2; 32]);
        assert_eq!(cache.get(&id(1)), Some(Ok([1; 32])));
        cache.insert(id(3), [3; 32]);
        assert_eq!(cache.get(&id(2)), None);
        assert_eq!(cache.get(&id(1)), Some(Ok([1; 32])));
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn any_part_of_the_identity_makes_another_key() {
        let mut cache = HashCache::new(8);
        cache.insert(id(1), [1; 32]);
        for other in [
            FileId { dev: 2, ..id(1) },
            FileId { ctime_sec: 8, ..id(1) },
            FileId { ctime_nsec: 8, ..id(1) },
            FileId { size: 4, ..id(1) },
        ] {
            assert_eq!(cache.get(&other), None);
        }
    }

    #[test]
    fn failure_is_forgotten_after_a_second_and_never_hides_a_hash() {
        let mut cache = HashCache::new(8);
        let now = Instant::now();
        cache.insert_failure(id(1), Missing::Timeout, now);
        assert_eq!(cache.get(&id(1)), Some(Err(Missing::Timeout)));
        cache.insert_failure(id(2), Missing::Timeout, now - Duration::from_millis(1001));
        assert_eq!(cache.get(&id(2)), None);
        cache.insert(id(1), [1; 32]);
        cache.insert_failure(id(1), Missing::Timeout, now);
        assert_eq!(cache.get(&id(1)), Some(Ok([1; 32])));
    }

    #[test]
    fn shrinking_keeps_the_most_recent_quarter() {
        let mut cache = HashCache::new(100);
        for inode in 0..100 {
            cache.insert(id(inode), [0; 32]);
        }
        cache.shrink();
        assert_eq!(cache.len(), 25);
        assert_eq!(cache.get(&id(99)), Some(Ok([0; 32])));
        assert_eq!(cache.get(&id(74)), None);
        for inode in 200..400 {
            cache.insert(id(inode), [0; 32]);
        }
        assert_eq!(cache.len(), 100);
    }

    #[test]
    fn contents_stay_inside_their_bytes() {
        let mut store = ContentStore::new(10_000);
        for inode in 0..1000 {
            store.insert(id(inode), content(1000));
            store.insert(id(inode), content(500));
            assert!(store.bytes() <= 10_000);
        }
        assert!(store.get(&id(999)).is_some());
        assert!(store.get(&id(1)).is_none());
        store.insert(id(5000), content(10_000));
        assert!(store.get(&id(5000)).is_none(), "larger than the store");
        store.clear();
        assert_eq!(store.bytes(), 0);
    }
}
