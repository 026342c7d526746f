//! Numbers for the screen, from the health document and the one before it. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use linnet_fleet::health::{Health, Losses, NetworkSink, State, TalkingGroup, TalkingProgram};

/// By what the groups are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// All records.
    #[default]
    All,
    /// Records of processes that were made.
    Fork,
    /// Of programs executed.
    Exec,
    /// Of ends.
    Exit,
    /// The name.
    Name,
}

impl Sort {
    /// The one after it, round and round.
    pub fn next(self) -> Self {
        match self {
            Self::All => Self::Fork,
            Self::Fork => Self::Exec,
            Self::Exec => Self::Exit,
            Self::Exit => Self::Name,
            Self::Name => Self::All,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Fork => "fork",
            Self::Exec => "exec",
            Self::Exit => "exit",
            Self::Name => "name",
        }
    }
}

/// A share of something, with what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// What it is a share of.
    pub name: &'static str,
    /// The share in thousandths; none where the kernel doesn't tell.
    pub permille: Option<u64>,
    /// The numbers behind it.
    pub note: String,
}

/// A container or cgroup, in records a second.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Container id or cgroup path.
    pub name: String,
    /// The runtime.
    pub runtime: Option<String>,
    /// Processes made.
    pub fork: f64,
    /// Programs executed.
    pub exec: f64,
    /// Processes ended.
    pub exit: f64,
}

impl Group {
    /// All of them.
    pub fn all(&self) -> f64 {
        self.fork + self.exec + self.exit
    }
}

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Version and process.
    pub title: String,
    /// The kernel's release.
    pub kernel: String,
    /// `running` and so on, unless the document is too old to be believed.
    pub state: String,
    /// Whether that is a reason to worry.
    pub is_well: bool,
    /// How long it runs, in seconds.
    pub up_s: i64,
    /// How old the numbers are, in seconds.
    pub age_s: i64,
    /// Reasons for which it is degraded.
    pub degraded: Vec<String>,
    /// Events written by family: a second, and in all.
    pub families: Vec<(String, f64, u64)>,
    /// Whether the rates are averages since the start, for want of a second document.
    pub since_start: bool,
    /// Limits and pressure.
    pub shares: Vec<Share>,
    /// What is left out.
    pub left_out: String,
    /// The loss equation by kind.
    pub losses: BTreeMap<String, Losses>,
    /// The busiest first.
    pub groups: Vec<Group>,
    /// Executed the most often first, with execs a second.
    pub programs: Vec<(String, f64)>,
    /// Records a second of cgroups that are not told apart.
    pub others: f64,
}

/// Makes the figures of a document. `before` is an earlier document of the same run.
pub fn figures(now: &Health, before: Option<&Health>, moment: Timestamp, stale_s: i64) -> Figures {
    let before = before.filter(|before| before.started_at == now.started_at && before.pid == now.pid);
    let from = before.map_or(now.started_at, |before| before.updated_at);
    let elapsed_s = now.updated_at.duration_since(from).as_secs_f64();
    let age_s = now.age(moment).as_secs();
    let is_stale = age_s > stale_s;
    let families = now
        .families
        .iter()
        .map(|(family, count)| {
            let earlier = before.and_then(|before| before.families.get(family)).copied().unwrap_or(0);
            (family.clone(), per_second(count.saturating_sub(earlier), elapsed_s), *count)
        })
        .collect();
    let talk_s = real(now.talkers.interval_ms) / 1000.0;
    Figures {
        title: format!("linnet-agent {}  pid {}", now.version, now.pid),
        kernel: now.kernel_release.clone(),
        state: if is_stale { format!("silent for {age_s} s") } else { now.state.as_str().to_owned() },
        is_well: !is_stale && now.state == State::Running,
        up_s: now.updated_at.duration_since(now.started_at).as_secs(),
        age_s,
        degraded: now.degraded.clone(),
        families,
        since_start: before.is_none(),
        shares: shares(now, before, elapsed_s),
        left_out: left_out(now, moment),
        losses: now.losses.clone(),
        groups: now.talkers.groups.iter().map(|group| talking(group, talk_s)).collect(),
        programs: now
            .talkers
            .programs
            .iter()
            .map(|TalkingProgram { path, execs }| (path.clone(), per_second(*execs, talk_s)))
            .collect(),
        others: per_second(now.talkers.others, talk_s),
    }
}

