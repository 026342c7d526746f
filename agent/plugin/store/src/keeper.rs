//! The thread that keeps the channel's plugins, `linnet-keeper`: it takes in what the desk has, decides, writes down,
//! and only then tells what is to run. It never waits for a network.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use linnet_fleet::channel::{Backoff, PluginOffer};
use linnet_fleet::health::{PluginChannel, RefusedPlugin, Trial};
use linnet_keys::Sha256Digest;

use crate::choice::{Build, Known, Memory};
use crate::desk::{Desk, Heard, Order, Pick, Request, Sight};
use crate::fetch::{self, Fetched, Source};
use crate::memory::MemoryFile;
use crate::tree::Trees;

/// After a download that went wrong: up to this long, then up to twice as long, …
const FETCH_WAIT: Duration = Duration::from_secs(10);
const MAX_FETCH_WAIT: Duration = Duration::from_secs(3600);

/// What does not change while the agent runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of plugins.
    pub directory: PathBuf,
    /// Bytes that stay free on its disk.
    pub reserve_bytes: u64,
    /// Where packages come from; none on a host that follows no channel.
    pub source: Option<Source>,
}

/// The thread. When this is dropped, it ends.
#[derive(Debug)]
pub struct Keeper {
    desk: Desk,
}

impl Keeper {
    /// Starts the thread. `changed` is called on it when [`Desk::picks`] has news, and must not wait.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(options: Options, desk: Desk, changed: impl Fn() + Send + 'static) -> io::Result<Self> {
        let own = desk.clone();
        std::thread::Builder::new()
            .name("linnet-keeper".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || Work::new(options, own).run(&changed))?;
        Ok(Self { desk })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.desk.order(Order::Stop);
    }
}

/// What there is of one plugin.
#[derive(Default)]
struct Entry {
    memory: Memory,
    /// Verified since the start.
    staged: BTreeSet<Build>,
    offers: Option<Vec<PluginOffer>>,
    backoff: Option<(Build, Backoff)>,
    next_at: Option<Instant>,
    health: PluginChannel,
    fetch_error: Option<String>,
}

struct Work {
    options: Options,
    desk: Desk,
    trees: Trees,
    file: MemoryFile,
    wanted: BTreeMap<String, Request>,
    plugins: BTreeMap<String, Entry>,
    revoked: BTreeSet<Sha256Digest>,
    /// Places that something runs from, as far as the host has said.
    in_use: BTreeSet<PathBuf>,
    /// The download under way.
    fetching: Option<(String, Build)>,
    /// The memory as it is on the disk.
    saved: BTreeMap<String, Memory>,
    /// Why the last change could not be written down.
    save_error: Option<String>,
    /// Something may lie on the disk that is not needed any more.
    is_untidy: bool,
    dice: u64,
}

impl Work {
    fn new(options: Options, desk: Desk) -> Self {
        let trees = Trees::new(&options.directory);
        let file = MemoryFile::new(&trees.top());
        let saved = file.load();
        let mut plugins: BTreeMap<String, Entry> = BTreeMap::new();
        for name in trees.names() {
            let entry = plugins.entry(name.clone()).or_default();
            for build in trees.marked(&name) {
                match trees.verify(&name, &build) {
                    Ok(()) => drop(entry.staged.insert(build)),
                    Err(error) => {
                        log::error!("plugin {name} {}: {error}; it is fetched again", build.version);
                    }
                }
            }
        }
        for (name, memory) in &saved {
            let entry = plugins.entry(name.clone()).or_default();
            entry.memory = memory.clone();
            entry.memory.started(Timestamp::now());
        }
        // A fleet that starts together must not fetch again together.
        let dice = u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ u64::try_from(Timestamp::now().as_nanosecond() & 0xffff_ffff_ffff).unwrap_or(0);
        Self {
            options,
            desk,
            trees,
            file,
            wanted: BTreeMap::new(),
            plugins,
            revoked: BTreeSet::new(),
            in_use: BTreeSet::new(),
            fetching: None,
            saved,
            save_error: None,
            is_untidy: true,
            dice,
        }
    }

