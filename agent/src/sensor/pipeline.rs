//! From a record to the lines of its events: decode, process table, files, filter; [`lines`] writes them.
//!
//! One thread runs it; nothing in it waits. A file that has to be read parks the exec ([`super::parked`]) and is answered
//! through [`Pipeline::file_done`].

use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use linnet_ebpf::{Exit, KIND_EXEC, KIND_EXIT, KIND_FORK};
use linnet_fileview::{Done, FileView, Missing, Ticket};
use linnet_ocsf::prelude::Prelude;
use linnet_settings::{Events, Settings};

use super::{
    canary::Canaries,
    files::{self, Slot},
    filter::Filters,
    ledger::{Filter, Ledger},
    parked::{KeptRecord, Parked, ParkingLot},
    shed::{Cause, Family, Thing},
    talkers::Talkers,
    tally::{Shedding, Written},
};
use crate::{
    event::{
        Clock, Outcome,
        exec::{Context, Scratch},
        exit::Ended,
    },
    process::{BootTag, Image, Key, LeftOut, Origin, Table, Told, cgroups::Cgroups, seed::Seen, table::End},
    record::{self, Exec, Fork, Record},
    sink::Batch,
};

mod lines;

/// The pipeline and all it remembers.
pub struct Pipeline {
    prelude: Prelude,
    boot: BootTag,
    clock: Clock,
    events: Events,
    table: Table,
    cgroups: Cgroups,
    view: Arc<FileView>,
    own_mnt_ns: u32,
    filters: Filters,
    lot: ParkingLot,
    scratch: Scratch,
    name: Vec<u8>,
    sequence: u64,
    shed: Shedding,
    written: Written,
    /// Who gives the sensor work.
    pub talkers: Talkers,
    /// What became of the records.
    pub ledger: Ledger,
    /// The sensor's own test processes.
    pub canaries: Canaries,
    /// Lines that are ready.
    pub batch: Batch,
    /// Files whose hash is known now and was not before; the kernel side is told of them.
    pub newly_known: Vec<linnet_ebpf::FileKey>,
}

/// What a pipeline is made of.
pub struct Parts {
    /// Host and product.
    pub prelude: Prelude,
    /// This boot.
    pub boot: BootTag,
    /// Which events are written.
    pub events: Events,
    /// The process table.
    pub table: Table,
    /// Hashes and contents.
    pub view: Arc<FileView>,
    /// The agent's own mount namespace.
    pub own_mnt_ns: u32,
    /// That of process 1; 0 where it can't be read.
    pub host_mnt_ns: u32,
    /// Where execs wait.
    pub lot: ParkingLot,
}