impl Figures {
    /// Sorts the groups.
    pub fn sort(&mut self, by: Sort) {
        let key = |group: &Group| match by {
            Sort::All | Sort::Name => group.all(),
            Sort::Fork => group.fork,
            Sort::Exec => group.exec,
            Sort::Exit => group.exit,
        };
        if by == Sort::Name {
            self.groups.sort_by(|a, b| a.name.cmp(&b.name));
        } else {
            self.groups.sort_by(|a, b| key(b).total_cmp(&key(a)).then_with(|| a.name.cmp(&b.name)));
        }
    }
}

fn talking(group: &TalkingGroup, interval_s: f64) -> Group {
    Group {
        name: group.name.clone(),
        runtime: group.runtime.clone(),
        fork: per_second(group.fork, interval_s),
        exec: per_second(group.exec, interval_s),
        exit: per_second(group.exit, interval_s),
    }
}

fn shares(now: &Health, before: Option<&Health>, elapsed_s: f64) -> Vec<Share> {
    let (usage, limits, pressure) = (&now.usage, &now.limits.effective, &now.shedding.pressure);
    let memory = match (usage.memory_held_bytes, limits.memory_max_bytes) {
        (Some(held), Some(max)) => {
            (Some(permille(held, max)), format!("{} held of {}", bytes(held), bytes(max)))
        }
        (Some(held), None) => (None, format!("{} held, no limit", bytes(held))),
        _ => (None, "no cgroup of its own".to_owned()),
    };
    let used_us = usage.cpu_usage_us.zip(before.map_or(Some(0), |before| before.usage.cpu_usage_us));
    let cores = used_us.map(|(now, before)| per_second(now.saturating_sub(before), elapsed_s) / 1e6);
    let limit = limits
        .cpu_quota_us
        .zip(limits.cpu_period_us)
        .map(|(quota, period)| real(quota) / real(period.max(1)));
    let cpu = match (cores, limit) {
        (Some(cores), Some(limit)) if limit > 0.0 => {
            (Some(whole(cores / limit * 1000.0)), format!("{cores:.2} of {limit:.2} cores"))
        }
        (Some(cores), _) => (None, format!("{cores:.2} cores, no limit")),
        _ => (None, "not told by the kernel".to_owned()),
    };
    let ring = &now.ring;
    let mut shares = vec![
        Share { name: "memory", permille: memory.0, note: memory.1 },
        Share { name: "cpu", permille: cpu.0, note: cpu.1 },
        Share {
            name: "throttled",
            permille: usage.nr_periods.map(|_| u64::from(pressure.throttled_permille)),
            note: usage.throttled_us.map_or_else(String::new, |us| format!("{} ms in all", us / 1000)),
        },
        Share {
            name: "ring",
            permille: Some(permille(ring.peak_bytes, ring.bytes)),
            note: format!("{} of {}", bytes(ring.peak_bytes), bytes(ring.bytes)),
        },
        Share { name: "outputs", permille: Some(u64::from(pressure.output_permille)), note: outputs(now) },
    ];
    if let Some(spool) = &now.spool {
        let filled = format!("{} of {}{}", bytes(spool.bytes), bytes(spool.max_bytes), backends(now));
        let permille = Some(permille(spool.bytes, spool.max_bytes));
        shares.push(Share { name: "spool", permille, note: filled });
    }
    shares
}

