//! 5.3: one root after the other.

use serde_json::json;

use super::*;

/// The next root, with these keys for a role, signed by these.
fn next_root(root: &Root, role: RoleName, seeds: &[u8], threshold: u64) -> Root {
    let mut next = root.clone();
    bump(&mut next.common);
    let keys: Vec<_> = seeds.iter().map(|seed| key(*seed).public()).collect();
    *next.role_mut(role) = role_keys(&mut next.keys, &keys, threshold);
    next
}

fn signed(root: &Root, seeds: &[u8]) -> Vec<u8> {
    let keys: Vec<_> = seeds.iter().map(|seed| key(*seed)).collect();
    crate::sign::sign_document(root, &keys).unwrap()
}

#[test]
fn a_host_goes_through_three_rotations_in_order() {
    let channel = Channel::new();
    let first = signed(&channel.root, &[1]);
    let two = next_root(&channel.root, RoleName::Root, &[11, 12, 13], 2);
    let three = next_root(&two, RoleName::Root, &[12, 14, 15], 2);
    let four = next_root(&three, RoleName::Root, &[21], 1);
    let chain = [signed(&two, &[1, 11, 13]), signed(&three, &[12, 13, 14]), signed(&four, &[14, 15, 21])];
    let mut trusted = Trusted::from_root(&first).unwrap();
    for (number, bytes) in (2..).zip(&chain) {
        assert_eq!(trusted.next_root_version(), number);
        assert_eq!(trusted.next_root_wanted().path, format!("{number}.root.json"));
        assert_eq!(trusted.update_root(bytes).unwrap(), RootChange { version: number, rotated: false });
    }
    trusted.finish_roots(now()).unwrap();
    // Out of order none is taken.
    for start in [0, 1] {
        let mut trusted = Trusted::from_root(&first).unwrap();
        for bytes in &chain[..start] {
            let _ = trusted.update_root(bytes).unwrap();
        }
        for (other, bytes) in chain.iter().enumerate().filter(|(other, _)| *other != start) {
            let error = trusted.update_root(bytes).unwrap_err();
            assert!(
                matches!(error.class(), ErrorClass::Signature | ErrorClass::Rollback),
                "{start} {other}: {error}"
            );
        }
    }
}

#[test]
fn a_root_needs_the_thresholds_of_both_old_and_new() {
    let channel = Channel::new();
    let old = next_root(&channel.root, RoleName::Root, &[11, 12, 13], 2);
    let new = next_root(&old, RoleName::Root, &[21, 22, 23], 2);
    let mut trusted = Trusted::from_root(&signed(&channel.root, &[1])).unwrap();
    let _ = trusted.update_root(&signed(&old, &[1, 11, 12])).unwrap();
    for seeds in
        [&[][..], &[11, 12], &[21, 22], &[11, 21, 22], &[11, 12, 21], &[31, 32, 33, 34], &[2, 3, 21, 22]]
    {
        assert_eq!(class(trusted.update_root(&signed(&new, seeds))), ErrorClass::Signature, "{seeds:?}");
    }
    let _ = trusted.update_root(&signed(&new, &[11, 13, 22, 23])).unwrap();
}

#[test]
fn one_key_under_two_names_is_one_key() {
    let mut channel = Channel::new();
    let mut root = serde_json::to_value(&channel.root).unwrap();
    let one = key(1).public();
    // The same bytes with a field of its own: another id, correct for its object.
    let mut object = one.to_object();
    object["note"] = json!("a second name");
    let second = Sha256Digest::of(&crate::canonical::to_vec(&object).unwrap()).to_string();
    root["keys"][&second] = object;
    root["roles"]["root"]["keyids"].as_array_mut().unwrap().push(json!(second));
    root["roles"]["root"]["threshold"] = json!(2);
    let mut envelope = Envelope::unsigned(root.clone()).unwrap();
    envelope.sign(&key(1));
    let mut document: serde_json::Value = serde_json::from_slice(&envelope.to_bytes()).unwrap();
    let mut signature = document["signatures"][0].clone();
    signature["keyid"] = json!(second);
    document["signatures"].as_array_mut().unwrap().push(signature);
    let error = Trusted::from_root(document.to_string().as_bytes()).unwrap_err();
    assert!(matches!(&error, TrustError::Unsigned { why, .. } if why.valid == 1), "{error}");
    // With a threshold of one it is good: the second name is a name.
    root["roles"]["root"]["threshold"] = json!(1);
    channel.root = serde_json::from_value(root).unwrap();
    Trusted::from_root(&channel.root_bytes()).unwrap();
}

#[test]
fn versions_go_up_by_one_and_no_other_way() {
    let channel = Channel::new();
    let mut trusted = Trusted::from_root(&channel.root_bytes()).unwrap();
    for version in [1, 3, 4, u64::MAX] {
        let mut root = channel.root.clone();
        root.common.version = v(version);
        assert_eq!(class(trusted.update_root(&signed(&root, &[1]))), ErrorClass::Rollback, "{version}");
    }
    assert_eq!(trusted.next_root_version(), 2);
}

