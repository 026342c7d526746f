//! 5.6.7: who is asked about a path, and in which order.

use super::*;
use crate::metadata::{Common, DelegatedRole, Delegations};
use crate::pattern::PathSet;

/// A tree of delegations: parent, child, seed of its key, pattern, terminating.
fn channel(edges: &[(&str, &str, u8, &str, bool)]) -> Channel {
    let mut channel = Channel::new();
    channel.targets = [("targets".to_owned(), Targets::new(Common::new(far())))].into();
    for (parent, child, seed, pattern, terminating) in edges {
        let targets =
            channel.targets.entry((*parent).to_owned()).or_insert_with(|| Targets::new(Common::new(far())));
        let delegations = targets.delegations.get_or_insert_with(Delegations::default);
        let keys = role_keys(&mut delegations.keys, &[key(*seed).public()], 1);
        let paths = PathSet::Paths(vec![(*pattern).to_owned()]);
        delegations.roles.push(DelegatedRole {
            name: (*child).to_owned(),
            terminating: *terminating,
            paths,
            keys,
        });
        channel.targets.entry((*child).to_owned()).or_insert_with(|| Targets::new(Common::new(far())));
        channel.signers.insert((*child).to_owned(), vec![key(*seed)]);
    }
    channel
}

/// Searches, giving each document that is asked for; returns who was asked and who answered.
fn search(channel: &mut Channel, path: &str) -> (Vec<String>, Option<String>) {
    let mut trusted = channel.trusted();
    let mut asked = Vec::new();
    loop {
        match trusted.find(path).unwrap() {
            Search::Found(target) => return (asked, Some(target.role().to_owned())),
            Search::Absent => return (asked, None),
            Search::Need { role, parent, .. } => {
                trusted.update_targets(&role, &parent, &channel.targets_bytes(&role), now()).unwrap();
                asked.push(role);
            }
        }
    }
}

#[test]
fn roles_are_asked_depth_first_in_order() {
    let mut channel = channel(&[
        ("targets", "A", 50, "*", false),
        ("targets", "B", 51, "*", false),
        ("A", "C", 52, "*", false),
        ("A", "D", 53, "other/*", false),
        ("C", "E", 54, "*", false),
        ("B", "F", 55, "*", false),
    ]);
    assert_eq!(search(&mut channel, "file"), (["A", "C", "E", "B", "F"].map(str::to_owned).to_vec(), None));
    channel.targets.get_mut("F").unwrap().targets.insert("file".to_owned(), file(b""));
    channel.targets.get_mut("B").unwrap().targets.insert("file".to_owned(), file(b""));
    assert_eq!(search(&mut channel, "file").1.unwrap(), "B");
    channel.targets.get_mut("targets").unwrap().targets.insert("file".to_owned(), file(b""));
    assert_eq!(search(&mut channel, "file"), (vec![], Some("targets".to_owned())));
}

#[test]
fn behind_a_terminating_role_nobody_is_asked() {
    let mut channel = channel(&[
        ("targets", "A", 50, "a/*", true),
        ("targets", "B", 51, "*/*", false),
        ("A", "C", 52, "a/*", false),
        ("A", "D", 53, "a/*", true),
        ("A", "E", 54, "a/*", false),
    ]);
    channel.targets.get_mut("B").unwrap().targets.insert("a/x".to_owned(), file(b""));
    channel.targets.get_mut("B").unwrap().targets.insert("b/x".to_owned(), file(b""));
    channel.targets.get_mut("E").unwrap().targets.insert("a/x".to_owned(), file(b""));
    assert_eq!(search(&mut channel, "a/x"), (["A", "C", "D"].map(str::to_owned).to_vec(), None));
    assert_eq!(search(&mut channel, "b/x"), (vec!["B".to_owned()], Some("B".to_owned())));
}

#[test]
fn a_role_that_lists_what_it_may_not_is_not_asked() {
    let mut channel = channel(&[("targets", "A", 50, "a/*", false)]);
    channel.targets.get_mut("A").unwrap().targets.insert("b/x".to_owned(), file(b""));
    assert_eq!(search(&mut channel, "b/x"), (vec![], None));
    // Also when it was read for another path before.
    let mut trusted = channel.trusted();
    let bytes = channel.targets_bytes("A");
    trusted.update_targets("A", "targets", &bytes, now()).unwrap();
    assert_eq!(trusted.find("b/x").unwrap(), Search::Absent);
}