/// What waits for each sink over the network, and what is wrong with it.
fn backends(now: &Health) -> String {
    let one = |sink: &NetworkSink| {
        let waiting: u64 = sink.events.values().map(|account| account.waiting).sum();
        let dropped: u64 = sink.events.values().flat_map(|account| account.dropped.values()).sum();
        let error = sink.last_error.as_ref().map(|error| format!(", {error}")).unwrap_or_default();
        let state = if sink.down { " down" } else { "" };
        format!("; {}{state}: {waiting} wait, dropped {dropped}{error}", sink.name)
    };
    now.network_sinks.iter().map(one).collect()
}

fn outputs(now: &Health) -> String {
    let dropped: u64 = now.sinks.iter().map(|sink| sink.dropped).sum();
    let written: u64 = now.sinks.iter().map(|sink| sink.written_bytes).sum();
    let last = now.sinks.iter().find_map(|sink| sink.last_error.clone());
    match last {
        Some(error) => error,
        None => format!("{}, dropped {dropped}", bytes(written)),
    }
}

fn left_out(now: &Health, moment: Timestamp) -> String {
    let shed = shed(now, moment);
    match (now.rate_limits.groups, shed.as_str()) {
        (0, _) => shed,
        (groups, "nothing") => format!("records of {groups} noisy cgroups"),
        (groups, _) => format!("records of {groups} noisy cgroups; {shed}"),
    }
}

fn shed(now: &Health, moment: Timestamp) -> String {
    let shedding = &now.shedding;
    if shedding.now.is_empty() {
        return match shedding.times {
            0 => "nothing".to_owned(),
            times => format!("nothing now; {times} times before"),
        };
    }
    let since = shedding.since.map_or(0, |since| moment.duration_since(since).as_secs());
    let cause = shedding.cause.as_deref().unwrap_or("pressure");
    format!("{} ({cause}, for {since} s)", shedding.now.join(", "))
}

/// Bytes for a reader.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

fn permille(part: u64, whole: u64) -> u64 {
    part.saturating_mul(1000) / whole.max(1)
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { real(count) / seconds } else { 0.0 }
}

/// For a reader, to whom the last of sixteen digits says nothing.
fn real(value: u64) -> f64 {
    value as f64
}

/// Saturates, which is what a screen wants.
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
pub(super) mod tests {
    use linnet_fleet::health::{
        LimitValues, Limits, Pressure, Ring, Shedding, SinkAccount, Spool, Talkers, Usage,
    };

    use super::*;

    pub fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A document of an agent that started at 0.
    pub fn document(second: i64, execs: u64) -> Health {
        let group = |name: &str, runtime: Option<&str>, exec| TalkingGroup {
            name: name.into(),
            runtime: runtime.map(str::to_owned),
            fork: exec,
            exec,
            exit: 1,
        };
        Health {
            version: "1.2.3".into(),
            pid: 77,
            kernel_release: "6.1".into(),
            state: State::Running,
            started_at: at(0),
            updated_at: at(second),
            families: BTreeMap::from([("exec".into(), execs), ("exit".into(), execs / 2)]),
            losses: BTreeMap::from([(
                "exec".into(),
                Losses { attempted: execs + 3, received: execs, lost_ring: 3, ..Losses::default() },
            )]),
            limits: Limits {
                effective: LimitValues {
                    cpu_quota_us: Some(50_000),
                    cpu_period_us: Some(100_000),
                    memory_max_bytes: Some(100_000_000),
                    ..LimitValues::default()
                },
                ..Limits::default()
            },
            usage: Usage {
                memory_held_bytes: Some(41_000_000),
                cpu_usage_us: Some(u64::try_from(second).unwrap() * 100_000),
                nr_periods: Some(9),
                throttled_us: Some(5000),
                ..Usage::default()
            },
            ring: Ring { bytes: 1000, used_bytes: 1, peak_bytes: 130 },
            shedding: Shedding {
                pressure: Pressure { throttled_permille: 200, ..Pressure::default() },
                ..Shedding::default()
            },
            talkers: Talkers {
                interval_ms: 5000,
                groups: vec![
                    group("af4b06aa91faf1c8", Some("docker"), 500),
                    group("/system.slice/cron.service", None, 5),
                ],
                programs: vec![TalkingProgram { path: "/usr/bin/true".into(), execs: 250 }],
                others: 10,
            },
            ..Health::default()
        }
    }

