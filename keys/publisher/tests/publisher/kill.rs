//! A publisher killed at every change it makes to the disk: hosts see the channel before or after, never between, and
//! the same command run again completes it.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use crate::place::{Host, Place};

/// Runs the command with a kill at each point in turn, until it gets through. Returns how many points there were.
fn kill_everywhere(before: &Place, arguments: &[&str]) -> u32 {
    let first_root = fs::read(before.path("channel/1.root.json")).unwrap();
    let mut follower = Host::new(first_root.clone());
    let old = follower.update(&before.path("channel")).unwrap();
    for point in 0.. {
        let place = before.copy();
        let output = place.command(arguments).env("LINNET_KEYS_KILL_AT", point.to_string()).output().unwrap();
        let completed = output.status.success();
        assert!(
            completed || output.status.signal() == Some(9),
            "{arguments:?} at {point}: {}",
            crate::place::text(&output)
        );

        // A host that followed until now, and a new one.
        let mut hosts = [follower.clone(), Host::new(first_root.clone())];
        let seen = hosts.each_mut().map(|host| host.update(&place.path("channel")).unwrap());
        assert_eq!(seen[0], seen[1], "{arguments:?} at {point}");
        assert!(seen[0].timestamp >= old.timestamp);
        if completed {
            assert!(seen[0].timestamp > old.timestamp);
            return point;
        }

        place.run(arguments);
        let after = hosts[0].update(&place.path("channel")).unwrap();
        assert_eq!(after.targets, {
            let whole = before.copy();
            whole.run(arguments);
            Host::new(first_root.clone()).update(&whole.path("channel")).unwrap().targets
        });
        assert!(after.timestamp >= seen[0].timestamp);
        place.run(&["verify"]);
    }
    unreachable!()
}

#[test]
fn no_kill_leaves_a_half_published_channel() {
    let start = Place::filled(&[]);
    start.run(&["add-release", "one.tar.gz"]);
    start.fleet(1, "0.1.0");
    let mut points = Vec::new();
    for arguments in [
        &["add-release", "two.tar.gz"][..],
        &["publish-config", "fleet.json"],
        &["add-plugin", "yara.tar.gz", "--name", "yara"],
        &["revoke", "0.1.0"],
        &["refresh"],
        &["renew", "root"],
        &["rotate", "root"],
        &["rotate", "timestamp"],
        &["rotate", "snapshot"],
        &["rotate", "targets"],
        &["rotate", "config"],
    ] {
        points.push(format!("{} {}", arguments.join(" "), kill_everywhere(&start, arguments)));
    }
    println!("kill points: {}", points.join(", "));
}

#[test]
fn an_init_that_was_killed_is_begun_anew() {
    for point in 0.. {
        let place = Place::empty();
        let output = place.command(&["init"]).env("LINNET_KEYS_KILL_AT", point.to_string()).output().unwrap();
        if output.status.success() {
            println!("kill points: init {point}");
            assert!(point > 20);
            return;
        }
        assert_eq!(output.status.signal(), Some(9));
        if place.path("channel/1.root.json").exists() {
            place.run(&["verify"]);
            place.run(&["refresh"]);
        } else {
            place.run(&["init"]);
        }
        place.run(&["verify"]);
        let keys =
            place.names("keys").into_iter().filter(|name| name.ends_with(".pem") && !name.starts_with('.'));
        assert_eq!(keys.count(), 6);
    }
}

/// Without the old key the root must come first, and hosts may come between; the next run of the timer mends it.
#[test]
fn after_a_lost_key_a_killed_rotation_is_mended_by_the_next_refresh() {
    let start = Place::filled(&[]);
    start.run(&["add-release", "one.tar.gz"]);
    let lost = start.names("keys").into_iter().find(|name| name.starts_with("snapshot-")).unwrap();
    fs::remove_file(start.path("keys").join(lost)).unwrap();
    let mut between = 0;
    for point in 0.. {
        let place = start.copy();
        let output = place
            .command(&["rotate", "snapshot"])
            .env("LINNET_KEYS_KILL_AT", point.to_string())
            .output()
            .unwrap();
        let mut host = Host::new(fs::read(place.path("channel/1.root.json")).unwrap());
        between += u32::from(host.update(&place.path("channel")).is_err());
        place.run(&["refresh"]);
        host.update(&place.path("channel")).unwrap();
        place.run(&["verify"]);
        assert!(!place.names("channel").iter().any(|name| name.ends_with(".tmp")));
        if output.status.success() {
            break;
        }
    }
    assert!(between > 0, "the case that is to be mended did not come up");
}
