//! `publish-config --hosts`: how many hosts of a list a document touches, now and at each wave.
//!
//! Hosts decide by `fleet::rollout`, and so does this. A list has a host on each line: its name, its id (`device.uid` in
//! its events; `-` where it is not known), then its tags. Whatever follows a `#` is a comment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp as Time;
use linnet_fleet::rollout::{FleetDocument, HostFacts, HostTraits, Release, Rollout, Update, decide};

use crate::channel::read_capped;

const MAX_LIST_BYTES: u64 = 64 << 20;
/// Steps in which one host's way through waves and windows is followed.
const MAX_STEPS: usize = 1024;

/// The hosts of a list.
pub struct HostList {
    hosts: Vec<HostTraits>,
}

impl HostList {
    /// Reads a list.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_capped(path, MAX_LIST_BYTES)?;
        let text = std::str::from_utf8(&bytes).with_context(|| format!("{path:?}"))?;
        Self::parse(text).with_context(|| format!("{path:?}"))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut hosts = Vec::new();
        let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(hostname) = words.next() else { continue };
            let at = || format!("line {}", number + 1);
            let id = match words.next() {
                None | Some("-") => None,
                Some(id) => Some(id.parse().with_context(at)?),
            };
            if !names.insert(hostname) {
                bail!("{}: {hostname:?} is there twice", at());
            }
            if id.is_some_and(|id| !ids.insert(id)) {
                bail!("{}: the id of {hostname:?} is another host's too", at());
            }
            let tags = words.map(str::to_owned).collect();
            hosts.push(HostTraits { id, hostname: hostname.to_owned(), tags });
        }
        if hosts.is_empty() {
            bail!("there is no host in it: give NAME ID TAG… on each line");
        }
        Ok(Self { hosts })
    }
}

/// Whom the document touches, a line each. The error is a host that would refuse it, which no check of the document alone
/// can find: overrides that are each well may contradict each other on the hosts that both match.
pub fn reach(document: &FleetDocument, list: &HostList, now: Time, unchecked: bool) -> Result<Vec<String>> {
    let turns = turns(document, now);
    if !unchecked {
        check_each(document, list, &turns)?;
    }
    let HostList { hosts } = list;
    let nameless = hosts.iter().filter(|host| host.id.is_none()).count();
    let mut lines = vec![match nameless {
        0 => format!("of the {} hosts in the list:", hosts.len()),
        _ => format!(
            "of the {} hosts in the list ({nameless} without an id: each counts as the last of every share):",
            hosts.len()
        ),
    }];
    for one in &document.overrides {
        let own_turns = one.of.waves.iter().flatten().map(|wave| wave.at).filter(|at| *at > now);
        let counts: Vec<_> = [now]
            .into_iter()
            .chain(own_turns)
            .map(|at| (at, hosts.iter().filter(|host| one.is_for(host, at)).count()))
            .collect();
        let mut line = format!("  override {}: {}", one.name, told(&counts, now));
        if one.halt {
            line.push_str(" (halted)");
        } else if counts.iter().all(|(_, count)| *count == 0) {
            line.push_str(" (no host of the list, ever)");
        }
        lines.push(line);
    }
    for (release, times) in takers(document, hosts, now, &turns)? {
        let mut sum = 0;
        let mut counts: Vec<_> = times
            .into_iter()
            .map(|(at, count)| {
                sum += count;
                (at, sum)
            })
            .collect();
        if counts.first().is_none_or(|(at, _)| *at > now) {
            counts.insert(0, (now, 0));
        }
        lines.push(format!("  may take {release}: {}", told(&counts, now)));
    }
    Ok(lines)
}

