mod channel;

use channel::*;

use super::*;

#[test]
fn a_host_follows_a_channel_from_its_root_to_a_target() {
    let mut channel = Channel::new();
    let mut trusted = channel.trusted();
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
fn an_unsigned_document_is_refused_and_changes_nothing() {
    let mut channel = Channel::new();
    let mut trusted = channel.trusted();
    let (_, timestamp) = channel.next();
    let error = trusted.update_timestamp(&unsigned(&content(&timestamp)), now()).unwrap_err();
    assert_eq!(error.class(), crate::ErrorClass::Signature, "{error}");
    assert_eq!(trusted.timestamp().unwrap().common.version, v(1));
    assert_eq!(trusted.update_timestamp(&timestamp, now()).unwrap(), TimestampChange::Newer);
}
