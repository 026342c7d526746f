//! What is known, what is under way, and what a free thread does next. Decides only: no system call is made here.
//!
//! Invariants: each ticket ends once, in [`Desk::finish`] or [`Desk::overdue`]. Waiting requests, opened files and roots to
//! keep are bounded. Opening goes before hashing: a file that is open can be hashed when there is time, one that is not
//! may be gone by then.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::answer::{Answer, Done, Facts, Missing, Purpose, Request, Road, Ticket};
use crate::cache::{ContentStore, HashCache};
use crate::config::{Budget, Config, Shed};
use crate::counters::Counters;
use crate::digest::Digest;
use crate::identity::FileId;
use crate::rate::ByteRate;
use crate::roads::OpenFile;
use crate::siblings::Sighting;

/// Roots waiting to be kept; more are left out, the next process of the namespace asks again.
const MAX_KEEP: usize = 128;

/// What is asked for: one lookup under way for each.
pub(crate) type Key = (FileId, Purpose);

#[derive(Debug)]
struct Flight {
    ticket: Ticket,
    arrived: Instant,
    joined: Option<Sighting>,
}

/// A request that waits to be opened.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) ticket: Ticket,
    pub(crate) arrived: Instant,
    pub(crate) request: Request,
}

/// An open file that waits to be hashed.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) ticket: Ticket,
    pub(crate) key: Key,
    pub(crate) file: OpenFile,
    /// Not to be read before; see `digest::ripeness`.
    pub(crate) ripe_at: Instant,
    /// `rate_limited` when the byte rate has not let it through by then.
    pub(crate) rate_until: Instant,
    /// Asked again, once, when the file changes while it waits or is read: an executable that is renamed over has a new ctime, and
    /// while its process lives there is a road that lets that pass.
    pub(crate) again: Option<Box<Arrival>>,
}

/// What a thread is to do.
#[derive(Debug)]
pub(crate) enum Step {
    KeepRoot(Sighting),
    Open(Arrival, Option<Sighting>),
    Hash(Opened),
    Finish(Ticket, Key, Missing),
    Sleep(Option<Duration>),
    Stop,
}

#[derive(Debug)]
pub(crate) struct Desk {
    hashes: HashCache,
    contents: ContentStore,
    flights: HashMap<Key, Flight>,
    arrivals: VecDeque<Arrival>,
    opened: VecDeque<Opened>,
    keep: VecDeque<Sighting>,
    rate: ByteRate,
    next_ticket: u64,
    config: Config,
    pub(crate) hashing: bool,
    pub(crate) contents_wanted: bool,
    shed: Shed,
    /// Why contents were last not taken.
    without_content: Missing,
    pub(crate) stopping: bool,
    pub(crate) counters: Counters,
}