fn told(counts: &[(Time, usize)], now: Time) -> String {
    let one = |(at, count): &(Time, usize)| {
        if *at <= now {
            format!("{count} now")
        } else {
            format!("{count} from {}", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
        }
    };
    counts.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The times from now on at which an override may begin to match more hosts.
fn turns(document: &FleetDocument, now: Time) -> Vec<Time> {
    let waves = document.overrides.iter().flat_map(|one| one.of.waves.iter().flatten());
    let turns: BTreeSet<_> = waves.map(|wave| wave.at).filter(|at| *at > now).collect();
    [now].into_iter().chain(turns).collect()
}

/// Each set of overrides that meets on some host at some time is tried once, as that host would.
fn check_each(document: &FleetDocument, list: &HostList, turns: &[Time]) -> Result<()> {
    let mut tried = BTreeSet::new();
    for host in &list.hosts {
        for at in turns {
            let met: Vec<bool> = document.overrides.iter().map(|one| one.is_for(host, *at)).collect();
            if tried.contains(&met) {
                continue;
            }
            let refused = || format!("host {} would refuse it from {at} on", host.hostname);
            linnet_settings::fleet::settings_of(document, host, None, *at).with_context(refused)?;
            document.update_for(host, *at).with_context(refused)?;
            tried.insert(met);
        }
    }
    Ok(())
}

type Takers = BTreeMap<String, BTreeMap<Time, usize>>;

/// How many hosts may take which release from when on, by following each host through its waves and windows.
fn takers(document: &FleetDocument, hosts: &[HostTraits], now: Time, turns: &[Time]) -> Result<Takers> {
    let mut takers = Takers::new();
    for host in hosts {
        let (mut at, mut had) = (now, None);
        for _ in 0..MAX_STEPS {
            let update = document.update_for(host, at)?;
            let answer = update.as_ref().map(|update| decide(update, &facts(update, host), at));
            let mut until = None;
            match answer {
                Some(Rollout::Take(path)) if had.as_ref() != Some(&path) => {
                    *takers.entry(path.clone()).or_default().entry(at).or_default() += 1;
                    had = Some(path);
                }
                Some(Rollout::Wait { until: next, .. }) => until = next,
                _ => {}
            }
            let turn = turns.iter().copied().find(|turn| *turn > at);
            match until.into_iter().chain(turn).min() {
                Some(next) => at = next,
                None => break,
            }
        }
    }
    Ok(takers)
}

/// A list knows no architectures: the first one of the release stands for all of them, since waves are the same.
fn facts(update: &Update, host: &HostTraits) -> HostFacts {
    let arch = match &update.release {
        Some(Release::ByArch(paths)) => paths.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    HostFacts { id: host.id, arch }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-22T00:00:00Z";

    fn list(text: &str) -> HostList {
        HostList::parse(text).unwrap()
    }

    fn told_of(document: &str, list: &HostList) -> Vec<String> {
        let document = FleetDocument::parse(document.as_bytes()).unwrap();
        reach(&document, list, NOW.parse().unwrap(), false).unwrap()
    }

    #[test]
    fn a_list_is_names_ids_and_tags() {
        let list = list(
            "# name id tags\nweb1 ec524ab2-d1ff-8b95-9222-eefe721e0c6c web eu # first\n\n db1 - db\nbare\n",
        );
        let seen: Vec<_> = list.hosts.iter().map(|host| (host.hostname.as_str(), host.tags.len())).collect();
        assert_eq!(seen, [("web1", 2), ("db1", 1), ("bare", 0)]);
        assert!(list.hosts[0].id.is_some() && list.hosts[1].id.is_none());
        for (text, says) in [
            ("a -\na -", "line 2: \"a\" is there twice"),
            ("a web", "line 1"),
            ("# nobody\n", "there is no host in it"),
            (
                "a ec524ab2-d1ff-8b95-9222-eefe721e0c6c\nb ec524ab2-d1ff-8b95-9222-eefe721e0c6c",
                "another host's",
            ),
        ] {
            let error = format!("{:#}", HostList::parse(text).err().unwrap());
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }

    #[test]
    fn each_override_is_counted_at_each_of_its_waves() {
        // Real ids, as hosts derive them; which of the hosts are in which wave is what hosts themselves find out.
        let text: String = (1..=400_u32)
            .map(|n| {
                let id = linnet_fleet::host::HostId::derive(&format!("{n:032x}")).unwrap();
                format!("h{n} {id} {}\n", if n % 4 == 0 { "db" } else { "web" })
            })
            .collect();
        let list = list(&text);
        let document = r#"{"version": 1,
            "update": {"release": "release/a.tar.gz", "salt": "s",
                "waves": [{"at": "2026-11-21T00:00:00Z", "permille": 100}, {"at": "2026-11-23T00:00:00Z", "permille": 1000}]},
            "overrides": [
              {"name": "db", "match": {"tags": ["db"]}, "patch": {"agent": {"script": {"content": false}}}},
              {"name": "one", "match": {"hosts": ["h7"]}, "patch": {"update": {"release": "release/b.tar.gz", "waves": []}}},
              {"name": "grow", "match": {"waves": [{"at": "2026-11-24T00:00:00Z", "permille": 1000}]}, "patch": {"agent": {}}},
              {"name": "off", "match": {}, "halt": true, "patch": {"agent": {}}},
              {"name": "nobody", "match": {"tags": ["x"]}, "patch": {"agent": {}}}]}"#;
        let lines = told_of(document, &list);
        assert_eq!(lines[0], "of the 400 hosts in the list:");
        assert_eq!(lines[1], "  override db: 100 now");
        assert_eq!(lines[2], "  override one: 1 now");
        assert_eq!(lines[3], "  override grow: 0 now, 400 from 2026-11-24T00:00:00Z");
        assert_eq!(lines[4], "  override off: 0 now (halted)");
        assert_eq!(lines[5], "  override nobody: 0 now (no host of the list, ever)");
        let first: usize = lines[6]
            .strip_prefix("  may take release/a.tar.gz: ")
            .and_then(|rest| rest.split(' ').next())
            .unwrap()
            .parse()
            .unwrap();
        assert!((15..=70).contains(&first), "{lines:?}");
        assert!(lines[6].ends_with("399 from 2026-11-23T00:00:00Z"), "{lines:?}");
        assert_eq!(lines[7], "  may take release/b.tar.gz: 1 now");
    }

    #[test]
    fn hosts_without_an_id_are_said_to_be_the_last() {
        let document = r#"{"version": 1, "overrides": [
            {"name": "most", "match": {"permille": 999}, "patch": {"agent": {}}},
            {"name": "all", "match": {"permille": 1000}, "patch": {"agent": {}}}]}"#;
        let lines = told_of(document, &list("a -\nb"));
        assert!(lines[0].contains("2 without an id"), "{lines:?}");
        assert!(lines[1].starts_with("  override most: 0 now") && lines[2] == "  override all: 2 now");
    }

    #[test]
    fn overrides_that_contradict_each_other_on_a_host_are_found() {
        // Each by itself is well, and all together too, since the last one sets memory back; only hosts of `a` and
        // `b` and not of `c` meet the contradiction.
        let document = r#"{"version": 1, "overrides": [
            {"name": "a", "match": {"tags": ["a"]}, "patch": {"agent": {"ring": {"bytes": 33554432}}}},
            {"name": "b", "match": {"tags": ["b"]}, "patch": {"agent": {"limits": {"memory_max_bytes": 33554432}}}},
            {"name": "c", "match": {"tags": ["c"]}, "patch": {"agent": {"limits": {"memory_max_bytes": 134217728}}}}]}"#;
        let document = FleetDocument::parse(document.as_bytes()).unwrap();
        linnet_settings::fleet::check(&document).unwrap();
        let now = NOW.parse().unwrap();
        reach(&document, &list("x - a\ny - b\nz - a b c"), now, false).unwrap();
        let error = format!("{:#}", reach(&document, &list("w - a b"), now, false).unwrap_err());
        assert!(error.contains("host w would refuse it") && error.contains("ring.bytes"), "{error}");
        assert!(reach(&document, &list("w - a b"), now, true).is_ok());
    }
}
