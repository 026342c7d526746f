//! The thread that runs all plugins: one poll over their pipes, and the orders of the agent.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use linnet_fleet::health;
use linnet_limits::Beside;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use serde_json::Value;

use crate::policy::Policy;
use crate::slot::{Books, PluginEvent, Slot};
use crate::supervisor::{Input, Timing};

/// How often the books are made up for the agent, and the longest sleep.
const REPORT: Duration = Duration::from_secs(1);
/// How soon it is tried again where the agent had no room.
const AGAIN: Duration = Duration::from_millis(50);
/// At the end: how often it is tried to remove a cgroup, and how far apart.
const LEAVE_TRIES: u32 = 25;
const LEAVE_WAIT: Duration = Duration::from_millis(20);

/// What does not change while the agent runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that confines itself and becomes a plugin: the agent's own.
    pub launcher: PathBuf,
    /// Its arguments before the last, which is the host's ([`crate::launch`]).
    pub launcher_arguments: Vec<String>,
    /// The name of the agent's cgroup, beside which the plugins' lie.
    pub cgroup: String,
    /// Where plugins are installed.
    pub directory: PathBuf,
    /// Where their states are kept.
    pub state_directory: PathBuf,
    /// The times of their lives.
    pub timing: Timing,
    /// Whether the system call filter is applied; false only in tests of the layers beneath it.
    pub filter: bool,
}

/// One plugin that is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its settings.
    pub settings: Value,
    /// Where it lies below [`Options::directory`].
    pub place: PathBuf,
    /// The time that it has to run well, where it is on trial.
    pub trial: Option<Duration>,
}

/// What the settings ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Plugins by name.
    pub enabled: BTreeMap<String, Chosen>,
    /// What they may.
    pub policy: Policy,
}

enum Order {
    Configure(Wanted),
    Stop,
}

struct Shared {
    orders: Mutex<Vec<Order>>,
    wake: OwnedFd,
    report: Mutex<Vec<health::Plugin>>,
}

impl Shared {
    fn order(&self, order: Order) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
        // Full only when it is awake already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

/// The plugins, as long as this lives.
pub struct PluginHost {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl PluginHost {
    /// Starts the thread and all wanted plugins. `deliver` gets each checked event on that thread and must not wait;
    /// an event that it gives back is offered again.
    ///
    /// # Errors
    /// When no thread or descriptor can be had.
    pub fn start(
        options: Options,
        wanted: Wanted,
        deliver: impl FnMut(PluginEvent) -> Result<(), PluginEvent> + Send + 'static,
    ) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared { orders: Mutex::default(), wake, report: Mutex::default() });
        shared.order(Order::Configure(wanted));
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("linnet-plugins".to_owned())
            .spawn(move || Loop::new(options, of_thread, Box::new(deliver)).run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes new settings over: plugins are started, told, and stopped as needed.
    pub fn configure(&self, wanted: Wanted) {
        self.shared.order(Order::Configure(wanted));
    }

    /// How the plugins are, at most a second old. What was given to the agent counts as waiting; the agent knows
    /// what became of it.
    #[must_use]
    pub fn report(&self) -> Vec<health::Plugin> {
        self.shared.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops all plugins and waits until none is left, which takes some seconds at most. What they say on their way
    /// out is still delivered.
    pub fn stop(mut self) -> Vec<health::Plugin> {
        self.finish();
        self.report()
    }

    fn finish(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.shared.order(Order::Stop);
            let _ = thread.join();
        }
    }
}

impl Drop for PluginHost {
    fn drop(&mut self) {
        self.finish();
    }
}

type Deliver = Box<dyn FnMut(PluginEvent) -> Result<(), PluginEvent> + Send>;

struct Loop {
    options: Options,
    shared: Arc<Shared>,
    deliver: Deliver,
    slots: Vec<Slot>,
    /// Wanted again while the old one is still on its way out.
    next: BTreeMap<String, (Chosen, Policy)>,
    /// Of plugins that have ended.
    books: BTreeMap<String, Books>,
    /// Cgroups of plugins that have ended, in which something is not gone yet.
    leaving: Vec<Beside>,
    buffer: Vec<u8>,
    stopping: bool,
    reported_at: Option<Instant>,
}

/// Whose descriptor is ready.
#[derive(Clone, Copy)]
enum Ready {
    Wake,
    Output(usize),
    Errors(usize),
    Input(usize),
    Ended,
}

impl Loop {
    fn new(options: Options, shared: Arc<Shared>, deliver: Deliver) -> Self {
        Self {
            options,
            shared,
            deliver,
            slots: Vec::new(),
            next: BTreeMap::new(),
            books: BTreeMap::new(),
            leaving: Vec::new(),
            buffer: Vec::new(),
            stopping: false,
            reported_at: None,
        }
    }

    fn run(mut self) {
        loop {
            self.obey();
            let now = Instant::now();
            for slot in &mut self.slots {
                slot.reap(&mut self.buffer, &self.options, now);
                slot.tend_state(now);
                slot.hand_over(&mut self.deliver);
                // While the agent takes nothing nothing is read, so a plugin can't answer either.
                if self.stopping || !slot.holds() {
                    slot.take(Input::Tick, &self.options, now);
                }
            }
            self.make_room();
            if self.reported_at.is_none_or(|at| now.duration_since(at) >= REPORT) {
                self.reported_at = Some(now);
                self.make_report();
            }
            if self.stopping && self.slots.iter().all(|slot| slot.is_over() && !slot.holds()) {
                self.make_report();
                self.leave();
                return;
            }
            self.wait(now);
        }
    }

