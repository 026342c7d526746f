//! The door of the crate: asking, being told, tending.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::answer::{Answer, Done, Facts, Missing, Purpose, Request};
use crate::config::{Budget, Config, Shed};
use crate::counters::Counters;
use crate::identity::FileId;
use crate::lock::lock;
use crate::siblings::Sighting;
use crate::worker::{Shared, replace_stuck, seat_worker};

/// Hashes and script contents of files as the container sees them.
///
/// Questions are answered from memory or booked; threads named `linnet-hash` find, verify and read the files and hand
/// the results to the function given to [`FileView::new`]. Call [`FileView::tend`] about once a second: it is what
/// answers requests that a dead file system holds up. When dropped, the threads end after the file they are at,
/// and tickets that are pending otherwise stay without an answer.
pub struct FileView {
    shared: Arc<Shared>,
}

impl FileView {
    /// Starts the threads. `deliver` is called by them (and by `tend`) once for each ticket, with no lock held; it
    /// should not block, since a thread that waits in it does not hash.
    ///
    /// # Errors
    /// A thread could not be started (the pids limit, say).
    pub fn new(config: Config, deliver: impl Fn(Done) + Send + Sync + 'static) -> io::Result<Self> {
        let view = Self { shared: Arc::new(Shared::new(config.settled(), Box::new(deliver))) };
        for _ in 0..view.shared.config.threads {
            seat_worker(&view.shared)?;
        }
        Ok(view)
    }

    /// What is known of a file, from memory alone: no system call, no allocation, well under a microsecond. `None` means
    /// that [`FileView::look_up`] would have to book it. Counts as a hit when it is one.
    #[must_use]
    pub fn peek(&self, id: &FileId, purpose: Purpose) -> Option<Result<Facts, Missing>> {
        lock(&self.shared.desk).peek(&id.normalized(), purpose)
    }

    /// Answers from memory, or books the request. Never waits for a file; a booking may wake a sleeping thread.
    ///
    /// Requests for the same file and purpose as one under way share its ticket: the caller keeps what waits for a
    /// ticket, and [`Done`] comes once for it. It can come before this call returns, in another thread.
    #[must_use]
    pub fn look_up(&self, mut request: Request) -> Answer {
        request.id = request.id.normalized();
        let (answer, wake) = {
            let mut desk = lock(&self.shared.desk);
            if let Some(known) = desk.peek(&request.id, request.purpose) {
                return Answer::Hit(known);
            }
            let booked = desk.book(request, Instant::now());
            if booked.1 {
                self.shared.urgent.store(true, Ordering::Release);
            }
            booked
        };
        if wake {
            self.shared.wake.notify_one();
        }
        answer
    }

    /// Remembers a process as a way into its mount namespace, and has the namespace's root kept for a while. To be
    /// called at exec (a process that has only been forked may not have entered its container's root yet), before
    /// [`FileView::look_up`]. Cheap for processes of the agent's own namespace, which need it not.
    pub fn note_process(&self, mnt_ns: u32, pid: u32, start_ticks: u64) {
        let sighting = Sighting { mnt_ns, pid, start_ticks };
        if !self.shared.roads.note(sighting) {
            return;
        }
        let wake = {
            let mut desk = lock(&self.shared.desk);
            let booked = desk.hashes() && desk.ask_to_keep(sighting);
            if booked {
                self.shared.urgent.store(true, Ordering::Release);
            }
            booked
        };
        if wake {
            self.shared.wake.notify_one();
        }
    }

    /// Ends requests that are overdue with [`Missing::Timeout`] and replaces threads that a dead file system holds fast.
    /// Makes no call that such a file system could hold up.
    pub fn tend(&self) {
        let now = Instant::now();
        self.shared.roads.bans.tend(now);
        let stuck = replace_stuck(&self.shared, now);
        let ended = {
            let mut desk = lock(&self.shared.desk);
            desk.counters.stuck += stuck;
            desk.overdue(now)
        };
        for done in ended {
            (self.shared.deliver)(done);
        }
    }

    /// Switches hashing on or off. Off, what is known is still answered, the rest is refused as `disabled`.
    pub fn set_hashing(&self, on: bool) {
        lock(&self.shared.desk).hashing = on;
        if !on {
            self.shared.roads.drop_kept_roots();
        }
    }

    /// Switches script contents on or off; hashes of scripts are still made.
    pub fn set_script_contents(&self, on: bool) {
        lock(&self.shared.desk).set_contents_wanted(on);
    }

    /// Leaves things out while the sensor is pressed. What is known is still answered; a hash that is not is refused as
    /// `shed`, and a script without its content says so. Files that are being read are finished.
    pub fn set_shed(&self, shed: Shed) {
        lock(&self.shared.desk).set_shed(shed);
        if shed.hashes {
            self.shared.roads.drop_kept_roots();
        }
    }

    /// Changes how much is hashed and kept, from the next request on.
    pub fn set_budget(&self, budget: Budget) {
        lock(&self.shared.desk).set_budget(budget, Instant::now());
    }

    /// Gives back what memory it can: all script contents, three quarters of the hashes, kept roots.
    pub fn release_memory(&self) {
        lock(&self.shared.desk).release_memory();
        self.shared.roads.drop_kept_roots();
    }

    /// Counts since the start and present levels.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let counters = lock(&self.shared.desk).levels();
        let threads = lock(&self.shared.seats).len();
        let (kept_roots, mount_table_bytes) =
            (self.shared.roads.kept_roots(), self.shared.roads.mount_table_bytes());
        Counters { threads, kept_roots, mount_table_bytes, ..counters }
    }
}

impl Drop for FileView {
    fn drop(&mut self) {
        lock(&self.shared.desk).stopping = true;
        self.shared.urgent.store(true, Ordering::Release);
        self.shared.wake.notify_all();
    }
}
