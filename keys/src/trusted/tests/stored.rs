//! Stored copies, and recovery from a fast-forward attack (5.3.11).

use super::*;

#[test]
fn a_stored_state_is_taken_up_without_fetching_anything_else() {
    let mut channel = Channel::new();
    let (snapshot, timestamp) = channel.publish();
    let mut trusted = Trusted::from_root(&channel.root_bytes()).unwrap();
    trusted.finish_roots(now()).unwrap();
    trusted.load_stored_timestamp(&timestamp).unwrap();
    trusted.keep_timestamp(now()).unwrap();
    trusted.load_stored_snapshot(&snapshot, now()).unwrap();
    assert_eq!(trusted.snapshot_needed(), None);
    trusted.update_targets("targets", "root", &channel.targets_bytes("targets"), now()).unwrap();
    assert!(trusted.target("release/a.tar.gz").is_some());
}

#[test]
fn an_interrupted_update_goes_on_though_the_timestamp_is_the_same() {
    let mut channel = Channel::new();
    let (old_snapshot, _) = channel.publish();
    let (snapshot, timestamp) = channel.next();
    let mut trusted = Trusted::from_root(&channel.root_bytes()).unwrap();
    trusted.finish_roots(now()).unwrap();
    trusted.load_stored_timestamp(&timestamp).unwrap();
    assert_eq!(trusted.update_timestamp(&timestamp, now()).unwrap(), TimestampChange::Unchanged);
    trusted.load_stored_snapshot(&old_snapshot, now()).unwrap();
    assert!(trusted.snapshot().is_none());
    assert_eq!(trusted.targets_wanted("targets"), None);
    assert_eq!(trusted.snapshot_needed().unwrap().path, "2.snapshot.json");
    trusted.update_snapshot(&snapshot, now()).unwrap();
    assert_eq!(trusted.targets_wanted("targets").unwrap().path, "2.targets.json");
}

#[test]
fn expired_copies_still_guard_against_rollback() {
    let mut channel = Channel::new();
    channel.timestamp.common.expires = at("2026-10-01T00:00:00Z");
    channel.snapshot.common.expires = at("2026-10-01T00:00:00Z");
    channel.snapshot.common.version = v(7);
    channel.timestamp.common.version = v(9);
    channel.targets.get_mut("targets").unwrap().common.version = v(5);
    let (snapshot, timestamp) = channel.publish();
    let mut trusted = Trusted::from_root(&channel.root_bytes()).unwrap();
    trusted.finish_roots(now()).unwrap();
    trusted.load_stored_timestamp(&timestamp).unwrap();
    trusted.load_stored_snapshot(&snapshot, now()).unwrap();
    assert!(trusted.snapshot_needed().is_some(), "an expired snapshot is asked for anew");

    channel.timestamp.common.expires = far();
    channel.timestamp.common.version = v(8);
    let old = channel.sign("timestamp", &channel.timestamp);
    assert_eq!(class(trusted.update_timestamp(&old, now())), ErrorClass::Rollback);

    channel.timestamp.common.version = v(10);
    channel.snapshot.common.version = v(8);
    channel.snapshot.common.expires = far();
    channel.targets.get_mut("targets").unwrap().common.version = v(4);
    let (snapshot, timestamp) = channel.publish();
    let _ = trusted.update_timestamp(&timestamp, now()).unwrap();
    assert_eq!(class(trusted.update_snapshot(&snapshot, now())), ErrorClass::Rollback);
}

#[test]
fn a_host_recovers_from_versions_driven_up_by_whoever_stole_the_online_keys() {
    for rotated in [RoleName::Timestamp, RoleName::Snapshot] {
        let mut stolen = Channel::new();
        stolen.timestamp.common.version = v(u64::MAX);
        stolen.snapshot.common.version = v(u64::MAX);
        let (bad_snapshot, bad_timestamp) = stolen.publish();
        let mut channel = Channel::new();
        let first = channel.root_bytes();
        bump(&mut channel.root.common);
        let new = role_keys(&mut channel.root.keys, &[key(77).public()], 1);
        *channel.root.role_mut(rotated) = new;
        channel.signers.insert(rotated.as_str().to_owned(), vec![key(77)]);
        channel.timestamp.common.version = v(2);
        channel.snapshot.common.version = v(2);
        let (snapshot, timestamp) = channel.publish();

        let mut trusted = Trusted::from_root(&first).unwrap();
        assert!(trusted.update_root(&channel.root_bytes()).unwrap().rotated);
        trusted.finish_roots(now()).unwrap();
        assert!(matches!(trusted.load_stored_timestamp(&bad_timestamp), Err(TrustError::Rotated { .. })));
        let _ = trusted.update_timestamp(&timestamp, now()).unwrap();
        assert!(matches!(
            trusted.load_stored_snapshot(&bad_snapshot, now()),
            Err(TrustError::Rotated { .. })
        ));
        trusted.update_snapshot(&snapshot, now()).unwrap();
        trusted.update_targets("targets", "root", &channel.targets_bytes("targets"), now()).unwrap();
    }
}

#[test]
fn a_stored_copy_that_somebody_changed_is_refused() {
    let mut channel = Channel::new();
    let (snapshot, timestamp) = channel.publish();
    let mut trusted = Trusted::from_root(&channel.root_bytes()).unwrap();
    trusted.finish_roots(now()).unwrap();
    assert!(trusted.load_stored_timestamp(&unsigned(&content(&timestamp))).is_err());
    assert!(trusted.load_stored_timestamp(b"").is_err());
    trusted.load_stored_timestamp(&timestamp).unwrap();
    assert!(trusted.load_stored_snapshot(&unsigned(&content(&snapshot)), now()).is_err());
    assert!(trusted.snapshot_needed().is_some());
}