    fn obey(&mut self) {
        let orders = std::mem::take(&mut *self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner));
        let now = Instant::now();
        for order in orders {
            match order {
                Order::Configure(wanted) if !self.stopping => self.configure(wanted, now),
                Order::Configure(_) => {}
                Order::Stop => {
                    self.stopping = true;
                    self.next.clear();
                    for slot in &mut self.slots {
                        slot.take(Input::Stop, &self.options, now);
                    }
                }
            }
        }
    }

    fn configure(&mut self, wanted: Wanted, now: Instant) {
        self.next.clear();
        for slot in &mut self.slots {
            match wanted.enabled.get(slot.name()) {
                Some(chosen) if slot.can_become(chosen, &wanted.policy) => {
                    slot.configure(chosen.clone(), &self.options, now);
                }
                Some(chosen) => {
                    self.next.insert(slot.name().to_owned(), (chosen.clone(), wanted.policy.clone()));
                    slot.take(Input::Stop, &self.options, now);
                }
                None => slot.take(Input::Stop, &self.options, now),
            }
        }
        for (name, chosen) in wanted.enabled {
            if !self.slots.iter().any(|slot| slot.name() == name) {
                self.next.insert(name, (chosen, wanted.policy.clone()));
            }
        }
    }

    /// Drops plugins that are over, and lets those that are wanted in their place begin.
    fn make_room(&mut self) {
        if self.stopping {
            return;
        }
        let (over, slots) = std::mem::take(&mut self.slots)
            .into_iter()
            .partition::<Vec<_>, _>(|slot| slot.is_over() && !slot.holds());
        self.slots = slots;
        self.leaving.retain(|cgroup| !cgroup.remove());
        for slot in over {
            let name = slot.name().to_owned();
            let (books, cgroup) = slot.into_parts();
            self.books.insert(name, books);
            self.leaving.extend(cgroup.filter(|cgroup| !cgroup.remove()));
        }
        let free: Vec<String> = self
            .next
            .keys()
            .filter(|name| !self.slots.iter().any(|slot| slot.name() == name.as_str()))
            .cloned()
            .collect();
        let now = Instant::now();
        for name in free {
            if let Some((chosen, policy)) = self.next.remove(&name) {
                let books = self.books.remove(&name).unwrap_or_default();
                let mut slot = Slot::new(&name, chosen, &policy, books, &self.options, now);
                slot.take(Input::Tick, &self.options, now);
                self.slots.push(slot);
            }
        }
    }

    /// Leaves no cgroup behind, but waits for no process that can't die.
    fn leave(&mut self) {
        let slots = std::mem::take(&mut self.slots);
        self.leaving.extend(slots.into_iter().filter_map(|slot| slot.into_parts().1));
        for _ in 0..LEAVE_TRIES {
            self.leaving.retain(|cgroup| !cgroup.remove());
            if self.leaving.is_empty() {
                return;
            }
            std::thread::sleep(LEAVE_WAIT);
        }
        log::warn!(
            "{} cgroups of plugins are still in use and stay; they are used again",
            self.leaving.len()
        );
    }

    fn make_report(&self) {
        let report = self.slots.iter().map(Slot::health).collect();
        *self.shared.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }

    /// Sleeps until something is to be done, and does what the descriptors say.
    fn wait(&mut self, now: Instant) {
        let mut until = now + REPORT;
        let mut readable = Vec::new();
        for slot in &mut self.slots {
            if let Some(at) = slot.deadline(now) {
                until = until.min(at);
            }
            let may = slot.may_read(now);
            if let Err(wait) = may {
                until = until.min(now + wait.unwrap_or(AGAIN));
            }
            readable.push(may.is_ok());
        }
        let mut whose = vec![Ready::Wake];
        let mut descriptors = vec![PollFd::from_borrowed_fd(self.shared.wake.as_fd(), PollFlags::IN)];
        for (index, (slot, may_read)) in self.slots.iter().zip(&readable).enumerate() {
            let Some(process) = slot.process() else { continue };
            let mut watch = |ready, descriptor, flags| {
                whose.push(ready);
                descriptors.push(PollFd::from_borrowed_fd(descriptor, flags));
            };
            watch(Ready::Ended, process.ended(), PollFlags::IN);
            if let Some(input) = process.wants_to_write() {
                watch(Ready::Input(index), input, PollFlags::OUT);
            }
            if *may_read {
                let (output, errors) = process.speaks();
                if let Some(output) = output {
                    watch(Ready::Output(index), output, PollFlags::IN);
                }
                if let Some(errors) = errors {
                    watch(Ready::Errors(index), errors, PollFlags::IN);
                }
            }
        }
        let timeout = until.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(1),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        if poll(&mut descriptors, Some(&timeout)).is_err() {
            return;
        }
        let ready: Vec<Ready> = descriptors
            .iter()
            .zip(whose)
            .filter(|(descriptor, _)| !descriptor.revents().is_empty())
            .map(|(_, whose)| whose)
            .collect();
        drop(descriptors);
        let now = Instant::now();
        for one in ready {
            match one {
                Ready::Wake => {
                    let _ = rustix::io::read(&self.shared.wake, &mut [0_u8; 8]);
                }
                Ready::Output(index) => {
                    if let Some(slot) = self.slots.get_mut(index) {
                        slot.read_output(&mut self.buffer, &self.options, now);
                    }
                }
                Ready::Errors(index) => {
                    if let Some(slot) = self.slots.get_mut(index) {
                        slot.read_errors(&mut self.buffer, now);
                    }
                }
                Ready::Input(index) => {
                    if let Some(slot) = self.slots.get_mut(index) {
                        slot.write();
                    }
                }
                // The next round reaps.
                Ready::Ended => {}
            }
        }
    }
}