    fn run(mut self, changed: &(impl Fn() + Send)) {
        let (mut until, mut knows_what_is_wanted) = (None, false);
        loop {
            for order in self.desk.orders(until) {
                match order {
                    Order::Stop => return,
                    Order::Want(wanted) => {
                        self.wanted = wanted;
                        self.is_untidy = true;
                        knows_what_is_wanted = true;
                    }
                    Order::Hear(heard) => self.hear(heard),
                    Order::See(sights) => self.see(&sights),
                    Order::Fetched { name, build, outcome } => self.fetched(&name, build, outcome),
                }
            }
            // Before the first such order everything would look as if nobody wanted it.
            if knows_what_is_wanted && self.tend() {
                changed();
            }
            until = self.plugins.values().filter_map(|entry| entry.next_at).min();
        }
    }

    fn hear(&mut self, heard: Heard) {
        for (name, offers) in heard.offers {
            let entry = self.plugins.entry(name).or_default();
            if entry.offers.as_ref() != Some(&offers) {
                entry.offers = Some(offers);
                self.is_untidy = true;
            }
        }
        self.revoked = heard.revoked;
        for (name, entry) in &mut self.plugins {
            // Remembered, so that it does not run after a restart without network either.
            let memory = &mut entry.memory;
            let had = [memory.good, memory.trying.as_ref().map(|trying| trying.build)];
            for build in had.into_iter().flatten().filter(|build| self.revoked.contains(&build.sha256)) {
                log::warn!("plugin {name} {} was revoked: it does not run any more", build.version);
                memory.trying = memory.trying.take().filter(|trying| trying.build != build);
                memory.good = memory.good.filter(|good| *good != build);
                memory.refuse(build, "the channel has revoked it".to_owned(), None, Timestamp::now());
                self.is_untidy = true;
            }
        }
    }

    /// How the trials stand, and what is in use.
    fn see(&mut self, sights: &[Sight]) {
        let in_use: BTreeSet<_> = sights.iter().map(|sight| sight.place.clone()).collect();
        self.is_untidy |= in_use != self.in_use;
        self.in_use = in_use;
        for sight in sights {
            let Some(entry) = self.plugins.get_mut(&sight.name) else { continue };
            let Some(build) = entry.memory.trying.as_ref().map(|trying| trying.build) else { continue };
            if sight.place != Trees::place(&sight.name, &build) {
                continue;
            }
            match sight.trial {
                Some(Trial::Passed) => {
                    entry.memory.passed(build);
                    self.is_untidy = true;
                    log::info!("plugin {} {}: has proved itself", sight.name, build.version);
                }
                Some(Trial::Failed) => {
                    let why = sight.reason.clone().unwrap_or_else(|| "it did not run well".to_owned());
                    log::error!("plugin {} {} is taken back: {why}", sight.name, build.version);
                    let with = self.wanted.get(&sight.name).map(|request| request.settings_sha256.clone());
                    entry.memory.failed(why, with, Timestamp::now());
                    entry.health.rollbacks += 1;
                    self.is_untidy = true;
                }
                Some(Trial::UnderWay) | None => {}
            }
        }
    }

    fn fetched(&mut self, name: &str, build: Build, outcome: Fetched) {
        self.fetching = None;
        self.is_untidy = true;
        let entry = self.plugins.entry(name.to_owned()).or_default();
        (entry.next_at, entry.fetch_error) = (None, None);
        match outcome {
            Fetched::Staged => {
                log::info!("plugin {name} {}: fetched", build.version);
                entry.health.fetched += 1;
                entry.backoff = None;
                entry.staged.insert(build);
            }
            Fetched::Refused(why) => {
                log::error!("plugin {name} {} is refused: {why}", build.version);
                entry.health.fetch_failures += 1;
                entry.memory.refuse(build, why, None, Timestamp::now());
            }
            Fetched::Later(why, retry_after) => {
                entry.health.fetch_failures += 1;
                if entry.backoff.as_ref().is_none_or(|(before, _)| *before != build) {
                    entry.backoff = Some((build, Backoff::new(FETCH_WAIT, MAX_FETCH_WAIT)));
                    log::warn!("plugin {name} {} can't be fetched: {why}", build.version);
                }
                self.dice =
                    self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let wait = entry
                    .backoff
                    .as_mut()
                    .map_or(FETCH_WAIT, |(_, backoff)| backoff.after_failure(retry_after, self.dice));
                entry.next_at = Some(Instant::now() + wait);
                entry.fetch_error = Some(why);
            }
        }
    }

