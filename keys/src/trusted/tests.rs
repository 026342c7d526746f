mod channel;
mod mutation;
mod roots;
mod search;
mod stored;

use channel::*;

use super::*;
use crate::ErrorClass;
use crate::metadata::MetaFile;

/// A host that took version 1 of everything, and the channel.
fn followed() -> (Channel, Trusted) {
    let mut channel = Channel::new();
    let trusted = channel.trusted();
    (channel, trusted)
}

fn class<T: std::fmt::Debug>(result: Result<T, TrustError>) -> ErrorClass {
    result.unwrap_err().class()
}

#[test]
fn a_host_follows_a_channel_from_its_root_to_a_target() {
    let (channel, mut trusted) = followed();
    let target = trusted.target("release/a.tar.gz").unwrap();
    assert_eq!((target.role(), target.length()), ("targets", 9));
    let digest = Sha256Digest::of(b"release a");
    assert_eq!(target.url_path(), format!("release/{digest}.a.tar.gz"));

    let Search::Need { role, parent, file } = trusted.find("config/fleet.json").unwrap() else { panic!() };
    assert_eq!((role.as_str(), parent.as_str(), file.path.as_str()), ("config", "targets", "1.config.json"));
    trusted.update_targets(&role, &parent, &channel.targets_bytes("config"), now()).unwrap();
    assert_eq!(trusted.target("config/fleet.json").unwrap().role(), "config");
    assert_eq!(trusted.find("config/other.json").unwrap(), Search::Absent);
    assert_eq!(trusted.find("release/b.tar.gz").unwrap(), Search::Absent);
}

#[test]
fn a_refused_document_changes_nothing() {
    let (mut channel, mut trusted) = followed();
    let (snapshot, timestamp) = channel.next();
    let refused = [
        trusted.update_timestamp(&unsigned(&content(&timestamp)), now()).map(drop),
        trusted.update_timestamp(&channel.sign("snapshot", &channel.timestamp), now()).map(drop),
        trusted.update_timestamp(&snapshot, now()).map(drop),
        trusted.update_timestamp(b"<html>", now()).map(drop),
        trusted.update_timestamp(&timestamp[..timestamp.len() - 3], now()).map(drop),
    ];
    for result in refused {
        let error = result.unwrap_err();
        assert!(matches!(error.class(), ErrorClass::Signature | ErrorClass::Malformed), "{error}");
    }
    assert_eq!(trusted.timestamp().unwrap().common.version, v(1));
    assert!(trusted.snapshot().is_some() && trusted.target("release/a.tar.gz").is_some());
    assert_eq!(trusted.update_timestamp(&timestamp, now()).unwrap(), TimestampChange::Newer);
}

#[test]
fn the_same_timestamp_ends_the_update_quietly_and_an_older_one_is_refused() {
    let mut channel = Channel::new();
    let (_, first) = channel.publish();
    let mut trusted = channel.trusted();
    assert_eq!(trusted.update_timestamp(&first, now()).unwrap(), TimestampChange::Unchanged);
    assert_eq!(trusted.snapshot_needed(), None);
    let (_, second) = channel.next();
    assert_eq!(trusted.update_timestamp(&second, now()).unwrap(), TimestampChange::Newer);
    assert_eq!(class(trusted.update_timestamp(&first, now())), ErrorClass::Rollback);
    assert_eq!(trusted.snapshot_needed().unwrap().path, "2.snapshot.json");
}

#[test]
fn a_newer_timestamp_must_not_name_an_older_snapshot() {
    let (mut channel, _) = followed();
    channel.next();
    let mut trusted = channel.trusted();
    bump(&mut channel.timestamp.common);
    channel.timestamp.meta.snapshot.version = v(1);
    let bytes = channel.sign("timestamp", &channel.timestamp);
    assert_eq!(class(trusted.update_timestamp(&bytes, now())), ErrorClass::Rollback);
}

#[test]
fn each_document_expires_at_its_second() {
    let end = at("2026-11-01T00:00:01Z");
    for role in ["root", "timestamp", "snapshot", "targets", "config"] {
        let mut channel = Channel::new();
        match role {
            "root" => channel.root.common.expires = end,
            "timestamp" => channel.timestamp.common.expires = end,
            "snapshot" => channel.snapshot.common.expires = end,
            role => channel.targets.get_mut(role).unwrap().common.expires = end,
        }
        let walk = |channel: &mut Channel, now: Time| -> Result<(), TrustError> {
            let (snapshot, timestamp) = channel.publish();
            let mut trusted = Trusted::from_root(&channel.root_bytes())?;
            trusted.finish_roots(now)?;
            let _ = trusted.update_timestamp(&timestamp, now)?;
            trusted.update_snapshot(&snapshot, now)?;
            trusted.update_targets("targets", "root", &channel.targets_bytes("targets"), now)?;
            trusted.update_targets("config", "targets", &channel.targets_bytes("config"), now)
        };
        walk(&mut channel, now()).unwrap();
        let error = walk(&mut channel, end).unwrap_err();
        assert!(
            matches!(&error, TrustError::Expired { role: expired, .. } if expired == role),
            "{role}: {error}"
        );
    }
}