#[test]
fn only_the_last_root_must_not_be_expired() {
    let mut channel = Channel::new();
    channel.root.common.expires = at("2020-01-01T00:00:00Z");
    let mut trusted = Trusted::from_root(&channel.root_bytes()).unwrap();
    let two = next_root(&channel.root, RoleName::Root, &[1], 1);
    let _ = trusted.update_root(&signed(&two, &[1])).unwrap();
    assert_eq!(class(trusted.finish_roots(now())), ErrorClass::Expired);
    let (_, timestamp) = channel.publish();
    assert_eq!(class(trusted.update_timestamp(&timestamp, now())), ErrorClass::Usage);
    let mut three = next_root(&two, RoleName::Root, &[1], 1);
    three.common.expires = far();
    let _ = trusted.update_root(&signed(&three, &[1])).unwrap();
    trusted.finish_roots(now()).unwrap();
    let _ = trusted.update_timestamp(&timestamp, now()).unwrap();
}

#[test]
fn rotated_is_said_when_a_key_of_timestamp_or_snapshot_goes_not_when_one_comes() {
    for (role, seeds, rotated) in [
        (RoleName::Timestamp, &[4, 41][..], false),
        (RoleName::Timestamp, &[41], true),
        (RoleName::Snapshot, &[31], true),
        (RoleName::Snapshot, &[3], false),
        (RoleName::Targets, &[21], false),
        (RoleName::Root, &[1, 11], false),
    ] {
        let channel = Channel::new();
        let mut trusted = Trusted::from_root(&channel.root_bytes()).unwrap();
        let next = next_root(&channel.root, role, seeds, 1);
        let change = trusted.update_root(&signed(&next, &[1, seeds[0]])).unwrap();
        assert_eq!(change.rotated, rotated, "{role} {seeds:?}");
    }
}

#[test]
fn a_threshold_that_no_one_can_reach_is_not_reached() {
    let channel = Channel::new();
    let two = next_root(&channel.root, RoleName::Root, &[11, 12], 3);
    let mut trusted = Trusted::from_root(&channel.root_bytes()).unwrap();
    assert_eq!(class(trusted.update_root(&signed(&two, &[1, 11, 12]))), ErrorClass::Signature);
}

#[test]
fn malformed_roots_are_refused() {
    let channel = Channel::new();
    let content = serde_json::to_value(&channel.root).unwrap();
    let keyid = key(1).id();
    type Bend<'a> = (&'a str, &'a dyn Fn(&mut serde_json::Value));
    let bends: &[Bend<'_>] = &[
        ("version", &|root| root["version"] = json!(0)),
        ("version", &|root| root["version"] = json!(-1)),
        ("version", &|root| root["version"] = json!("2")),
        ("version", &|root| drop(root.as_object_mut().unwrap().remove("version"))),
        ("spec_version", &|root| root["spec_version"] = json!("2.0.0")),
        ("spec_version", &|root| root["spec_version"] = json!("1.x")),
        ("spec_version", &|root| root["spec_version"] = json!("")),
        ("expires", &|root| root["expires"] = json!("tomorrow")),
        ("expires", &|root| root["expires"] = json!(7)),
        ("_type", &|root| root["_type"] = json!("timestamp")),
        ("_type", &|root| drop(root.as_object_mut().unwrap().remove("_type"))),
        ("nonzero", &|root| root["roles"]["root"]["threshold"] = json!(0)),
        ("timestamp", &|root| drop(root["roles"].as_object_mut().unwrap().remove("timestamp"))),
        ("twice", &|root| root["roles"]["root"]["keyids"].as_array_mut().unwrap().push(json!(keyid))),
        ("weak", &|root| {
            let public = "0100000000000000000000000000000000000000000000000000000000000000";
            root["keys"]["00"] =
                json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}});
        }),
        ("not an ed25519", &|root| {
            root["keys"]["00"] =
                json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "no"}});
        }),
    ];
    for (says, bend) in bends {
        let mut bent = content.clone();
        bend(&mut bent);
        let bytes = crate::sign::sign_document(&bent, [&key(1)]).unwrap();
        let error = Trusted::from_root(&bytes).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Malformed, "{says}: {error}");
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
}

#[test]
fn keys_of_other_kinds_and_unknown_fields_are_kept_and_do_not_count() {
    let mut root = serde_json::to_value(Channel::new().root).unwrap();
    root["keys"]["aa"] =
        json!({"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": "PEM"}});
    // An ed25519 key under an id that is not its own.
    root["keys"]["bb"] = key(9).public().to_object();
    root["roles"]["root"]["keyids"].as_array_mut().unwrap().extend([
        json!("aa"),
        json!("bb"),
        json!("nowhere"),
    ]);
    root["x-later"] = json!({"more": [1, 2]});
    root["roles"]["mirrors"] = json!({"keyids": [], "threshold": 1});
    let trusted = Trusted::from_root(&crate::sign::sign_document(&root, [&key(1)]).unwrap()).unwrap();
    assert_eq!(serde_json::to_value(&**trusted.root()).unwrap(), root, "what was read is written back");
    root["roles"]["root"]["threshold"] = json!(2);
    let bytes = crate::sign::sign_document(&root, [&key(1), &key(9)]).unwrap();
    assert_eq!(class(Trusted::from_root(&bytes)), ErrorClass::Signature);
}
