//! One file for a host without network.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

use linnet_fleet::bundle::Bundle;

use crate::place::{Host, Place};

/// The files that a host finds in a bundle, as a channel in a directory.
fn unpack(place: &Place, bundle: &str) -> Vec<String> {
    let opened = Bundle::open(&place.path(bundle)).unwrap();
    let to = place.path(&format!("{bundle}.d"));
    let mut carried = BTreeMap::new();
    // Whatever the channel has is asked for; what the bundle lacks stays away.
    for directory in ["", "targets/release/", "targets/plugin/", "targets/config/"] {
        for name in place.names(&format!("channel/{directory}")) {
            let path = format!("{directory}{name}");
            if let Some(mut reader) = opened.get(&path) {
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes).unwrap();
                carried.insert(path, bytes);
            }
        }
    }
    for (path, bytes) in &carried {
        fs::create_dir_all(to.join(path).parent().unwrap()).unwrap();
        fs::write(to.join(path), bytes).unwrap();
    }
    carried.into_keys().collect()
}

fn carries(files: &[String], word: &str) -> bool {
    files.iter().any(|file| file.contains(word))
}

fn published() -> Place {
    let place = Place::filled(&[]);
    place.run(&["add-release", "one.tar.gz"]);
    place.run(&["add-release", "two.tar.gz"]);
    place.run(&["add-plugin", "yara.tar.gz", "--name", "yara"]);
    place
}

#[test]
fn a_bundle_carries_what_the_settings_give_or_what_was_asked_for() {
    let place = published();
    let bundle = |arguments: &[&str]| {
        let text = place.run(&[&["bundle", "--out", "b.tar"], arguments].concat());
        let _ = fs::remove_dir_all(place.path("b.tar.d"));
        (unpack(&place, "b.tar"), text)
    };
    // Without settings the newest.
    let (files, text) = bundle(&[]);
    assert!(carries(&files, "linnet-0.2.0") && !carries(&files, "linnet-0.1.0"), "{files:?}");
    assert!(!carries(&files, "yara") && text.contains("timestamp expires then"), "{text}");
    place.fleet(1, "0.1.0");
    place.run(&["publish-config", "fleet.json"]);
    let (files, _) = bundle(&[]);
    assert!(carries(&files, "linnet-0.1.0") && !carries(&files, "linnet-0.2.0"), "{files:?}");
    assert!(carries(&files, "fleet.json"), "{files:?}");
    let (files, _) = bundle(&["--version", "0.2.0", "--plugins", "yara"]);
    assert!(carries(&files, "linnet-0.2.0") && carries(&files, "yara-1.0.0"), "{files:?}");
    let (files, _) = bundle(&["--plugins", "all"]);
    assert!(carries(&files, "yara-1.0.0"), "{files:?}");
    for (arguments, says) in [
        (&["--version", "9.9.9"][..], "is no release of this channel (there is: 0.1.0, 0.2.0)"),
        (&["--plugins", "song"], "\"song\" is no plugin of this channel (there is: yara)"),
    ] {
        let text = place.refused(&[&["bundle", "--out", "c.tar"], arguments].concat());
        assert!(text.contains(says), "{text}");
    }
    assert!(!place.path("c.tar").exists());
}

#[test]
fn a_bundle_takes_no_keys_and_a_host_follows_it_through_rotations() {
    let place = published();
    let first = fs::read(place.path("channel/1.root.json")).unwrap();
    place.run(&["rotate", "root"]);
    place.run(&["rotate", "timestamp"]);
    place.run(&["rotate", "targets"]);
    fs::rename(place.path("keys"), place.path("away")).unwrap();
    place.run(&["bundle", "--out", "b.tar", "--plugins", "all"]);
    let files = unpack(&place, "b.tar");
    assert!(carries(&files, "4.root.json"), "{files:?}");
    // The host of the tests reads every file that is vouched for; the bundle has one release of two.
    let seen = Host::new(first).update(&place.path("b.tar.d")).unwrap_err();
    assert!(seen.contains("No such file"), "{seen}");
    for name in place.names("channel/targets/release") {
        if name.contains("0.1.0") {
            let to = place.path("b.tar.d/targets/release").join(&name);
            fs::copy(place.path("channel/targets/release").join(&name), to).unwrap();
        }
    }
    let first = fs::read(place.path("b.tar.d/1.root.json")).unwrap();
    assert_eq!(Host::new(first).update(&place.path("b.tar.d")).unwrap().root, 4);
}

#[test]
fn what_hosts_would_refuse_is_not_bundled() {
    let place = published();
    place.fleet(1, "0.1.0");
    place.run(&["publish-config", "fleet.json"]);
    place.run(&["revoke", "0.1.0"]);
    let text = place.refused(&["bundle", "--out", "b.tar"]);
    assert!(text.contains("no release of this channel any more"), "{text}");
    assert!(place.refused(&["bundle", "--out", "b.tar", "--version", "0.1.0"]).contains("there is: 0.2.0"));
    let package = place.names("channel/targets/release").into_iter().find(|n| n.contains("0.2.0")).unwrap();
    let package = place.path("channel/targets/release").join(package);
    let mut bytes = fs::read(&package).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&package, &bytes).unwrap();
    let text = place.refused(&["bundle", "--out", "b.tar", "--version", "0.2.0"]);
    assert!(text.contains("is not the file that was signed for"), "{text}");
    fs::write(&package, &bytes[1..]).unwrap();
    let text = place.refused(&["bundle", "--out", "b.tar", "--version", "0.2.0"]);
    assert!(text.contains("are signed for"), "{text}");
    assert_eq!(
        place.names("").iter().filter(|name| name.contains("tar") && name.starts_with('b')).count(),
        0
    );
    assert_eq!(place.names("").iter().filter(|name| name.starts_with('.')).count(), 0);
}