    #[test]
    fn rates_are_of_the_time_between_two_documents_of_the_same_run() {
        let (first, second) = (document(10, 1000), document(15, 1500));
        let shown = figures(&second, Some(&first), at(16), 30);
        assert_eq!(shown.families.first(), Some(&("exec".to_owned(), 100.0, 1500)));
        assert!(!shown.since_start);
        assert_eq!((shown.up_s, shown.age_s, shown.state.as_str(), shown.is_well), (15, 1, "running", true));
        let permilles: Vec<_> = shown.shares.iter().map(|share| (share.name, share.permille)).collect();
        let wanted = [("memory", 410), ("cpu", 200), ("throttled", 200), ("ring", 130), ("outputs", 0)];
        assert_eq!(permilles, wanted.map(|(name, permille)| (name, Some(permille))));
        assert_eq!(shown.groups.first().map(|group| (group.exec, group.all())), Some((100.0, 200.2)));
        assert_eq!(shown.programs, [("/usr/bin/true".to_owned(), 50.0)]);
        let alone = figures(&second, None, at(16), 30);
        assert_eq!((alone.since_start, alone.families.first().map(|one| one.1)), (true, Some(100.0)));
    }

    #[test]
    fn another_run_a_clock_that_went_back_and_no_cgroup_do_no_harm() {
        let second = document(15, 1500);
        let other = Health { started_at: at(-9), ..document(10, 9_000_000) };
        assert!(figures(&second, Some(&other), at(16), 30).since_start);
        let later = document(20, 2000);
        let shown = figures(&second, Some(&later), at(0), 30);
        assert_eq!(shown.families.first().map(|one| one.1), Some(0.0));
        let bare = Health { usage: Usage::default(), limits: Limits::default(), ..document(1, 1) };
        assert_eq!(figures(&bare, None, at(2), 30).shares.first().map(|share| share.permille), Some(None));
        figures(&Health::default(), None, at(0), 30);
    }

    #[test]
    fn a_spool_has_a_line_that_says_what_waits_for_whom() {
        let account = SinkAccount {
            waiting: 7,
            dropped: [("spool_full".to_owned(), 2)].into(),
            ..SinkAccount::default()
        };
        let sink = NetworkSink {
            name: "siem".into(),
            down: true,
            last_error: Some("answered 503".into()),
            events: [("exec".to_owned(), account)].into(),
            ..NetworkSink::default()
        };
        let spool = Spool { bytes: 25 << 20, max_bytes: 100 << 20, ..Spool::default() };
        let health = Health { spool: Some(spool), network_sinks: vec![sink], ..document(1, 1) };
        let shown = figures(&health, None, at(2), 30);
        let share = shown.shares.last().unwrap();
        assert_eq!((share.name, share.permille), ("spool", Some(250)));
        assert!(share.note.ends_with("; siem down: 7 wait, dropped 2, answered 503"), "{}", share.note);
    }

    #[test]
    fn an_agent_that_says_nothing_is_not_well() {
        let shown = figures(&document(15, 1500), None, at(100), 30);
        assert_eq!((shown.is_well, shown.state.as_str()), (false, "silent for 85 s"));
    }

    #[test]
    fn groups_are_sorted_by_what_was_asked_for() {
        let mut shown = figures(&document(15, 1500), None, at(16), 30);
        let mut sort = Sort::default();
        let mut firsts = Vec::new();
        for _ in 0..5 {
            shown.sort(sort);
            firsts.push((
                sort.as_str(),
                shown.groups.first().map(|group| group.name.as_str()) == Some("af4b06aa91faf1c8"),
            ));
            sort = sort.next();
        }
        assert_eq!(firsts, [("all", true), ("fork", true), ("exec", true), ("exit", false), ("name", false)]);
        assert_eq!(sort, Sort::All);
    }
}
