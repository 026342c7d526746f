//! The process table: every process that the sensor knows of, with its ancestors.
//!
//! Invariants:
//! - a process is keyed by [`Key`], so a pid that is used again is another entry;
//! - ancestors are held as a list of at most [`MAX_ANCESTORS`], shared by all children of one image, never as a chain of
//!   entries: a parent may leave the table without taking its descendants' ancestry with it, and no chain can grow without end;
//! - the bytes that entries, images and lists take are counted (from above) and bounded: processes that have ended go first, oldest
//!   first, then the oldest living ones, and each living one that goes is counted as evicted;
//! - ended processes stay for a short while, because records of other CPUs may still speak of them.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use super::{Key, LeftOut, Told, cgroups::Cgroup, room::Room};

/// Ancestors in an event.
pub const MAX_ANCESTORS: usize = 8;
/// How long an ended process can still be looked up, in boot-time nanoseconds.
const KEEP_ENDED_NS: u64 = 2_000_000_000;
/// What a map slot and the queues cost beside the entry itself, in bytes.
const ENTRY_OVERHEAD: usize = 64;

/// What a process runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Image {
    /// Last component of the path that was given to exec.
    pub name: Rc<str>,
    /// Path of the executable in its mount namespace.
    pub path: Rc<str>,
    /// Nobody but root decides what lies at this path.
    pub sound: bool,
}

/// A forebear, as events name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Which process.
    pub key: Key,
    /// What it ran when it made the descendant.
    pub image: Rc<Image>,
}

/// An entry.
#[derive(Debug)]
pub struct Process {
    /// Which process.
    pub key: Key,
    /// What it runs.
    pub image: Rc<Image>,
    /// Where it is accounted.
    pub cgroup: Rc<Cgroup>,
    /// Its parent first, then the parent's parent, and so on.
    pub ancestors: Rc<[Ancestor]>,
    /// Images that it was seen to take.
    pub exec_count: u32,
    /// How it came to be known.
    pub origin: Origin,
    /// Whether anything of it is in the output.
    pub told: Told,
    for_children: Option<Rc<[Ancestor]>>,
    ended_ns: Option<u64>,
    /// The last sweep did not find it in `/proc`.
    suspect: bool,
    /// An end that does not come was not lost: see [`super::seed::Seen`].
    ends_untold: bool,
}

/// How a process came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was there before the sensor.
    Found,
    /// It was made, and still runs what its maker ran.
    Forked,
    /// It was seen to take an image of its own.
    Executed,
}

impl Process {
    fn new(
        key: Key,
        image: Rc<Image>,
        cgroup: Rc<Cgroup>,
        ancestors: Rc<[Ancestor]>,
        origin: Origin,
    ) -> Self {
        Self {
            key,
            image,
            cgroup,
            ancestors,
            exec_count: 0,
            origin,
            told: if origin == Origin::Found { Told::Something } else { Told::Nothing },
            for_children: None,
            ended_ns: None,
            suspect: false,
            ends_untold: false,
        }
    }

    /// The ancestors of its children: itself, then its own. Made once for each image.
    fn ancestors_of_children(&mut self) -> Rc<[Ancestor]> {
        if let Some(list) = &self.for_children {
            return Rc::clone(list);
        }
        let itself = Ancestor { key: self.key, image: Rc::clone(&self.image) };
        let list: Rc<[Ancestor]> =
            std::iter::once(itself).chain(self.ancestors.iter().take(MAX_ANCESTORS - 1).cloned()).collect();
        self.for_children = Some(Rc::clone(&list));
        list
    }

    fn bytes(&self) -> usize {
        let list = self.for_children.as_ref().map_or(0, |list| list.len() * size_of::<Ancestor>());
        let image = size_of::<Image>() + self.image.name.len() + self.image.path.len();
        size_of::<Self>() + ENTRY_OVERHEAD + list + image
    }
}

/// How the end of a process was met.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// A process of the table has ended.
    Known {
        /// What it ran.
        image: Rc<Image>,
        /// Where it was.
        cgroup: Rc<Cgroup>,
        /// How it had come to be known.
        origin: Origin,
        /// Whether anything of it is in the output.
        told: Told,
    },
    /// It had ended already: two threads were the last.
    Twice,
    /// Not in the table: its beginning was lost, or it was evicted.
    Unknown,
}