    /// Decides for every plugin, writes it down, and publishes it; whether there is news for the host.
    fn tend(&mut self) -> bool {
        let (mut picks, mut asked) = (BTreeMap::new(), BTreeSet::new());
        for (name, request) in self.wanted.clone() {
            if self.trees.is_installed_here(&name) {
                picks.insert(name.clone(), Pick::Run { place: PathBuf::from(&name), on_trial: false });
                continue;
            }
            if !request.from_channel {
                let reason = "it is not installed here, and plugins.policy.from_channel is false";
                picks.insert(name, Pick::Absent { reason: reason.to_owned() });
                continue;
            }
            asked.insert(name.clone());
            picks.insert(name.clone(), self.decide(&name, &request));
        }
        let saved = if self.memories() == self.saved { Ok(()) } else { self.save() };
        if let Err(error) = &saved {
            // Nothing new is tried that could not be written down; what is good goes on.
            for (name, pick) in &mut picks {
                if let Pick::Run { on_trial: true, .. } = pick {
                    *pick = self.before(name, error);
                }
            }
        }
        self.tell(saved.err());
        if std::mem::take(&mut self.is_untidy) {
            self.tidy();
        }
        let health = asked.iter().map(|name| (name.clone(), self.health(name))).collect();
        self.desk.publish(asked, picks, health)
    }

    fn decide(&mut self, name: &str, request: &Request) -> Pick {
        let entry = self.plugins.entry(name.to_owned()).or_default();
        let builds: Option<Vec<Build>> =
            entry.offers.as_ref().map(|offers| offers.iter().map(build_of).collect());
        let known = Known { offers: builds.as_deref(), revoked: &self.revoked, staged: &entry.staged };
        let decision = entry.memory.decide(request, known);
        let memory = &mut entry.memory;
        let trying = memory.trying.as_ref().map(|trying| trying.build);
        match decision.run {
            Some(build) if decision.is_new && trying != Some(build) => memory.put_on_trial(build),
            // Another version is wanted meanwhile.
            Some(build) if trying.is_some_and(|trying| trying != build) => memory.trying = None,
            _ => {}
        }
        let on_trial =
            decision.run.is_some() && decision.run == memory.trying.as_ref().map(|trying| trying.build);
        entry.health.wanted = decision.wanted.map(|version| version.to_string());
        let mut note = decision.note;
        if let Some(build) = decision.fetch {
            note = Some(self.fetch(name, build));
        }
        let entry = self.plugins.entry(name.to_owned()).or_default();
        entry.health.note.clone_from(&note);
        match decision.run {
            Some(build) => Pick::Run { place: Trees::place(name, &build), on_trial },
            None => Pick::Absent { reason: note.unwrap_or_else(|| "nothing to run".to_owned()) },
        }
    }

    /// Begins a download, unless another one is under way or it is too soon; how that stands.
    fn fetch(&mut self, name: &str, build: Build) -> String {
        let Some(source) = &self.options.source else {
            return format!("version {} can't be fetched: this host follows no channel", build.version);
        };
        let entry = self.plugins.entry(name.to_owned()).or_default();
        if entry.backoff.as_ref().is_some_and(|(before, _)| *before != build) {
            (entry.backoff, entry.next_at, entry.fetch_error) = (None, None, None);
        }
        let is_due = entry.next_at.is_none_or(|at| at <= Instant::now());
        let offer = entry.offers.iter().flatten().find(|offer| build_of(offer) == build);
        if is_due
            && self.fetching.is_none()
            && let Some(offer) = offer.cloned()
        {
            let started = fetch::start(
                source.clone(),
                self.trees.clone(),
                self.options.reserve_bytes,
                offer,
                self.desk.clone(),
            );
            match started {
                Ok(()) => (self.fetching, entry.next_at) = (Some((name.to_owned(), build)), None),
                Err(error) => {
                    entry.next_at = Some(Instant::now() + FETCH_WAIT);
                    entry.fetch_error = Some(error.to_string());
                }
            }
        }
        match &entry.fetch_error {
            Some(error) => {
                let failures = entry.backoff.as_ref().map_or(1, |(_, backoff)| backoff.failures());
                format!("version {} can't be fetched, {failures} times in a row: {error}", build.version)
            }
            None => format!("version {} is being fetched", build.version),
        }
    }

