//! The threads that open and hash.
//!
//! Between two reads of a large file a thread opens what has arrived meanwhile, so that one thread is enough to catch
//! short-lived processes. Each thread has a [`Seat`]; [`replace_stuck`] gives another thread a seat when one is held
//! fast, and a thread that comes back to a seat that was given up ends.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::answer::{Done, Missing, Purpose, Ticket};
use crate::bans::Ban;
use crate::config::Config;
use crate::desk::{Arrival, Desk, Key, Opened, Step};
use crate::digest::{CHUNK_BYTES, digest, ripeness};
use crate::kernel_numbers::KernelNumbers;
use crate::lock::lock;
use crate::roads::Roads;
use crate::seat::Seat;
use crate::siblings::Sighting;

/// Enough for the deepest call here several times over; only touched pages cost memory.
const STACK_BYTES: usize = 128 * 1024;

/// All that the threads and the caller share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) desk: Mutex<Desk>,
    pub(crate) wake: Condvar,
    /// Whether something waits to be opened, readable without the lock.
    pub(crate) urgent: AtomicBool,
    pub(crate) roads: Roads,
    pub(crate) seats: Mutex<Vec<Arc<Seat>>>,
    pub(crate) deliver: Box<dyn Fn(Done) + Send + Sync>,
}

impl Shared {
    pub(crate) fn new(config: Config, deliver: Box<dyn Fn(Done) + Send + Sync>) -> Self {
        Self {
            desk: Mutex::new(Desk::new(&config, Instant::now())),
            wake: Condvar::new(),
            urgent: AtomicBool::new(false),
            roads: Roads::new(&config),
            seats: Mutex::new(Vec::new()),
            deliver,
            config,
        }
    }
}

/// Starts a thread on a new seat.
pub(crate) fn seat_worker(shared: &Arc<Shared>) -> io::Result<()> {
    let seat = Arc::new(Seat::new(Instant::now()));
    let worker = Worker {
        shared: Arc::clone(shared),
        seat: Arc::clone(&seat),
        numbers: KernelNumbers::default(),
        buffer: Vec::new(),
    };
    thread::Builder::new()
        .name("linnet-hash".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || worker.run())?;
    lock(&shared.seats).push(seat);
    Ok(())
}

/// Replaces threads that are held fast, as far as `max_threads` allows; gives how many were found.
pub(crate) fn replace_stuck(shared: &Arc<Shared>, now: Instant) -> u64 {
    let mut found = 0;
    let free = {
        let mut seats = lock(&shared.seats);
        seats.retain(|seat| !seat.has_ended());
        for seat in seats.iter().filter(|seat| !seat.is_abandoned()) {
            if let Some(blamed) = seat.abandon_if_stuck(shared.config.stuck_after, now) {
                shared.roads.bans.add(blamed, now);
                found += 1;
            }
        }
        let at_work = seats.iter().filter(|seat| !seat.is_abandoned()).count();
        let wanted = shared.config.threads.saturating_sub(at_work);
        wanted.min(shared.config.max_threads.saturating_sub(seats.len()))
    };
    for _ in 0..free {
        // Refused (the pids limit): the next call tries again.
        if seat_worker(shared).is_err() {
            break;
        }
    }
    found
}

struct Worker {
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    numbers: KernelNumbers,
    buffer: Vec<u8>,
}

impl Worker {
    fn run(mut self) {
        while !self.seat.is_abandoned() {
            match self.wait_for_step() {
                Step::KeepRoot(sighting) => self.keep_root(sighting),
                Step::Open(arrival, joined) => self.open(&arrival, joined),
                Step::Hash(opened) => self.hash(opened),
                Step::Finish(ticket, key, missing) => self.finish(ticket, key, missing),
                Step::Sleep(_) => {}
                Step::Stop => break,
            }
        }
        self.seat.end();
    }