impl Pipeline {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self {
            prelude: parts.prelude,
            boot: parts.boot,
            clock: Clock::now(),
            events: parts.events,
            table: parts.table,
            cgroups: Cgroups::new(),
            view: parts.view,
            own_mnt_ns: parts.own_mnt_ns,
            filters: Filters::new([parts.host_mnt_ns, parts.own_mnt_ns]),
            lot: parts.lot,
            scratch: Scratch::default(),
            name: Vec::new(),
            sequence: 0,
            shed: Shedding::default(),
            written: Written::default(),
            talkers: Talkers::new(Instant::now()),
            ledger: Ledger::default(),
            canaries: Canaries::default(),
            batch: Batch::default(),
            newly_known: Vec::new(),
        }
    }

    /// The process table.
    pub fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    /// The cgroups that records came from.
    pub fn cgroups(&self) -> &Cgroups {
        &self.cgroups
    }

    /// The file view.
    pub fn view(&self) -> &FileView {
        &self.view
    }

    /// The execs that wait for their files.
    pub fn lot(&self) -> &ParkingLot {
        &self.lot
    }

    /// Leaves these things out from now on, and no others.
    pub fn set_shed(&mut self, things: &[Thing], cause: Cause) {
        self.shed.set(things, cause);
        self.view.set_shed(linnet_fileview::Shed {
            contents: things.contains(&Thing::ScriptContent),
            hashes: things.contains(&Thing::Hash),
        });
    }

    /// Events of each family that were due so far, written or left out.
    pub fn written_by_family(&self) -> [u64; Family::ALL.len()] {
        self.shed.due()
    }

    /// Events written so far, by family.
    pub fn families(&self) -> BTreeMap<String, u64> {
        self.written.by_family()
    }

    /// What was left out so far, by its name.
    pub fn shed_counts(&self) -> BTreeMap<String, u64> {
        self.shed.counts()
    }

    /// Changes which events are written.
    pub fn set_events(&mut self, settings: &Settings) {
        self.events = settings.events.clone();
        self.filters.set(&settings.ignore, &settings.sampling, &mut self.ledger);
    }

    /// Changes how long an event waits for its hash.
    pub fn set_wait(&mut self, wait: Duration) {
        self.lot.set_wait(wait);
    }

    /// Enters the processes that were there before the probes.
    pub fn seed(&mut self, seen: Vec<Seen>) {
        let starts: std::collections::HashMap<u32, u64> =
            seen.iter().map(|one| (one.key.pid, one.key.start_ticks)).collect();
        for one in seen {
            let parent = Key { pid: one.ppid, start_ticks: starts.get(&one.ppid).copied().unwrap_or(0) };
            let name = String::from_utf8_lossy(&one.comm);
            let path = String::from_utf8_lossy(&one.exe);
            let sound = one.is_roots && self.filters.is_of_host(one.mnt_ns);
            let image = Rc::new(Image { name: Rc::from(&*name), path: Rc::from(&*path), sound });
            let cgroup = self.cgroups.of_path(&one.cgroup);
            if one.mnt_ns != self.own_mnt_ns && one.mnt_ns != 0 && !one.exe.is_empty() {
                self.view.note_process(one.mnt_ns, one.key.pid, one.key.start_ticks);
            }
            self.table.seed(one.key, parent, image, cgroup, one.ends_untold);
        }
    }

    /// Takes the wall clock anew; once a batch.
    pub fn tick(&mut self) {
        self.clock = Clock::now();
    }

    /// Takes a record.
    pub fn record(&mut self, bytes: &[u8]) {
        let kind = record::kind(bytes).unwrap_or(u16::MAX);
        self.ledger.received(kind);
        match record::decode(bytes) {
            Ok(Record::Fork(fork)) => self.fork(&fork),
            Ok(Record::Exec(exec)) => self.exec(bytes, &exec),
            Ok(Record::Exit(exit)) => self.exit(exit),
            Err(error) => {
                self.ledger.undecodable(kind);
                log::debug!("a record of {} bytes: {error}", bytes.len());
            }
        }
    }

    fn fork(&mut self, fork: &Fork<'_>) {
        let body = fork.body;
        let key = Key::new(body.pid, body.start_boot_ns);
        let parent = Key::new(body.ppid, body.parent_start_boot_ns);
        let creator = Key::new(body.creator_pid, body.creator_start_boot_ns);
        let cgroup = self.cgroups.of_record(body.cgroup_id, fork.cgroup);
        self.talkers.record(KIND_FORK, &cgroup);
        self.table.fork(key, parent, creator, cgroup, || Rc::new(image_of_comm(&body.comm)));
        if self.canaries.is_fork(body.pid) {
            self.ledger.filtered(KIND_FORK, Filter::Canary);
        } else if !self.events.fork {
            self.ledger.filtered(KIND_FORK, Filter::Disabled);
        } else if let Some(left_out) = self.fork_left_out(key) {
            self.table.note_left_out(key, left_out);
            self.ledger.left_out(KIND_FORK, left_out.reason);
        } else if let Some(cause) = self.shed.leaves_out(Family::Fork) {
            self.ledger.shed(KIND_FORK, cause);
        } else {
            self.write_fork(fork, key);
        }
    }

    /// Because its maker's image is, which it runs too, or because the draw leaves it out.
    fn fork_left_out(&self, key: Key) -> Option<LeftOut> {
        match self.table.get(key).map(|entry| entry.told) {
            Some(Told::LeftOut(left_out)) => Some(left_out),
            _ => self.filters.fork(key),
        }
    }

    fn exec(&mut self, bytes: &[u8], exec: &Exec<'_>) {
        let context = self.enter(exec);
        self.talkers.record(KIND_EXEC, &context.cgroup);
        self.talkers.program(&context.image.path);
        let body = exec.body;
        if body.mnt_ns != self.own_mnt_ns {
            self.view.note_process(body.mnt_ns, body.pid, context.key.start_ticks);
        }
        if self.canaries.is_exec(body.pid, self.clock.epoch_ms(body.header.boot_ns)) {
            return self.ledger.filtered(KIND_EXEC, Filter::Canary);
        }
        if let Some(left_out) = self.filters.exec(exec, &self.name, &context) {
            self.table.note_left_out(context.key, left_out);
            return self.ledger.left_out(KIND_EXEC, left_out.reason);
        }
        self.table.note_told(context.key);
        let wanted = self.events.exec || (self.events.script && body.script.inode != 0);
        if !wanted {
            return self.ledger.filtered(KIND_EXEC, Filter::Disabled);
        }
        let exe = files::executable(&self.view, exec, &context.cgroup);
        let script = if body.script.inode == 0 {
            Slot::Settled(Outcome::NoFile)
        } else {
            files::script(&self.view, exec, &context.cgroup)
        };
        let held = self.lot.holds(context.key);
        match (exe, script) {
            (Slot::Settled(exe), Slot::Settled(script)) if !held => {
                self.write_exec(exec, &context, &exe, &script);
            }
            (exe, script) if self.lot.has_room() => {
                self.lot.park(Parked::new(KeptRecord::new(bytes), context, exe, script), Instant::now());
            }
            (exe, script) => self.write_exec(exec, &context, &or_full(exe), &or_full(script)),
        }
    }

    /// Enters the new image in the table.
    fn enter(&mut self, exec: &Exec<'_>) -> Context {
        let body = exec.body;
        let key = Key::new(body.pid, body.start_boot_ns);
        let parent = Key::new(body.ppid, body.parent_start_boot_ns);
        let cgroup = self.cgroups.of_record(body.cgroup_id, exec.cgroup);
        self.name.clear();
        exec.exe.write_in_namespace(&mut self.name);
        let path = String::from_utf8_lossy(&self.name);
        let sound = self.filters.is_sound(body.mnt_ns, &exec.exe, &body.exe);
        let image = Rc::new(Image { name: Rc::from(&*image_name(exec)), path: Rc::from(&*path), sound });
        let parent_image = self.table.get(parent).map(|parent| Rc::clone(&parent.image));
        let entry = self.table.exec(key, parent, Rc::clone(&image), Rc::clone(&cgroup));
        let (ancestors, exec_count) =
            entry.map_or_else(|| (Rc::from([]), 1), |entry| (Rc::clone(&entry.ancestors), entry.exec_count));
        let parent_image = parent_image
            .or_else(|| ancestors.first().map(|first: &crate::process::Ancestor| Rc::clone(&first.image)));
        Context { key, parent, parent_image, image, cgroup, ancestors, exec_count }
    }

    fn exit(&mut self, exit: &Exit) {
        let key = Key::new(exit.pid, exit.start_boot_ns);
        let end = self.table.exit(key, exit.header.boot_ns);
        if let End::Known { cgroup, .. } = &end {
            self.talkers.record(KIND_EXIT, cgroup);
        }
        if self.canaries.is_exit(exit.pid) {
            return self.ledger.filtered(KIND_EXIT, Filter::Canary);
        }
        if end == End::Twice {
            return self.ledger.filtered(KIND_EXIT, Filter::Duplicate);
        }
        if !self.events.exit {
            return self.ledger.filtered(KIND_EXIT, Filter::Disabled);
        }
        match end {
            End::Known { origin: Origin::Forked, .. } if !self.events.fork => {
                self.ledger.filtered(KIND_EXIT, Filter::ForkOnly);
            }
            End::Known { told: Told::LeftOut(left_out), .. } => {
                self.ledger.left_out(KIND_EXIT, left_out.reason);
            }
            _ if self.lot.hold(key, exit) => {}
            End::Known { image, cgroup, origin, .. } => {
                let found = origin == Origin::Found;
                self.write_exit(exit, &Ended { known: Some((&image, &cgroup)), found });
            }
            End::Twice | End::Unknown => self.write_exit(exit, &Ended { known: None, found: false }),
        }
    }

    /// The file view has an answer.
    pub fn file_done(&mut self, done: Done) {
        if done.result.is_ok() {
            self.newly_known.push(files::file_key(&done.id));
        }
        let outcome = Outcome::from(done.result);
        self.settle(done.ticket, &outcome);
    }

    fn settle(&mut self, ticket: Ticket, outcome: &Outcome) {
        for parked in self.lot.settle(ticket, outcome) {
            self.write_parked(&parked);
        }
    }

    /// Writes the execs whose time is over.
    pub fn expire(&mut self, now: Instant) {
        for parked in self.lot.expire(now) {
            self.write_parked(&parked);
        }
    }

    /// Writes those that still wait, as if their time was over.
    pub fn give_up_files(&mut self) {
        while let Some(deadline) = self.lot.next_deadline() {
            self.expire(deadline);
        }
    }
}

fn or_full(slot: Slot) -> Outcome {
    match slot {
        Slot::Settled(outcome) => outcome,
        Slot::Waiting(_) => Outcome::Missing(Missing::QueueFull),
    }
}

/// What the kernel makes the task's name of, but whole: the last component of the path that was given to exec, or the
/// file's own name when a descriptor was executed.
fn image_name<'e>(exec: &Exec<'e>) -> std::borrow::Cow<'e, str> {
    let given = if exec.body.flags & linnet_ebpf::EXEC_FLAG_FD != 0 {
        exec.exe.leaf()
    } else {
        exec.filename.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty())
    };
    String::from_utf8_lossy(given.unwrap_or_default())
}

fn image_of_comm(comm: &[u8]) -> Image {
    let name = String::from_utf8_lossy(comm.split(|&byte| byte == 0).next().unwrap_or_default());
    Image { name: Rc::from(&*name), path: Rc::from(""), sound: false }
}
