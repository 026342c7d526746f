//! Whatever is changed in a signed document, it is refused, or it says the same.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::canonical;

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Change {
    Flip(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, u8),
    Swap(prop::sample::Index, prop::sample::Index),
    Cut(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    use prop::sample::Index;
    prop_oneof![
        4 => (any::<Index>(), 1..=255_u8).prop_map(|(at, mask)| Change::Flip(at, mask)),
        1 => any::<Index>().prop_map(Change::Remove),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Change::Swap(a, b)),
        1 => any::<Index>().prop_map(Change::Cut),
    ]
}

fn apply(change: &Change, bytes: &mut Vec<u8>) {
    let length = bytes.len();
    match change {
        Change::Flip(at, mask) => bytes[at.index(length)] ^= mask,
        Change::Remove(at) => drop(bytes.remove(at.index(length))),
        Change::Insert(at, byte) => bytes.insert(at.index(length + 1), *byte),
        Change::Swap(a, b) => bytes.swap(a.index(length), b.index(length)),
        Change::Cut(at) => bytes.truncate(at.index(length)),
    }
}

/// The signed content in its one form; `None` for what is no document.
fn meaning(bytes: &[u8]) -> Option<Vec<u8>> {
    let document = canonical::parse(bytes).ok()?;
    canonical::to_vec(document.get("signed")?).ok()
}

/// A channel whose timestamp and snapshot list no digests, so that only the signatures protect.
fn without_digests(channel: &mut Channel) -> (Vec<u8>, Vec<u8>) {
    channel.publish();
    for listed in channel.snapshot.meta.values_mut() {
        (listed.length, listed.hashes) = (None, None);
    }
    let snapshot = channel.sign("snapshot", &channel.snapshot);
    let listed = &mut channel.timestamp.meta.snapshot;
    (listed.length, listed.hashes) = (None, None);
    (snapshot, channel.sign("timestamp", &channel.timestamp))
}

/// The documents of a channel, signed once.
fn documents(digests: bool) -> &'static BTreeMap<&'static str, Vec<u8>> {
    static SIGNED: [OnceLock<BTreeMap<&'static str, Vec<u8>>>; 2] = [OnceLock::new(), OnceLock::new()];
    SIGNED[usize::from(digests)].get_or_init(|| {
        let mut channel = Channel::new();
        let (snapshot, timestamp) = if digests { channel.publish() } else { without_digests(&mut channel) };
        BTreeMap::from([
            ("root", channel.root_bytes()),
            ("timestamp", timestamp),
            ("snapshot", snapshot),
            ("targets", channel.targets_bytes("targets")),
            ("config", channel.targets_bytes("config")),
        ])
    })
}

/// Takes a channel, with the document of one role replaced.
fn walk(replaced: &str, bytes: &[u8], digests: bool) -> Result<(), TrustError> {
    let get = |role: &str| if role == replaced { bytes } else { &documents(digests)[role] };
    let mut trusted = Trusted::from_root(get("root"))?;
    trusted.finish_roots(now())?;
    let _ = trusted.update_timestamp(get("timestamp"), now())?;
    trusted.update_snapshot(get("snapshot"), now())?;
    trusted.update_targets("targets", "root", get("targets"), now())?;
    trusted.update_targets("config", "targets", get("config"), now())
}

const ROLES: [&str; 5] = ["root", "timestamp", "snapshot", "targets", "config"];

/// Every single byte of every document, each bit of it flipped once.
#[test]
fn no_changed_byte_is_accepted_with_another_meaning() {
    let (mut refused, mut same) = (0_u32, 0_u32);
    for role in ROLES {
        let original = documents(false)[role].clone();
        walk(role, &original, false).unwrap();
        for at in 0..original.len() {
            let mut bytes = original.clone();
            // A blank becomes a tab or something else; a digit another digit; a letter its other case.
            bytes[at] ^= if bytes[at] == b' ' { b' ' ^ b'\t' } else { 1 << (at % 8) };
            match walk(role, &bytes, false) {
                Err(_) => refused += 1,
                Ok(()) => {
                    assert_eq!(meaning(&bytes), meaning(&original), "{role}, byte {at}");
                    same += 1;
                }
            }
        }
    }
    println!("{refused} changed bytes refused, {same} accepted with the same meaning (white space)");
    assert!(refused > 1000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn changes_are_refused_or_mean_the_same(
        role in prop::sample::select(&ROLES[..]),
        changes in prop::collection::vec(change(), 1..4),
        digests in any::<bool>(),
    ) {
        let original = documents(digests)[role].clone();
        let mut bytes = original.clone();
        for change in &changes {
            if !bytes.is_empty() {
                apply(change, &mut bytes);
            }
        }
        if walk(role, &bytes, digests).is_ok() {
            prop_assert_eq!(meaning(&bytes), meaning(&original));
            // What is listed with its digest is taken byte for byte.
            if digests && !matches!(role, "root" | "timestamp") {
                prop_assert_eq!(bytes, original);
            }
        }
    }

    /// A host is led through channels of any versions, in any order: what it trusts never goes back.
    #[test]
    fn versions_never_fall(
        steps in prop::collection::vec((1..6_u64, 1..6_u64, 1..6_u64, 1..6_u64), 1..12),
    ) {
        let mut channel = Channel::new();
        let mut trusted = Trusted::from_root(&channel.root_bytes()).unwrap();
        trusted.finish_roots(now()).unwrap();
        let mut seen = [0_u64; 4];
        for (timestamp, snapshot, targets, config) in steps {
            channel.timestamp.common.version = v(timestamp);
            channel.snapshot.common.version = v(snapshot);
            channel.targets.get_mut("targets").unwrap().common.version = v(targets);
            channel.targets.get_mut("config").unwrap().common.version = v(config);
            let (snapshot, timestamp) = channel.publish();
            // Errors are what is expected of a host; what it trusts afterwards is what counts.
            let _ = trusted.update_timestamp(&timestamp, now());
            let _ = trusted.update_snapshot(&snapshot, now());
            let _ = trusted.update_targets("targets", "root", &channel.targets_bytes("targets"), now());
            let _ = trusted.update_targets("config", "targets", &channel.targets_bytes("config"), now());
            let version = |role: &str| trusted.targets(role).map(|targets| targets.common.version.get());
            let now_trusted = [
                trusted.timestamp().map(|document| document.common.version.get()),
                trusted.snapshot().map(|document| document.common.version.get()),
                version("targets"),
                version("config"),
            ];
            for (seen, now_trusted) in seen.iter_mut().zip(now_trusted) {
                if let Some(version) = now_trusted {
                    prop_assert!(version >= *seen);
                    *seen = version;
                }
            }
        }
    }
}