/// Counts of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// Entries now.
    pub entries: usize,
    /// Bytes now, from above.
    pub bytes: usize,
    /// Living processes that were dropped to stay within the bound.
    pub evicted: u64,
    /// Processes whose end was not seen and that `/proc` no longer has.
    pub swept: u64,
}

/// The table.
pub struct Table {
    processes: HashMap<Key, Process>,
    /// Keys in the order of their coming; keys that are gone are skipped when met.
    order: VecDeque<Key>,
    ended: VecDeque<(u64, Key)>,
    bytes: usize,
    max_bytes: usize,
    evicted: u64,
    swept: u64,
    nobody: Rc<[Ancestor]>,
    room: Room,
}

impl Table {
    /// An empty table of at most `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            processes: HashMap::new(),
            order: VecDeque::new(),
            ended: VecDeque::new(),
            bytes: 0,
            max_bytes,
            evicted: 0,
            swept: 0,
            nobody: Rc::from([]),
            room: Room::default(),
        }
    }

    /// A process.
    pub fn get(&self, key: Key) -> Option<&Process> {
        self.processes.get(&key)
    }

    /// Counts.
    pub fn counts(&self) -> TableCounts {
        TableCounts {
            entries: self.processes.len(),
            bytes: self.bytes,
            evicted: self.evicted,
            swept: self.swept,
        }
    }

    /// A process that was found in `/proc`. One that the records have brought meanwhile knows more, and stays.
    pub fn seed(&mut self, key: Key, parent: Key, image: Rc<Image>, cgroup: Rc<Cgroup>, ends_untold: bool) {
        if !self.processes.contains_key(&key) {
            let ancestors = self.ancestors_below(parent);
            let process = Process::new(key, image, cgroup, ancestors, Origin::Found);
            self.insert(Process { ends_untold, ..process });
        }
    }

    /// A process was made: it runs what its maker runs. `unknown` gives the image when the maker is not in the table.
    pub fn fork(
        &mut self,
        key: Key,
        parent: Key,
        creator: Key,
        cgroup: Rc<Cgroup>,
        unknown: impl FnOnce() -> Rc<Image>,
    ) {
        let (image, told) = match self.processes.get(&creator) {
            Some(creator) => (Rc::clone(&creator.image), creator.told.of_child()),
            None => (unknown(), Told::Nothing),
        };
        let ancestors = self.ancestors_below(parent);
        let process = Process::new(key, image, cgroup, ancestors, Origin::Forked);
        self.insert(Process { told, ..process });
    }

    /// A process took a new image. Gives its entry, made from the record alone when its fork was lost.
    pub fn exec(&mut self, key: Key, parent: Key, image: Rc<Image>, cgroup: Rc<Cgroup>) -> Option<&Process> {
        let reparented =
            |process: &Process| process.ancestors.first().is_some_and(|first| first.key != parent);
        if self.processes.get(&key).is_none_or(reparented) {
            let ancestors = self.ancestors_below(parent);
            let (exec_count, told) = self
                .processes
                .get(&key)
                .map_or((0, Told::Nothing), |process| (process.exec_count, process.told));
            let mut process =
                Process::new(key, Rc::clone(&image), Rc::clone(&cgroup), ancestors, Origin::Executed);
            process.exec_count = exec_count;
            process.told = told;
            self.insert(process);
        }
        let process = self.processes.get_mut(&key)?;
        self.bytes -= process.bytes();
        process.image = image;
        process.cgroup = cgroup;
        process.origin = Origin::Executed;
        process.for_children = None;
        process.ended_ns = None;
        process.exec_count = process.exec_count.saturating_add(1);
        self.bytes += process.bytes();
        Some(process)
    }

    /// Something of a process is in the output now.
    pub fn note_told(&mut self, key: Key) {
        if let Some(process) = self.processes.get_mut(&key) {
            process.told = Told::Something;
        }
    }

    /// Something of a process was left out on purpose.
    pub fn note_left_out(&mut self, key: Key, left_out: LeftOut) {
        if let Some(process) = self.processes.get_mut(&key) {
            process.told = process.told.or_left_out(left_out);
        }
    }

    /// A process ended. It stays for a short while.
    pub fn exit(&mut self, key: Key, boot_ns: u64) -> End {
        let end = match self.processes.get_mut(&key) {
            None => End::Unknown,
            Some(process) if process.ended_ns.is_some() => End::Twice,
            Some(process) => {
                process.ended_ns = Some(boot_ns);
                self.ended.push_back((boot_ns, key));
                End::Known {
                    image: Rc::clone(&process.image),
                    cgroup: Rc::clone(&process.cgroup),
                    origin: process.origin,
                    told: process.told,
                }
            }
        };
        self.drop_ended_before(boot_ns.saturating_sub(KEEP_ENDED_NS));
        end
    }

    /// Drops processes that ended before the given time.
    pub fn drop_ended_before(&mut self, boot_ns: u64) {
        while let Some(&(ended_ns, key)) = self.ended.front()
            && ended_ns <= boot_ns
        {
            self.ended.pop_front();
            self.remove_ended(key);
        }
    }

    /// Looks at up to `most` living processes and drops those that `alive` does not know for the second time: their end was lost. The first
    /// time it may still be in the ring, with records before it that speak of the process.
    pub fn sweep(&mut self, most: usize, mut alive: impl FnMut(Key) -> bool) {
        for _ in 0..most.min(self.order.len()) {
            let Some(key) = self.order.pop_front() else { break };
            match self.processes.get_mut(&key) {
                Some(process) if process.ended_ns.is_none() && !alive(key) => {
                    if process.suspect {
                        self.swept += u64::from(!process.ends_untold);
                        self.remove(key);
                    } else {
                        process.suspect = true;
                        self.order.push_back(key);
                    }
                }
                Some(_) => self.order.push_back(key),
                None => {}
            }
        }
    }

    /// Gives back the room of a storm that has not come again for some minutes.
    pub fn give_back(&mut self) {
        if let Some(room) = self.room.look(self.processes.len(), self.processes.capacity()) {
            self.processes.shrink_to(room);
            self.order.retain(|key| self.processes.contains_key(key));
            self.order.shrink_to(room);
            self.ended.shrink_to(room);
        }
    }

    fn ancestors_below(&mut self, parent: Key) -> Rc<[Ancestor]> {
        let Some(process) = self.processes.get_mut(&parent) else { return Rc::clone(&self.nobody) };
        if process.for_children.is_some() {
            return process.ancestors_of_children();
        }
        let before = process.bytes();
        let list = process.ancestors_of_children();
        self.bytes = self.bytes - before + process.bytes();
        list
    }

    fn insert(&mut self, process: Process) {
        let key = process.key;
        self.bytes += process.bytes();
        match self.processes.insert(key, process) {
            Some(old) => self.bytes -= old.bytes(),
            None => self.order.push_back(key),
        }
        self.shrink(key);
        self.room.note(self.processes.len());
    }

    /// Makes room, never by dropping `newest`.
    fn shrink(&mut self, newest: Key) {
        while self.bytes > self.max_bytes {
            if let Some((_, key)) = self.ended.pop_front() {
                self.remove_ended(key);
                continue;
            }
            let Some(key) = self.order.pop_front() else { break };
            if key == newest {
                self.order.push_back(key);
                if self.order.len() == 1 {
                    break;
                }
            } else if self.remove(key) {
                self.evicted += 1;
            }
        }
        // Ended processes leave their keys behind; when these are most of the queue, it is written anew.
        if self.order.len() > 64 + 4 * self.processes.len() {
            self.order.retain(|key| self.processes.contains_key(key));
        }
    }

    /// Removes a process whose end stands in the queue of the ended. (An exec that came after a wrong end took it back.)
    fn remove_ended(&mut self, key: Key) {
        if self.processes.get(&key).is_some_and(|process| process.ended_ns.is_some()) {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: Key) -> bool {
        let removed = self.processes.remove(&key);
        if let Some(process) = &removed {
            self.bytes -= process.bytes();
        }
        removed.is_some()
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
