//! Execs whose files are still being read.
//!
//! An exec waits here for its hash, for a bounded time and in a bounded number; everything else flows past it. What the same process
//! does next, another exec or its end, is held behind it, so that each process is told of in order.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use linnet_ebpf::Exit;
use linnet_fileview::{Missing, Ticket};

use super::files::Slot;
use crate::{
    event::{Outcome, exec::Context},
    process::Key,
};

/// Execs that wait at most; about 4 MiB of records.
pub const MAX_PARKED: usize = 4096;

/// A record kept beyond its place in the ring, aligned as there.
#[derive(Clone, Debug)]
pub struct KeptRecord {
    words: Box<[u64]>,
    len: usize,
}

impl KeptRecord {
    /// Copies a record.
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0u64; bytes.len().div_ceil(8)].into_boxed_slice();
        let target: &mut [u8] = zerocopy::IntoBytes::as_mut_bytes(&mut *words);
        for (to, from) in target.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self { words, len: bytes.len() }
    }

    /// The record.
    pub fn bytes(&self) -> &[u8] {
        zerocopy::IntoBytes::as_bytes(&*self.words).get(..self.len).unwrap_or_default()
    }
}

/// An exec that waits.
#[derive(Debug)]
pub struct Parked {
    /// The record.
    pub record: KeptRecord,
    /// What the table said of it at the time.
    pub context: Context,
    /// Its executable.
    pub exe: Slot,
    /// Its script.
    pub script: Slot,
    /// Ends of the process that came meanwhile: one, but for records of a damaged ring.
    pub exits: Vec<Exit>,
    /// An earlier exec of the same process still waits.
    behind: bool,
    /// The next exec of the same process.
    next: Option<u64>,
}

impl Parked {
    /// An exec that waits for its files, or behind another.
    pub fn new(record: KeptRecord, context: Context, exe: Slot, script: Slot) -> Self {
        Self { record, context, exe, script, exits: Vec::new(), behind: false, next: None }
    }

    fn may_leave(&self) -> bool {
        !self.behind && matches!((&self.exe, &self.script), (Slot::Settled(_), Slot::Settled(_)))
    }

    fn settle(&mut self, ticket: Ticket, outcome: &Outcome) {
        for slot in [&mut self.exe, &mut self.script] {
            if matches!(slot, Slot::Waiting(waiting) if *waiting == ticket) {
                *slot = Slot::Settled(outcome.clone());
            }
        }
    }

    fn give_up(&mut self) {
        for slot in [&mut self.exe, &mut self.script] {
            if matches!(slot, Slot::Waiting(_)) {
                *slot = Slot::Settled(Outcome::Missing(Missing::Timeout));
            }
        }
    }
}

/// The execs that wait.
pub struct ParkingLot {
    parked: HashMap<u64, Parked>,
    by_ticket: HashMap<Ticket, Vec<u64>>,
    by_process: HashMap<Key, u64>,
    by_deadline: VecDeque<(Instant, u64)>,
    next: u64,
    wait: Duration,
}

impl ParkingLot {
    /// An empty lot in which an exec waits for at most `wait`.
    pub fn new(wait: Duration) -> Self {
        Self {
            parked: HashMap::new(),
            by_ticket: HashMap::new(),
            by_process: HashMap::new(),
            by_deadline: VecDeque::new(),
            next: 0,
            wait,
        }
    }