    /// Waits until there may be something to do.
    fn wait_for_step(&self) -> Step {
        self.seat.rests();
        let now = Instant::now();
        let next_look = self.shared.roads.tend(now);
        let mut desk = lock(&self.shared.desk);
        let step = desk.next(now, false);
        self.shared.urgent.store(desk.has_urgent(), Ordering::Release);
        let Step::Sleep(wait) = step else { return step };
        let wake = &self.shared.wake;
        match wait.into_iter().chain(next_look).min() {
            Some(wait) => drop(wake.wait_timeout(desk, wait).unwrap_or_else(PoisonError::into_inner)),
            None => drop(wake.wait(desk).unwrap_or_else(PoisonError::into_inner)),
        }
        Step::Sleep(None)
    }

    fn keep_root(&self, sighting: Sighting) {
        self.seat.touches(Ban::Namespace(sighting.mnt_ns));
        self.shared.roads.keep_root(sighting);
    }

    fn open(&mut self, arrival: &Arrival, joined: Option<Sighting>) {
        let again = (arrival.request.purpose == Purpose::Executable).then(|| Box::new(arrival.clone()));
        self.open_once(arrival, joined, again);
    }

    fn open_once(&mut self, arrival: &Arrival, joined: Option<Sighting>, again: Option<Box<Arrival>>) {
        let request = &arrival.request;
        let opened = self.shared.roads.open(request, joined, &mut self.numbers, &self.seat);
        let now = Instant::now();
        let key = (request.id, request.purpose);
        let missing = match opened {
            Err(missing) => missing,
            Ok(file) => {
                let ripe_at = now + ripeness(file.seen.ctime);
                let mut desk = lock(&self.shared.desk);
                let rate_until = arrival.arrived + desk.rate_wait();
                return desk.add_opened(Opened {
                    ticket: arrival.ticket,
                    key,
                    file,
                    ripe_at,
                    rate_until,
                    again,
                });
            }
        };
        self.finish(arrival.ticket, key, missing);
    }

    fn hash(&mut self, opened: Opened) {
        let Opened { ticket, key, file, again, .. } = opened;
        let (id, purpose) = key;
        let content_bytes = lock(&self.shared.desk).content_bytes(purpose);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(CHUNK_BYTES, 0);
        let result = digest(&file.fd, &file.seen, content_bytes, &mut buffer, || {
            self.open_what_arrived();
            self.seat.touches(Ban::Device(id.dev));
        });
        self.buffer = buffer;
        let result = result.map(|digest| (digest, file.road, file.touched));
        // The descriptor keeps the mount busy: closed before anybody is told.
        drop(file);
        if let (Err(Missing::Changed), Some(arrival)) = (&result, again) {
            return self.open_once(&arrival, None, None);
        }
        let done = lock(&self.shared.desk).finish(ticket, key, result, Instant::now());
        self.deliver(done);
    }

    fn open_what_arrived(&mut self) {
        while self.shared.urgent.load(Ordering::Acquire) {
            let step = {
                let mut desk = lock(&self.shared.desk);
                let step = desk.next(Instant::now(), true);
                // Not "has urgent": what is left when opened files are at their bound has to wait for this one.
                self.shared.urgent.store(!matches!(step, Step::Sleep(_)), Ordering::Release);
                step
            };
            match step {
                Step::KeepRoot(sighting) => self.keep_root(sighting),
                Step::Open(arrival, joined) => self.open(&arrival, joined),
                Step::Finish(ticket, key, missing) => self.finish(ticket, key, missing),
                Step::Hash(_) | Step::Sleep(_) | Step::Stop => break,
            }
        }
    }

    fn finish(&self, ticket: Ticket, key: Key, missing: Missing) {
        let done = lock(&self.shared.desk).finish(ticket, key, Err(missing), Instant::now());
        self.deliver(done);
    }

    fn deliver(&self, done: Option<Done>) {
        if let Some(done) = done {
            // A receiver that blocks is no dead file system.
            self.seat.rests();
            (self.shared.deliver)(done);
        }
    }
}