impl Desk {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        Self {
            hashes: HashCache::new(config.cache_entries),
            contents: ContentStore::new(config.content_cache_bytes),
            flights: HashMap::new(),
            arrivals: VecDeque::new(),
            opened: VecDeque::new(),
            keep: VecDeque::new(),
            rate: ByteRate::new(config.bytes_per_second, config.burst_bytes, now),
            next_ticket: 1,
            config: config.clone(),
            hashing: true,
            contents_wanted: true,
            shed: Shed::default(),
            without_content: Missing::Disabled,
            stopping: false,
            counters: Counters::default(),
        }
    }

    /// Changes how much is hashed and kept. Contents that were cut at another length are forgotten.
    pub(crate) fn set_budget(&mut self, budget: Budget, now: Instant) {
        let Budget { max_file_bytes, bytes_per_second, burst_bytes, content_bytes } = budget;
        if content_bytes != self.config.content_bytes {
            self.contents.clear();
        }
        let config =
            Config { max_file_bytes, bytes_per_second, burst_bytes, content_bytes, ..self.config.clone() };
        self.config = config.settled();
        self.rate = ByteRate::new(self.config.bytes_per_second, self.config.burst_bytes, now);
    }

    /// What is known without asking anybody. `id` is normalized.
    pub(crate) fn peek(&mut self, id: &FileId, purpose: Purpose) -> Option<Result<Facts, Missing>> {
        let known = match self.hashes.get(id)? {
            Ok(sha256) => {
                let content = if self.wants_content(purpose) { Some(self.contents.get(id)?) } else { None };
                let content_missing = self.content_missing(purpose, content.is_some());
                Ok(Facts { sha256, road: Road::Cache, content, content_missing, touched: false })
            }
            Err(missing) => Err(missing),
        };
        self.counters.hits += 1;
        match &known {
            Ok(_) => self.counters.count_road(Road::Cache),
            Err(missing) => self.counters.count_missing(*missing),
        }
        Some(known)
    }

    /// Books a request that `peek` had no answer to; true when a thread should be woken.
    pub(crate) fn book(&mut self, request: Request, now: Instant) -> (Answer, bool) {
        let key = (request.id, request.purpose);
        if let Some(flight) = self.flights.get_mut(&key) {
            let Request { mnt_ns, pid, start_ticks, .. } = request;
            flight.joined = Some(Sighting { mnt_ns, pid, start_ticks });
            self.counters.joined += 1;
            return (Answer::Pending(flight.ticket), false);
        }
        let refused = if !self.hashing {
            Some(Missing::Disabled)
        } else if self.shed.hashes {
            Some(Missing::Shed)
        } else if request.id.size > self.config.max_file_bytes {
            Some(Missing::TooLarge)
        } else if self.arrivals.len() >= self.config.queue_len {
            Some(Missing::QueueFull)
        } else {
            None
        };
        if let Some(missing) = refused {
            self.counters.count_missing(missing);
            return (Answer::Refused(missing), false);
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.counters.misses += 1;
        self.flights.insert(key, Flight { ticket, arrived: now, joined: None });
        self.arrivals.push_back(Arrival { ticket, arrived: now, request });
        (Answer::Pending(ticket), true)
    }

    /// Asks for a root to be kept; false when too many wait.
    pub(crate) fn ask_to_keep(&mut self, sighting: Sighting) -> bool {
        let room = self.keep.len() < MAX_KEEP;
        if room {
            self.keep.push_back(sighting);
        }
        room
    }

    /// The next step of a thread that has nothing to do. A thread in the middle of a file passes `only_open`.
    pub(crate) fn next(&mut self, now: Instant, only_open: bool) -> Step {
        if self.stopping {
            return Step::Stop;
        }
        if let Some(sighting) = self.keep.pop_front() {
            return Step::KeepRoot(sighting);
        }
        if self.opened.len() < self.config.max_open_files
            && let Some(arrival) = self.arrivals.pop_front()
        {
            let key = (arrival.request.id, arrival.request.purpose);
            let flight = self.flights.get(&key).filter(|flight| flight.ticket == arrival.ticket);
            // An overdue flight has been answered; finishing it again does nothing.
            return match flight {
                Some(flight) => Step::Open(arrival, flight.joined),
                None => Step::Finish(arrival.ticket, key, Missing::Timeout),
            };
        }
        if only_open { Step::Sleep(None) } else { self.next_hash(now) }
    }

    /// The first opened file that is ripe and that the byte rate lets through; smaller ones may overtake larger ones.
    fn next_hash(&mut self, now: Instant) -> Step {
        let mut sleep: Option<Duration> = None;
        for index in 0..self.opened.len() {
            let Some(opened) = self.opened.get(index) else { break };
            let wait = match opened.ripe_at.checked_duration_since(now) {
                Some(wait) if !wait.is_zero() => wait,
                _ => match self.rate.take(opened.file.seen.size, now) {
                    Ok(()) => return self.opened.remove(index).map_or(Step::Sleep(None), Step::Hash),
                    Err(wait) if now + wait > opened.rate_until => {
                        let Some(opened) = self.opened.remove(index) else { break };
                        return Step::Finish(opened.ticket, opened.key, Missing::RateLimited);
                    }
                    Err(wait) => wait,
                },
            };
            sleep = Some(sleep.map_or(wait, |least| least.min(wait)));
        }
        Step::Sleep(sleep)
    }

    /// Takes an opened file in.
    pub(crate) fn add_opened(&mut self, opened: Opened) {
        self.opened.push_back(opened);
    }

    /// How long after arrival an opened file may wait for the byte rate.
    pub(crate) const fn rate_wait(&self) -> Duration {
        self.config.rate_wait
    }

    /// Bytes of content to take for a purpose.
    pub(crate) fn content_bytes(&self, purpose: Purpose) -> Option<usize> {
        self.wants_content(purpose).then_some(self.config.content_bytes)
    }

    /// Notes what became of a file: the facts for the caches, and the ticket's end unless it was answered before.
    pub(crate) fn finish(
        &mut self,
        ticket: Ticket,
        key: Key,
        result: Result<(Digest, Road, bool), Missing>,
        now: Instant,
    ) -> Option<Done> {
        let (id, purpose) = key;
        let result = match result {
            Ok((Digest { sha256, content }, road, touched)) => {
                self.counters.hashed_files += 1;
                self.counters.hashed_bytes += id.size;
                if !touched {
                    self.hashes.insert(id, sha256);
                    if let Some(content) = &content {
                        self.contents.insert(id, content.clone());
                    }
                }
                let content_missing = self.content_missing(purpose, content.is_some());
                Ok(Facts { sha256, road, content, content_missing, touched })
            }
            Err(missing) => {
                if matches!(missing, Missing::Io(_) | Missing::Timeout) {
                    self.hashes.insert_failure(id, missing, now);
                }
                Err(missing)
            }
        };
        if self.flights.get(&key).is_none_or(|flight| flight.ticket != ticket) {
            return None;
        }
        self.flights.remove(&key);
        match &result {
            Ok(facts) => self.counters.count_road(facts.road),
            Err(missing) => self.counters.count_missing(*missing),
        }
        Some(Done { ticket, id, purpose, result })
    }

    /// Ends what has taken longer than the deadline.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<Done> {
        let deadline = self.config.deadline;
        let late = |flight: &Flight| now.saturating_duration_since(flight.arrived) >= deadline;
        let late: Vec<(Key, Ticket)> = self
            .flights
            .iter()
            .filter(|(_, flight)| late(flight))
            .map(|(key, flight)| (*key, flight.ticket))
            .collect();
        let ended: Vec<Done> = late
            .into_iter()
            .filter_map(|(key, ticket)| self.finish(ticket, key, Err(Missing::Timeout), now))
            .collect();
        if !ended.is_empty() {
            // Their requests hold paths, their files descriptors.
            let flights = &self.flights;
            let alive =
                |key: &Key, ticket: Ticket| flights.get(key).is_some_and(|flight| flight.ticket == ticket);
            self.arrivals
                .retain(|arrival| alive(&(arrival.request.id, arrival.request.purpose), arrival.ticket));
            self.opened.retain(|opened| alive(&opened.key, opened.ticket));
        }
        ended
    }

    pub(crate) fn has_urgent(&self) -> bool {
        self.stopping || !self.keep.is_empty() || !self.arrivals.is_empty()
    }

    /// Drops contents and all but the most recently used quarter of the hashes.
    pub(crate) fn release_memory(&mut self) {
        self.contents.clear();
        self.hashes.shrink();
        self.flights.shrink_to_fit();
        self.arrivals.shrink_to_fit();
        self.opened.shrink_to_fit();
    }

    /// The counters with the present levels filled in.
    pub(crate) fn levels(&self) -> Counters {
        Counters {
            cache_entries: self.hashes.len(),
            content_bytes: self.contents.bytes(),
            waiting: self.arrivals.len(),
            open_files: self.opened.len(),
            ..self.counters.clone()
        }
    }

    /// Whether files that are not known are hashed.
    pub(crate) const fn hashes(&self) -> bool {
        self.hashing && !self.shed.hashes
    }

    /// Leaves things out, or takes them up again.
    pub(crate) fn set_shed(&mut self, shed: Shed) {
        self.shed = shed;
        self.note_contents();
    }

    /// Switches contents on or off.
    pub(crate) fn set_contents_wanted(&mut self, on: bool) {
        self.contents_wanted = on;
        self.note_contents();
    }

    const fn note_contents(&mut self) {
        if !self.contents_wanted {
            self.without_content = Missing::Disabled;
        } else if self.shed.contents {
            self.without_content = Missing::Shed;
        }
    }

    const fn wants_content(&self, purpose: Purpose) -> bool {
        self.contents_wanted
            && !self.shed.contents
            && self.config.content_bytes > 0
            && matches!(purpose, Purpose::Script)
    }

    /// Why a script is without content: for what holds now, or held last, when it was read.
    const fn content_missing(&self, purpose: Purpose, is_there: bool) -> Option<Missing> {
        if is_there || !matches!(purpose, Purpose::Script) { None } else { Some(self.without_content) }
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