    /// What ran before a trial that can't begin.
    fn before(&mut self, name: &str, error: &str) -> Pick {
        let saved = self.saved.get(name).cloned().unwrap_or_default();
        let entry = self.plugins.entry(name.to_owned()).or_default();
        entry.memory = saved;
        entry.health.note = Some(format!("nothing new is tried that can't be written down: {error}"));
        match entry.memory.good.filter(|good| entry.staged.contains(good)) {
            Some(good) => Pick::Run { place: Trees::place(name, &good), on_trial: false },
            None => Pick::Absent { reason: error.to_owned() },
        }
    }

    /// Logs why nothing can be written down, once for each reason.
    fn tell(&mut self, error: Option<String>) {
        if let Some(error) = error.as_ref().filter(|error| self.save_error.as_ref() != Some(error)) {
            log::error!("{}: {error}: plugins stay as they are", self.trees.top().display());
        }
        self.save_error = error;
    }

    fn memories(&self) -> BTreeMap<String, Memory> {
        let entries = self.plugins.iter().map(|(name, entry)| (name.clone(), entry.memory.clone()));
        entries.filter(|(_, memory)| *memory != Memory::default()).collect()
    }

    fn save(&mut self) -> Result<(), String> {
        let memories = self.memories();
        if memories.is_empty() {
            self.file.remove();
        } else {
            self.trees.make_top().map_err(|error| error.to_string())?;
            self.file.save(&memories)?;
        }
        for (name, memory) in &memories {
            let before = self.saved.get(name).and_then(|before| before.trying.as_ref());
            if let Some(trying) = memory.trying.as_ref().filter(|trying| Some(*trying) != before) {
                log::info!("plugin {name} {}: is tried", trying.build.version);
            }
        }
        self.saved = memories;
        Ok(())
    }

    /// Removes what neither runs, nor is wanted, nor may be needed to go back to.
    fn tidy(&mut self) {
        let mut gone = Vec::new();
        for (name, entry) in &mut self.plugins {
            let is_wanted = self.wanted.get(name).is_some_and(|request| request.from_channel)
                && !self.trees.is_installed_here(name);
            let mut keep: BTreeSet<Build> = BTreeSet::new();
            if is_wanted {
                keep.extend(entry.memory.good);
                keep.extend(entry.memory.trying.as_ref().map(|trying| trying.build));
                keep.extend(entry.backoff.as_ref().map(|(build, _)| *build));
            }
            keep.extend(self.fetching.iter().filter(|(of, _)| of == name).map(|(_, build)| *build));
            let is_used = |build: &Build| self.in_use.contains(&Trees::place(name, build));
            keep.extend(entry.staged.iter().copied().filter(is_used));
            // Not before the channel was heard: a part of a download that was cut off is worth keeping until then.
            if is_wanted && entry.offers.is_none() {
                continue;
            }
            if let Err(error) = self.trees.keep_only(name, &keep) {
                log::warn!("plugin {name}: {error}");
            }
            entry.staged.retain(|build| keep.contains(build));
            if !is_wanted && keep.is_empty() {
                gone.push(name.clone());
            }
        }
        for name in gone {
            log::info!("plugin {name}: nothing of it is kept but its state");
            self.plugins.remove(&name);
        }
        // What can't be written down now is so with the next change.
        if self.memories() != self.saved {
            let _ = self.save();
        }
        if self.plugins.is_empty() {
            self.trees.remove_top();
        }
    }

    fn health(&self, name: &str) -> PluginChannel {
        let Some(entry) = self.plugins.get(name) else { return PluginChannel::default() };
        let refused = entry.memory.refused.iter().map(|refused| RefusedPlugin {
            version: refused.build.version.to_string(),
            sha256: refused.build.sha256.to_string(),
            why: refused.why.clone(),
            at: refused.at,
        });
        PluginChannel { refused: refused.collect(), ..entry.health.clone() }
    }
}

fn build_of(offer: &PluginOffer) -> Build {
    Build { version: offer.plugin.version, sha256: offer.sha256 }
}