    /// Changes how long those that come from now on wait at most. One behind an earlier one may wait as long as that.
    pub fn set_wait(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// Whether another exec may wait.
    pub fn has_room(&self) -> bool {
        self.parked.len() < MAX_PARKED
    }

    /// Whether an exec of this process waits.
    pub fn holds(&self, key: Key) -> bool {
        self.by_process.contains_key(&key)
    }

    /// Takes an exec that waits for something.
    pub fn park(&mut self, mut parked: Parked, now: Instant) {
        let id = self.next;
        self.next += 1;
        for slot in [&parked.exe, &parked.script] {
            if let Slot::Waiting(ticket) = slot {
                self.by_ticket.entry(*ticket).or_default().push(id);
            }
        }
        if let Some(before) =
            self.by_process.insert(parked.context.key, id).and_then(|id| self.parked.get_mut(&id))
        {
            before.next = Some(id);
            parked.behind = true;
        }
        self.by_deadline.push_back((now + self.wait, id));
        self.parked.insert(id, parked);
    }

    /// Holds an exit behind the exec of its process, if that waits.
    pub fn hold(&mut self, key: Key, exit: &Exit) -> bool {
        let Some(parked) = self.by_process.get(&key).and_then(|id| self.parked.get_mut(id)) else {
            return false;
        };
        parked.exits.push(*exit);
        true
    }

    /// A ticket's answer has come: gives the execs that are complete now.
    pub fn settle(&mut self, ticket: Ticket, outcome: &Outcome) -> Vec<Parked> {
        let ids = self.by_ticket.remove(&ticket).unwrap_or_default();
        let mut complete = Vec::new();
        for id in ids {
            if let Some(parked) = self.parked.get_mut(&id) {
                parked.settle(ticket, outcome);
                self.release(id, &mut complete);
            }
        }
        complete
    }

    /// Gives the execs whose time is over, with what is missing marked so.
    pub fn expire(&mut self, now: Instant) -> Vec<Parked> {
        let mut expired = Vec::new();
        while let Some(&(deadline, id)) = self.by_deadline.front()
            && (deadline <= now || !self.parked.contains_key(&id))
        {
            self.by_deadline.pop_front();
            self.forget_tickets(id);
            if let Some(parked) = self.parked.get_mut(&id) {
                parked.give_up();
                self.release(id, &mut expired);
            }
        }
        expired
    }

    /// Lets an exec go if nothing holds it, and then those that waited only for it.
    fn release(&mut self, first: u64, out: &mut Vec<Parked>) {
        let mut id = first;
        while self.parked.get(&id).is_some_and(Parked::may_leave) {
            let Some(parked) = self.leave(id) else { return };
            let next = parked.next;
            out.push(parked);
            let Some(next) = next else { return };
            if let Some(follower) = self.parked.get_mut(&next) {
                follower.behind = false;
            }
            id = next;
        }
    }

    /// When the first exec's time is over.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.by_deadline.front().map(|(deadline, _)| *deadline)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }

    fn leave(&mut self, id: u64) -> Option<Parked> {
        self.forget_tickets(id);
        let parked = self.parked.remove(&id)?;
        if self.by_process.get(&parked.context.key) == Some(&id) {
            self.by_process.remove(&parked.context.key);
        }
        if self.parked.is_empty() {
            self.by_deadline.clear();
        }
        Some(parked)
    }

    fn forget_tickets(&mut self, id: u64) {
        let Some(parked) = self.parked.get(&id) else { return };
        for slot in [&parked.exe, &parked.script] {
            if let Slot::Waiting(ticket) = slot
                && let Some(ids) = self.by_ticket.get_mut(ticket)
            {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    self.by_ticket.remove(ticket);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::process::{Image, cgroups::Cgroup};

    fn parked(pid: u32, exe: Slot, script: Slot) -> Parked {
        let key = Key { pid, start_ticks: 1 };
        let image = Rc::new(Image { name: "x".into(), path: "/x".into(), sound: false });
        let context = Context {
            key,
            parent: key,
            parent_image: None,
            image,
            cgroup: Rc::new(Cgroup { path: "/".into(), container: None }),
            ancestors: Rc::from([]),
            exec_count: 1,
        };
        Parked::new(KeptRecord::new(b"123456789"), context, exe, script)
    }

    fn lot() -> ParkingLot {
        ParkingLot::new(Duration::from_secs(1))
    }

    #[test]
    fn a_kept_record_is_the_record() {
        assert_eq!(KeptRecord::new(b"123456789").bytes(), b"123456789");
        assert_eq!(KeptRecord::new(b"").bytes(), b"");
    }

    #[test]
    fn an_exec_leaves_when_both_its_files_are_settled() {
        let mut lot = lot();
        lot.park(parked(1, Slot::Waiting(Ticket(1)), Slot::Waiting(Ticket(2))), Instant::now());
        assert!(lot.settle(Ticket(1), &Outcome::NoFile).is_empty());
        assert_eq!(lot.settle(Ticket(2), &Outcome::NoFile).len(), 1);
        assert!(lot.is_empty() && lot.next_deadline().is_none());
    }

    #[test]
    fn one_answer_settles_all_that_wait_for_it() {
        let mut lot = lot();
        for pid in 0..3 {
            lot.park(parked(pid, Slot::Waiting(Ticket(7)), Slot::Settled(Outcome::NoFile)), Instant::now());
        }
        assert_eq!(lot.settle(Ticket(7), &Outcome::NoFile).len(), 3);
    }

    #[test]
    fn an_exec_whose_time_is_over_says_so() {
        let mut lot = lot();
        let now = Instant::now();
        lot.park(parked(1, Slot::Waiting(Ticket(1)), Slot::Settled(Outcome::NoFile)), now);
        assert!(lot.expire(now).is_empty());
        let expired = lot.expire(now + Duration::from_secs(2));
        assert!(matches!(
            expired.first().map(|one| &one.exe),
            Some(Slot::Settled(Outcome::Missing(Missing::Timeout)))
        ));
        assert!(lot.settle(Ticket(1), &Outcome::NoFile).is_empty());
    }

    #[test]
    fn a_second_exec_of_a_process_waits_behind_its_first() {
        let mut lot = lot();
        let settled = || Slot::Settled(Outcome::NoFile);
        lot.park(parked(1, Slot::Waiting(Ticket(1)), settled()), Instant::now());
        assert!(lot.holds(Key { pid: 1, start_ticks: 1 }));
        lot.park(parked(1, settled(), settled()), Instant::now());
        lot.park(parked(1, Slot::Waiting(Ticket(2)), settled()), Instant::now());
        assert!(lot.settle(Ticket(2), &Outcome::NoFile).is_empty());
        assert_eq!(lot.settle(Ticket(1), &Outcome::NoFile).len(), 3);
        assert!(lot.is_empty() && lot.by_process.is_empty() && lot.by_ticket.is_empty());
    }

    #[test]
    fn a_chain_whose_time_is_over_leaves_whole() {
        let mut lot = lot();
        for ticket in [1, 2] {
            lot.park(
                parked(1, Slot::Waiting(Ticket(ticket)), Slot::Settled(Outcome::NoFile)),
                Instant::now(),
            );
        }
        assert_eq!(lot.expire(Instant::now() + Duration::from_secs(2)).len(), 2);
        assert!(lot.is_empty() && lot.by_process.is_empty() && lot.by_ticket.is_empty());
    }

    #[test]
    fn an_exit_is_held_only_behind_its_own_exec() {
        let mut lot = lot();
        lot.park(parked(1, Slot::Waiting(Ticket(1)), Slot::Settled(Outcome::NoFile)), Instant::now());
        let exit: Exit = zerocopy::FromZeros::new_zeroed();
        assert!(lot.hold(Key { pid: 1, start_ticks: 1 }, &exit));
        assert!(!lot.hold(Key { pid: 1, start_ticks: 2 }, &exit));
        let expired = lot.expire(Instant::now() + Duration::from_secs(2));
        assert_eq!(expired.first().map(|one| one.exits.len()), Some(1));
    }
}
