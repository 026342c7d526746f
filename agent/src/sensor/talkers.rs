//! Who gives the sensor work: records by cgroup and execs by program, from one health document to the next.
//!
//! Bounded: so many cgroups and programs are told apart in one interval, the rest is counted together. A cgroup is known by its shared value, so
//! that a record costs a look-up by address and no copy of a path.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::Instant,
};

use linnet_ebpf::{KIND_EXEC, KIND_EXIT, KIND_FORK};
use linnet_fleet::health::{self, TalkingGroup, TalkingProgram};

use crate::process::cgroups::Cgroup;

/// Cgroups, and programs, that are told apart in one interval.
const MAX_KEYS: usize = 1024;
/// How many are told.
const TOLD: usize = 16;
/// A name that is told is cut to this many characters from its end, where paths differ.
const NAME_CHARS: usize = 160;

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    fork: u64,
    exec: u64,
    exit: u64,
}

/// The counts of this interval.
pub struct Talkers {
    /// By address; the value keeps it from being used for another.
    groups: HashMap<usize, (Rc<Cgroup>, Counts)>,
    programs: HashMap<Rc<str>, u64>,
    others: u64,
    since: Instant,
}

impl Talkers {
    /// Begins an interval.
    pub fn new(now: Instant) -> Self {
        Self { groups: HashMap::new(), programs: HashMap::new(), others: 0, since: now }
    }

    /// A record of this kind came from there.
    pub fn record(&mut self, kind: u16, cgroup: &Rc<Cgroup>) {
        let address = Rc::as_ptr(cgroup).addr();
        if self.groups.len() >= MAX_KEYS && !self.groups.contains_key(&address) {
            self.others += 1;
            return;
        }
        let (_, counts) =
            self.groups.entry(address).or_insert_with(|| (Rc::clone(cgroup), Counts::default()));
        match kind {
            KIND_FORK => counts.fork += 1,
            KIND_EXEC => counts.exec += 1,
            KIND_EXIT => counts.exit += 1,
            _ => {}
        }
    }

    /// A program was executed.
    pub fn program(&mut self, path: &Rc<str>) {
        if let Some(count) = self.programs.get_mut(path) {
            *count += 1;
        } else if self.programs.len() < MAX_KEYS {
            self.programs.insert(Rc::clone(path), 1);
        }
    }

    /// What was counted since the last time, and begins anew.
    pub fn take(&mut self, now: Instant) -> health::Talkers {
        let interval = now.saturating_duration_since(std::mem::replace(&mut self.since, now));
        // A container can have several cgroups, and a cgroup that was forgotten meanwhile several addresses.
        let mut groups: BTreeMap<String, TalkingGroup> = BTreeMap::new();
        for (_, (cgroup, counts)) in self.groups.drain() {
            let (name, runtime) = match &cgroup.container {
                Some(container) => (&container.id, Some(container.runtime)),
                None => (&cgroup.path, None),
            };
            let name = shortened(name);
            let group = groups.entry(name.clone()).or_insert_with(|| TalkingGroup {
                name,
                runtime: runtime.map(str::to_owned),
                ..TalkingGroup::default()
            });
            group.fork += counts.fork;
            group.exec += counts.exec;
            group.exit += counts.exit;
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.total()));
        groups.truncate(TOLD);
        let mut programs: Vec<_> = self.programs.drain().collect();
        programs.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        programs.truncate(TOLD);
        // What a storm took is given back.
        self.groups.shrink_to(64);
        self.programs.shrink_to(64);
        health::Talkers {
            interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            groups,
            programs: programs
                .into_iter()
                .map(|(path, execs)| TalkingProgram { path: shortened(&path), execs })
                .collect(),
            others: std::mem::take(&mut self.others),
        }
    }
}

fn shortened(name: &str) -> String {
    match name.char_indices().rev().nth(NAME_CHARS) {
        Some((at, first)) => format!("…{}", name.get(at + first.len_utf8()..).unwrap_or_default()),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::cgroups::Container;

    fn cgroup(path: &str, container: Option<&str>) -> Rc<Cgroup> {
        let container = container.map(|id| Container { id: id.into(), runtime: "docker", pod_uid: None });
        Rc::new(Cgroup { path: path.into(), container })
    }

    #[test]
    fn cgroups_of_one_container_are_one_and_the_busiest_is_first() {
        let mut talkers = Talkers::new(Instant::now());
        let (web, web_inner, host) =
            (cgroup("/a", Some("c1")), cgroup("/a/b", Some("c1")), cgroup("/system.slice/x", None));
        talkers.record(KIND_EXEC, &host);
        for kind in [KIND_FORK, KIND_EXEC, KIND_EXIT, 99] {
            talkers.record(kind, &web);
            talkers.record(kind, &web_inner);
        }
        for (path, times) in [("/bin/a", 1), ("/bin/b", 3)] {
            for _ in 0..times {
                talkers.program(&Rc::from(path));
            }
        }
        let told = talkers.take(Instant::now());
        let names: Vec<_> = told.groups.iter().map(|one| (&*one.name, one.total())).collect();
        assert_eq!(names, [("c1", 6), ("/system.slice/x", 1)]);
        assert_eq!(told.groups.first().and_then(|one| one.runtime.as_deref()), Some("docker"));
        let programs: Vec<_> = told.programs.iter().map(|one| (&*one.path, one.execs)).collect();
        assert_eq!(programs, [("/bin/b", 3), ("/bin/a", 1)]);
        let next = talkers.take(Instant::now());
        assert!(next.groups.is_empty() && next.programs.is_empty());
    }

    #[test]
    fn a_host_of_many_cgroups_is_bounded_and_its_rest_is_counted() {
        let mut talkers = Talkers::new(Instant::now());
        let groups: Vec<_> = (0..MAX_KEYS + 10).map(|n| cgroup(&format!("/{n}"), None)).collect();
        for group in &groups {
            talkers.record(KIND_FORK, group);
            talkers.program(&Rc::from(&*group.path));
        }
        assert_eq!((talkers.groups.len(), talkers.programs.len()), (MAX_KEYS, MAX_KEYS));
        let told = talkers.take(Instant::now());
        assert_eq!((told.groups.len(), told.programs.len(), told.others), (TOLD, TOLD, 10));
    }

    #[test]
    fn long_names_keep_their_end() {
        let name = format!("/雀{}", "x".repeat(NAME_CHARS - 1));
        let short = shortened(&name);
        assert!(short.starts_with("…雀x") && short.chars().count() == NAME_CHARS + 1, "{short}");
        assert_eq!(shortened("/a"), "/a");
    }
}