#[test]
fn an_expired_timestamp_that_did_not_change_is_told_and_a_clock_set_back_does_no_harm() {
    let mut channel = Channel::new();
    let (_, timestamp) = channel.publish();
    let mut trusted = channel.trusted();
    let late = at("2030-01-01T00:00:00Z");
    assert_eq!(class(trusted.update_timestamp(&timestamp, late)), ErrorClass::Expired);
    assert_eq!(class(trusted.keep_timestamp(late)), ErrorClass::Expired);
    let early = at("1999-01-01T00:00:00Z");
    assert_eq!(trusted.update_timestamp(&timestamp, early).unwrap(), TimestampChange::Unchanged);
    trusted.keep_timestamp(now()).unwrap();
}

#[test]
fn a_snapshot_of_other_bytes_length_or_version_is_refused() {
    let (mut channel, mut trusted) = followed();
    let (snapshot, timestamp) = channel.next();
    let _ = trusted.update_timestamp(&timestamp, now()).unwrap();
    let mut longer = snapshot.clone();
    longer.push(b'\n');
    assert_eq!(class(trusted.update_snapshot(&longer, now())), ErrorClass::Size);
    let same_length = String::from_utf8(snapshot.clone()).unwrap().replacen(' ', "\t", 1).into_bytes();
    assert_eq!(class(trusted.update_snapshot(&same_length, now())), ErrorClass::Signature);
    assert!(trusted.snapshot().is_none(), "the former snapshot is for rollback checks only");
    trusted.update_snapshot(&snapshot, now()).unwrap();

    // Without length and digests in the timestamp the version still binds.
    bump(&mut channel.timestamp.common);
    channel.timestamp.meta.snapshot =
        MetaFile { version: v(3), length: None, hashes: None, ..MetaFile::of(v(3), b"") };
    let timestamp = channel.sign("timestamp", &channel.timestamp);
    let _ = trusted.update_timestamp(&timestamp, now()).unwrap();
    assert_eq!(class(trusted.update_snapshot(&snapshot, now())), ErrorClass::Rollback);
}

#[test]
fn digests_that_nobody_here_can_check_do_not_count_as_checked() {
    let (mut channel, mut trusted) = followed();
    let (snapshot, _) = channel.next();
    let foreign = crate::metadata::Hashes([("md5".to_owned(), "00".to_owned())].into());
    channel.timestamp.meta.snapshot.hashes = Some(foreign);
    let _ = trusted.update_timestamp(&channel.sign("timestamp", &channel.timestamp), now()).unwrap();
    assert_eq!(class(trusted.update_snapshot(&snapshot, now())), ErrorClass::Signature);
}

#[test]
fn no_targets_document_goes_back_or_away() {
    for (name, bend) in [
        (
            "older",
            (|channel: &mut Channel| channel.snapshot.meta.get_mut("config.json").unwrap().version = v(1))
                as fn(&mut Channel),
        ),
        ("removed", |channel: &mut Channel| drop(channel.snapshot.meta.remove("config.json"))),
    ] {
        let (mut channel, _) = followed();
        channel.next();
        let mut trusted = channel.trusted();
        bump(&mut channel.snapshot.common);
        bump(&mut channel.timestamp.common);
        bend(&mut channel);
        let (snapshot, timestamp) = channel.publish_snapshot();
        let _ = trusted.update_timestamp(&timestamp, now()).unwrap();
        assert_eq!(class(trusted.update_snapshot(&snapshot, now())), ErrorClass::Rollback, "{name}");
    }
}

#[test]
fn a_mixed_channel_is_refused() {
    let (mut channel, mut trusted) = followed();
    let old = channel.targets_bytes("targets");
    let (snapshot, timestamp) = channel.next();
    let _ = trusted.update_timestamp(&timestamp, now()).unwrap();
    trusted.update_snapshot(&snapshot, now()).unwrap();
    assert_eq!(class(trusted.update_targets("targets", "root", &old, now())), ErrorClass::Signature);
    let new = channel.targets_bytes("targets");
    trusted.update_targets("targets", "root", &new, now()).unwrap();
    assert_eq!(class(trusted.update_targets("config", "targets", &new, now())), ErrorClass::Size);
}