#[test]
fn cycles_end_and_at_most_32_roles_are_asked() {
    let mut cycle =
        channel(&[("targets", "A", 50, "*", false), ("A", "B", 51, "*", false), ("B", "A", 50, "*", false)]);
    assert_eq!(search(&mut cycle, "file"), (["A", "B"].map(str::to_owned).to_vec(), None));

    let names: Vec<String> = (0..40).map(|number| format!("role{number}")).collect();
    let edges: Vec<_> = names.iter().map(|name| ("targets", name.as_str(), 60, "*", false)).collect();
    let mut wide = channel(&edges);
    wide.targets.get_mut("role39").unwrap().targets.insert("file".to_owned(), file(b""));
    let (asked, found) = search(&mut wide, "file");
    assert_eq!((asked.len(), found), (MAX_ROLES_VISITED - 1, None), "targets is the first of them");
}

#[test]
fn one_name_delegated_twice_is_checked_against_the_keys_of_each() {
    // A gives the name to the right key, B to another one.
    let mut channel = channel(&[
        ("targets", "A", 50, "a/*", false),
        ("targets", "B", 51, "b/*", false),
        ("A", "shared", 52, "a/*", false),
    ]);
    let delegations =
        channel.targets.get_mut("B").unwrap().delegations.get_or_insert_with(Delegations::default);
    let keys = role_keys(&mut delegations.keys, &[key(99).public()], 1);
    let paths = PathSet::Paths(vec!["b/*".to_owned()]);
    delegations.roles.push(DelegatedRole { name: "shared".to_owned(), terminating: false, paths, keys });
    let shared = channel.targets.get_mut("shared").unwrap();
    shared.targets.insert("a/x".to_owned(), file(b""));
    shared.targets.insert("b/x".to_owned(), file(b""));
    let mut trusted = channel.trusted();
    for (role, parent) in [("A", "targets"), ("B", "targets"), ("shared", "A")] {
        trusted.update_targets(role, parent, &channel.targets_bytes(role), now()).unwrap();
    }
    assert!(trusted.target("a/x").is_some());
    let Search::Need { role, parent, .. } = trusted.find("b/x").unwrap() else { panic!() };
    assert_eq!((role.as_str(), parent.as_str()), ("shared", "B"));
    let result = trusted.update_targets("shared", "B", &channel.targets_bytes("shared"), now());
    assert_eq!(class(result), ErrorClass::Signature);
    assert!(trusted.target("a/x").is_some() && trusted.target("b/x").is_none());
}

#[test]
fn a_role_that_the_snapshot_does_not_list_cannot_be_asked() {
    let mut channel = channel(&[("targets", "A", 50, "*", false)]);
    channel.targets.remove("A");
    let trusted = channel.trusted();
    assert!(matches!(trusted.find("file"), Err(TrustError::Unlisted { .. })));
}

#[test]
fn impossible_delegations_are_refused() {
    for (name, twice) in [("root", false), ("timestamp", false), ("", false), ("A", true)] {
        let mut channel = channel(&[("targets", "A", 50, "*", false)]);
        let delegations = channel.targets.get_mut("targets").unwrap().delegations.as_mut().unwrap();
        let mut role = delegations.roles[0].clone();
        role.name = name.to_owned();
        if twice {
            delegations.roles.push(role);
        } else {
            delegations.roles[0] = role;
        }
        let (snapshot, timestamp) = channel.publish();
        let mut trusted = Trusted::from_root(&channel.root_bytes()).unwrap();
        trusted.finish_roots(now()).unwrap();
        let _ = trusted.update_timestamp(&timestamp, now()).unwrap();
        trusted.update_snapshot(&snapshot, now()).unwrap();
        let result = trusted.update_targets("targets", "root", &channel.targets_bytes("targets"), now());
        assert_eq!(class(result), ErrorClass::Malformed, "{name:?}");
    }
}

#[test]
fn odd_names_stay_names_in_a_url() {
    for (name, expected) in [
        ("?a=b", "1.%3Fa%3Db.json"),
        ("#", "1.%23.json"),
        ("../../x", "1...%2F..%2Fx.json"),
        ("é", "1.%C3%A9.json"),
        ("a b%20", "1.a%20b%2520.json"),
    ] {
        let mut channel = channel(&[("targets", name, 50, "*", false)]);
        assert_eq!(channel.trusted().targets_wanted(name).unwrap().path, expected);
    }
    let target = VerifiedTarget {
        path: "di r/../a?b#c.tar.gz".to_owned(),
        file: file(b""),
        role: "targets".to_owned(),
        consistent: false,
    };
    assert_eq!(target.url_path(), "di%20r/../a%3Fb%23c.tar.gz");
}

#[test]
fn a_path_that_leads_out_of_the_channel_is_nobodys() {
    let mut channel = channel(&[]);
    for path in ["../x", "a/../../x", "a/..", "./x", "/x"] {
        channel.targets.get_mut("targets").unwrap().targets.insert(path.to_owned(), file(b""));
        assert_eq!(search(&mut channel, path), (Vec::new(), None), "{path}");
    }
}
