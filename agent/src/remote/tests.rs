use linnet_settings::layers::Origin;
use serde_json::json;

use super::*;

fn loaded(source: Option<Value>) -> Loaded {
    Loaded { settings: linnet_settings::Settings::default(), named: None, path: None, sha256: None, source }
}

fn now() -> Timestamp {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

fn document(version: u64, agent: &Value) -> Vec<u8> {
    json!({"version": version, "agent": agent, "overrides": [
        {"name": "db", "match": {"tags": ["db"]}, "patch": {"agent": {"hash": {"wait_ms": 77}}}}]})
    .to_string()
    .into_bytes()
}

fn host(tags: &[&str]) -> HostTraits {
    HostTraits { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..HostTraits::default() }
}

#[test]
fn a_document_is_tried_kept_and_taken_up_again() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Follower::open(directory.path(), host(&["db"]), &loaded(None), now());
    let mut follower = open();
    assert_eq!(follower.effective(now()).unwrap(), Effective::defaults());
    let Received::Try(effective) = follower.receive(&document(1, &json!({"events": {"fork": true}})), now())
    else {
        panic!()
    };
    assert!(effective.settings.events.fork);
    assert_eq!(effective.settings.hash.wait_ms, 77);
    assert_eq!(effective.origins["hash.wait_ms"], Origin::Override("db".to_owned()));
    assert!(follower.is_on_trial());
    follower.settled();
    let mut again = open();
    assert!(!again.is_on_trial());
    assert_eq!(again.effective(now()).unwrap(), *effective);
    assert_eq!(again.receive(&document(1, &json!({"events": {"fork": true}})), now()), Received::Known);
}

#[test]
fn a_refused_document_leaves_the_last_good_one_and_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut follower = Follower::open(directory.path(), host(&[]), &loaded(None), now());
    let Received::Try(_) = follower.receive(&document(3, &json!({"events": {"fork": true}})), now()) else {
        panic!()
    };
    follower.settled();
    for (bytes, why) in [
        (document(4, &json!({"events": {"forks": true}})), "fleet: events.forks: unknown field"),
        (document(5, &json!({"runtime_dir": "/tmp"})), "fleet: runtime_dir: only the host's own"),
        (document(6, &json!({"hash": {"wait_ms": 0}})), "fleet: hash.wait_ms: 0 is outside"),
        (document(2, &json!({})), "its version is 2, version 3 is followed here"),
        (b"{\"version\": 9, \"version\": 10}".to_vec(), "duplicate field"),
        (b"<html>".to_vec(), "expected value"),
        (vec![0xff, 0xfe], "expected value"),
        (vec![b' '; 2 << 20], "at most 1048576 are taken"),
    ] {
        let Received::Refused(refusal) = follower.receive(&bytes, now()) else { panic!("{why}") };
        assert!(refusal.contains(why), "{refusal}");
        assert_eq!(follower.receive(&bytes, now()), Received::Known);
        assert!(follower.effective(now()).unwrap().settings.events.fork);
        assert_eq!(follower.memory().good.as_ref().unwrap().version, 3);
    }
}

#[test]
fn an_override_that_is_wrong_for_other_hosts_is_refused_here_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut follower = Follower::open(directory.path(), host(&[]), &loaded(None), now());
    let bytes = json!({"version": 1, "overrides": [
        {"name": "x", "match": {"tags": ["elsewhere"]}, "patch": {"agent": {"hash": {"wait": 1}}}}]})
    .to_string();
    let Received::Refused(why) = follower.receive(bytes.as_bytes(), now()) else { panic!() };
    assert!(why.starts_with("fleet override x: hash.wait: unknown field"), "{why}");
}

#[test]
fn what_no_longer_goes_with_the_host_s_file_is_given_up_and_the_host_s_settings_work() {
    let directory = tempfile::tempdir().unwrap();
    let mut follower = Follower::open(directory.path(), host(&[]), &loaded(None), now());
    let wants = json!({"ring": {"bytes": 33_554_432}});
    let Received::Try(_) = follower.receive(&document(1, &wants), now()) else { panic!() };
    follower.settled();
    let small = json!({"limits": {"memory_max_bytes": 33_554_432}, "hash": {"wait_ms": 9}});
    follower.set_local(&loaded(Some(small)));
    let effective = follower.effective(now()).unwrap();
    assert_eq!((effective.settings.ring.bytes, effective.settings.hash.wait_ms), (8 << 20, 9));
    assert!(follower.memory().refused.as_ref().unwrap().why.contains("ring.bytes"));
}

#[test]
fn a_crash_in_the_trial_brings_the_last_good_one_back() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Follower::open(directory.path(), host(&[]), &loaded(None), now());
    let mut follower = open();
    let Received::Try(_) = follower.receive(&document(1, &json!({})), now()) else { panic!() };
    follower.settled();
    let Received::Try(_) = follower.receive(&document(2, &json!({"events": {"fork": true}})), now()) else {
        panic!()
    };
    drop(follower);
    for _ in 1..state::MAX_STARTS {
        assert!(open().effective(now()).unwrap().settings.events.fork);
    }
    let mut last = open();
    assert!(!last.effective(now()).unwrap().settings.events.fork);
    assert!(last.memory().refused.as_ref().unwrap().why.contains("did not live on"));
}

#[test]
fn a_full_disk_keeps_nobody_from_following() {
    let mut follower = Follower::open(Path::new("/proc/no/such/place"), host(&[]), &loaded(None), now());
    let Received::Try(effective) = follower.receive(&document(1, &json!({"events": {"fork": true}})), now())
    else {
        panic!()
    };
    assert!(effective.settings.events.fork);
}