#[test]
fn every_document_has_a_greatest_length() {
    let (channel, mut trusted) = followed();
    let long = |max: u64| vec![b' '; usize::try_from(max).unwrap() + 1];
    let _ = &channel;
    assert_eq!(class(trusted.update_timestamp(&long(MAX_TIMESTAMP_BYTES), now())), ErrorClass::Size);
    assert_eq!(class(trusted.update_snapshot(&long(MAX_SNAPSHOT_BYTES), now())), ErrorClass::Size);
    assert_eq!(
        class(trusted.update_targets("targets", "root", &long(MAX_TARGETS_BYTES), now())),
        ErrorClass::Size
    );
    let mut fresh = Trusted::from_root(&channel.root_bytes()).unwrap();
    assert_eq!(class(fresh.update_root(&long(MAX_ROOT_BYTES))), ErrorClass::Size);
    assert_eq!(class(Trusted::from_root(&long(MAX_ROOT_BYTES))), ErrorClass::Size);
    assert_eq!(
        trusted.targets_wanted("targets").unwrap().max_bytes,
        channel.targets_bytes("targets").len() as u64
    );
}

#[test]
fn no_step_can_be_skipped() {
    let mut channel = Channel::new();
    let (snapshot, timestamp) = channel.publish();
    let mut trusted = Trusted::from_root(&channel.root_bytes()).unwrap();
    assert_eq!(class(trusted.update_timestamp(&timestamp, now())), ErrorClass::Usage);
    trusted.finish_roots(now()).unwrap();
    assert_eq!(class(trusted.keep_timestamp(now())), ErrorClass::Usage);
    assert_eq!(class(trusted.update_snapshot(&snapshot, now())), ErrorClass::Usage);
    let _ = trusted.update_timestamp(&timestamp, now()).unwrap();
    let targets = channel.targets_bytes("targets");
    assert_eq!(class(trusted.update_targets("targets", "root", &targets, now())), ErrorClass::Usage);
    trusted.update_snapshot(&snapshot, now()).unwrap();
    let config = channel.targets_bytes("config");
    assert_eq!(class(trusted.update_targets("config", "targets", &config, now())), ErrorClass::Usage);
    assert_eq!(class(trusted.update_root(&channel.root_bytes())), ErrorClass::Usage);
}

#[test]
fn a_role_signs_only_with_its_own_keys() {
    for (role, other) in
        [("targets", "snapshot"), ("config", "targets"), ("targets", "config"), ("config", "timestamp")]
    {
        let mut channel = Channel::new();
        channel.signers.insert(role.to_owned(), vec![channel.signers[other][0].clone()]);
        let (snapshot, timestamp) = channel.publish();
        let mut trusted = Trusted::from_root(&channel.root_bytes()).unwrap();
        trusted.finish_roots(now()).unwrap();
        let _ = trusted.update_timestamp(&timestamp, now()).unwrap();
        trusted.update_snapshot(&snapshot, now()).unwrap();
        let result =
            trusted.update_targets("targets", "root", &channel.targets_bytes("targets"), now()).and_then(
                |()| trusted.update_targets("config", "targets", &channel.targets_bytes("config"), now()),
            );
        let error = result.unwrap_err();
        assert!(
            matches!(&error, TrustError::Unsigned { role: at, .. } if at == role),
            "{role} by {other}: {error}"
        );
    }
}

#[test]
fn a_revoked_package_is_known_by_its_digest() {
    let (mut channel, trusted) = followed();
    let digest = Sha256Digest::of(b"release a");
    assert!(!trusted.is_revoked(&digest));
    release::revoke(channel.targets.get_mut("targets").unwrap(), digest);
    release::revoke(channel.targets.get_mut("targets").unwrap(), digest);
    let trusted = channel.trusted();
    assert!(trusted.is_revoked(&digest));
    assert!(!trusted.is_revoked(&Sha256Digest::of(b"release b")));
    assert_eq!(release::revoked(trusted.targets("targets").unwrap()).len(), 1);
}

#[test]
fn errors_say_what_and_where() {
    let (mut channel, mut trusted) = followed();
    let (_, timestamp) = channel.next();
    let error = trusted.update_timestamp(&unsigned(&content(&timestamp)), now()).unwrap_err().to_string();
    assert_eq!(
        error,
        "timestamp: signed by 0 of the keys of this role, where 1 must (the keys are those that root names)"
    );
    let _ = trusted.update_timestamp(&timestamp, now()).unwrap();
    channel.timestamp.common.version = v(1);
    let old = channel.sign("timestamp", &channel.timestamp);
    let error = trusted.update_timestamp(&old, now()).unwrap_err().to_string();
    assert_eq!(
        error,
        "timestamp: version 1 where 2 was seen: an old or foreign copy, nothing was taken from it"
    );
}
