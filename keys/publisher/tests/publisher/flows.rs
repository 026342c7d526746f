//! What operators do, and what they are kept from doing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::place::{Host, Place, plugin_manifest};
use serde_json::Value;

fn follow(place: &Place) -> crate::place::Seen {
    Host::new(fs::read(place.path("channel/1.root.json")).unwrap()).update(&place.path("channel")).unwrap()
}

#[test]
fn one_person_publishes_releases_settings_and_plugins() {
    let place = Place::filled(&[]);
    place.run(&["add-release", "one.tar.gz", "--notes", "the first"]);
    place.run(&["add-release", "two.tar.gz", "--security-floor", "0.1.0"]);
    place.fleet(1, "0.2.0");
    place.run(&["publish-config", "fleet.json"]);
    place.run(&["add-plugin", "yara.tar.gz", "--name", "yara"]);
    let seen = follow(&place);
    assert_eq!(seen.targets.len(), 4);
    let page = place.run(&["inspect"]);
    for says in [
        "release/linnet-0.2.0-x86_64.tar.gz",
        "the first",
        "no host goes below 0.1.0",
        "to all hosts at once",
    ] {
        assert!(page.contains(says), "{says}: {page}");
    }
    let page: Value = serde_json::from_str(&place.run(&["inspect", "--json"])).unwrap();
    assert_eq!(page["roles"].as_array().unwrap().len(), 6);
    assert_eq!(page["config"]["version"], 1);
    // The same again changes nothing.
    for again in [
        &["add-release", "one.tar.gz", "--notes", "the first", "--security-floor", "0.0.0"][..],
        &["publish-config", "fleet.json"],
    ] {
        assert!(place.run(again).contains("nothing to do"));
    }
    assert_eq!(follow(&place), seen);
}

#[test]
fn private_keys_are_encrypted_and_ours_alone_by_default() {
    let place = Place::empty();
    fs::write(place.path("passphrase"), "correct horse\n").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = place.command(&[]);
        // Without --unencrypted.
        command = {
            let mut plain = std::process::Command::new(command.get_program());
            plain.current_dir(place.path(""));
            plain
        };
        let output = command.env_remove("LINNET_KEYS_PASSPHRASE").args(arguments).output().unwrap();
        (output.status.success(), crate::place::text(&output))
    };
    assert!(run(&["--passphrase-file", "passphrase", "init"]).0);
    for name in place.names("keys").iter().filter(|name| name.ends_with(".pem")) {
        let path = place.path("keys").join(name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    }
    assert_eq!(fs::metadata(place.path("keys")).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(run(&["--passphrase-file", "passphrase", "refresh"]).0);
    fs::write(place.path("wrong"), "battery staple\n").unwrap();
    let (done, says) = run(&["--passphrase-file", "wrong", "refresh"]);
    assert!(!done && says.contains("is the passphrase right"), "{says}");
    fs::write(place.path("empty"), "\n").unwrap();
    let (done, says) = run(&["--passphrase-file", "empty", "refresh"]);
    assert!(!done && says.contains("passphrase is empty"), "{says}");
    let key = place.names("keys").into_iter().find(|name| name.starts_with("timestamp-")).unwrap();
    fs::set_permissions(place.path("keys").join(key), fs::Permissions::from_mode(0o640)).unwrap();
    let (done, says) = run(&["--passphrase-file", "passphrase", "refresh"]);
    assert!(!done && says.contains("others may read"), "{says}");
}

#[test]
fn what_hosts_would_refuse_is_not_published() {
    let place = Place::filled(&[]);
    place.run(&["add-release", "one.tar.gz"]);
    let seen = follow(&place);
    let refused = |arguments: &[&str], says: &str| {
        let text = place.refused(arguments);
        assert!(text.contains(says), "{arguments:?}: {text}");
    };
    fs::write(place.path("broken.tar.gz"), "not gzip").unwrap();
    refused(&["add-release", "broken.tar.gz"], "hosts would refuse this package");
    refused(&["add-release", "yara.tar.gz"], "is a plugin, not a release");
    refused(&["add-release", "two.tar.gz", "--security-floor", "9.0.0"], "above the release itself");
    refused(&["add-plugin", "yara.tar.gz", "--name", "../yara"], "names it \"yara\"");
    refused(&["add-plugin", "one.tar.gz"], "is a release, not a plugin");
    for (document, says) in [
        ("{}", "version"),
        (r#"{"version": 1, "update": {"relaese": "x"}}"#, "relaese"),
        (
            r#"{"version": 1, "update": {"release": "release/linnet-9.9.9-x86_64.tar.gz", "salt": "s"}}"#,
            "not a release of this channel",
        ),
        ("<html>", "hosts would refuse"),
    ] {
        fs::write(place.path("fleet.json"), document).unwrap();
        refused(&["publish-config", "fleet.json"], says);
    }
    // Another package under a published version.
    fs::write(place.path("program"), "x").unwrap();
    place.package("other.tar.gz", "release", "0.1.0");
    let mut other = fs::read(place.path("other.tar.gz")).unwrap();
    other[4] = 1;
    fs::write(place.path("other.tar.gz"), other).unwrap();
    refused(&["add-release", "other.tar.gz"], "published already, with other bytes");
    assert_eq!(follow(&place), seen);
}

#[test]
fn a_plugin_s_directory_is_packed_and_published_the_same_each_time() {
    let place = Place::filled(&[]);
    let write = |manifest: &Value| {
        fs::create_dir_all(place.path("yara")).unwrap();
        fs::write(place.path("yara/yara"), "#!/bin/sh\n").unwrap();
        fs::write(place.path("yara/plugin.json"), manifest.to_string()).unwrap();
    };
    write(&plugin_manifest("1.2.0", "yara"));
    assert!(place.run(&["add-plugin", "yara"]).contains("plugin/yara-1.2.0-x86_64.tar.gz"));
    assert!(place.run(&["add-plugin", "yara"]).contains("nothing to do"));
    for (key, value, says) in [
        ("version", "latest", "is not a version"),
        ("executable", "elsewhere", "look at"),
        ("executable", "../yara", "executable"),
        ("name", "../yara", "name"),
        ("colour", "green", "colour: unknown field"),
    ] {
        let mut manifest = plugin_manifest("1.3.0", "yara");
        manifest[key] = value.into();
        write(&manifest);
        let text = place.refused(&["add-plugin", "yara"]);
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn settings_name_plugins_that_the_channel_has() {
    let place = Place::filled(&[]);
    place.run(&["add-plugin", "yara.tar.gz"]);
    let publish = |document: &str| fs::write(place.path("fleet.json"), document).unwrap();
    publish(
        r#"{"version": 1, "plugins": {"yara": {"version": "1.0.0", "settings": {"interval_s": 60}}, "other": {}}}"#,
    );
    let said = place.run(&["publish-config", "fleet.json"]);
    assert!(said.contains("other is not in this channel: only hosts that have it"), "{said}");
    for (document, says) in [
        (r#"{"version": 2, "plugins": {"yara": {"version": "1.1.0"}}}"#, "there is: 1.0.0"),
        (r#"{"version": 2, "plugins": {"yara": {"version": "newest"}}}"#, "is not a version"),
        (r#"{"version": 2, "plugins": {"yara": {"setings": {}}}}"#, "yara.setings: unknown field"),
        (
            r#"{"version": 2, "overrides": [{"name": "x", "match": {}, "patch": {"plugins": {"yara": {"version": "3.0.0"}}}}]}"#,
            "there is: 1.0.0",
        ),
    ] {
        publish(document);
        let text = place.refused(&["publish-config", "fleet.json"]);
        assert!(text.contains(says), "{text}");
    }
    place.run(&["revoke", "plugin/yara-1.0.0-x86_64.tar.gz"]);
    publish(r#"{"version": 2, "plugins": {"yara": {"version": "1.0.0"}}}"#);
    assert!(place.refused(&["publish-config", "fleet.json"]).contains("yara 1.0.0"));
}

#[test]
fn settings_only_go_forward() {
    let place = Place::filled(&[]);
    place.run(&["add-release", "one.tar.gz"]);
    place.fleet(5, "0.1.0");
    place.run(&["publish-config", "fleet.json"]);
    for version in [4, 5] {
        fs::write(place.path("fleet.json"), format!("{{\"version\": {version}, \"later\": 1}}")).unwrap();
        assert!(place.refused(&["publish-config", "fleet.json"]).contains("raise it to 6 or more"));
    }
}

#[test]
fn whom_a_document_touches_is_told_before_it_is_published() {
    let place = Place::filled(&[]);
    place.run(&["add-release", "one.tar.gz"]);
    let document = serde_json::json!({"version": 1,
        "update": {"release": "release/linnet-0.1.0-x86_64.tar.gz", "salt": "s",
                   "waves": [{"at": "2100-01-01T00:00:00Z", "permille": 1000}]},
        "overrides": [{"name": "db", "match": {"tags": ["db"]}, "patch": {"agent": {"hash": {"enabled": false}}}}]});
    fs::write(place.path("fleet.json"), document.to_string()).unwrap();
    let hosts = "web1 ec524ab2-d1ff-8b95-9222-eefe721e0c6c web\ndb1 - db eu\n";
    fs::write(place.path("hosts.txt"), hosts).unwrap();
    let before = follow(&place);
    let says = [
        "of the 2 hosts in the list (1 without an id",
        "override db: 1 now",
        "may take release/linnet-0.1.0-x86_64.tar.gz: 0 now, 2 from 2100-01-01T00:00:00Z",
        "overrides[db].patch.agent.hash.enabled: false (new)",
    ];
    let dry = place.run(&["publish-config", "fleet.json", "--hosts", "hosts.txt", "--dry-run"]);
    assert!(dry.contains("would be published") && says.iter().all(|says| dry.contains(says)), "{dry}");
    assert_eq!(follow(&place), before);
    let text = place.run(&["publish-config", "fleet.json", "--hosts", "hosts.txt"]);
    assert!(says.iter().all(|says| text.contains(says)), "{text}");
    assert_ne!(follow(&place), before);
}

#[test]
fn every_publishing_writes_the_page_and_what_stands_in_it_is_text() {
    let place = Place::filled(&[]);
    let page = || fs::read_to_string(place.path("channel/index.html")).unwrap();
    assert!(page().contains("None yet."));
    let evil = "<script>alert(1)</script>\u{202e}\u{1b}[2J & \"'";
    fs::write(place.path("notes.txt"), format!("{evil}\nsecond line\n")).unwrap();
    place.run(&["add-release", "one.tar.gz", "--notes-file", "notes.txt"]);
    let text = page();
    assert!(text.contains(
        "&lt;script&gt;alert(1)&lt;/script&gt;\u{fffd}\u{fffd}[2J &amp; &quot;&#39;\nsecond line</p>"
    ));
    assert_eq!(text.matches("<script>").count(), 1);
    assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'));
    // The notes are signed with the release.
    let inspected: Value = serde_json::from_str(&place.run(&["inspect", "--json"])).unwrap();
    assert_eq!(inspected["packages"][0]["package"]["notes"], format!("{evil}\nsecond line"));
    place.fleet(1, "0.1.0");
    place.run(&["publish-config", "fleet.json"]);
    place.fleet(2, "0.1.0");
    place.run(&["publish-config", "fleet.json"]);
    assert!(page().contains("nothing but its number"));
    fs::remove_file(place.path("channel/index.html")).unwrap();
    place.run(&["refresh"]);
    assert!(page().contains("Version <b>2</b>"));
    // It is no part of what hosts trust: without it and with another one they see the same.
    let seen = follow(&place);
    fs::write(place.path("channel/index.html"), "other").unwrap();
    assert_eq!(follow(&place), seen);
    // A page that can't be written is told, and nothing else suffers.
    fs::remove_file(place.path("channel/index.html")).unwrap();
    fs::create_dir(place.path("channel/index.html")).unwrap();
    assert!(place.run(&["refresh"]).contains("index.html was not written"));
    fs::write(place.path("notes.txt"), "x".repeat(20_000)).unwrap();
    assert!(
        place.refused(&["add-release", "two.tar.gz", "--notes-file", "notes.txt"]).contains("longer than")
    );
}

#[test]
fn a_revoked_release_is_gone_and_stays_gone() {
    let place = Place::filled(&[]);
    place.run(&["add-release", "one.tar.gz"]);
    place.run(&["add-release", "two.tar.gz"]);
    place.fleet(1, "0.1.0");
    place.run(&["publish-config", "fleet.json"]);
    let text = place.run(&["revoke", "release/linnet-0.1.0-x86_64.tar.gz"]);
    assert!(text.contains("still offers it"), "{text}");
    let seen = follow(&place);
    assert_eq!(seen.revoked, 1);
    assert!(!seen.targets.iter().any(|path| path.contains("0.1.0")));
    assert!(place.refused(&["add-release", "one.tar.gz"]).contains("was revoked"));
    assert!(place.refused(&["revoke", "7.7.7"]).contains("no package of this channel"));
}

#[test]
fn a_channel_that_was_set_back_or_swapped_is_refused() {
    let place = Place::filled(&[]);
    let old = place.copy();
    place.run(&["add-release", "one.tar.gz"]);
    fs::rename(place.path("channel"), place.path("newer")).unwrap();
    fs::rename(old.path("channel"), place.path("channel")).unwrap();
    let text = place.refused(&["refresh"]);
    assert!(text.contains("was set back"), "{text}");
    fs::remove_dir_all(place.path("channel")).unwrap();
    fs::rename(Place::filled(&[]).path("channel"), place.path("channel")).unwrap();
    let text = place.refused(&["refresh"]);
    assert!(text.contains("another channel"), "{text}");
}

#[test]
fn two_publishers_at_once_are_one_after_the_other_or_refused() {
    let place = Place::filled(&[]);
    let mut running: Vec<_> = (0..6)
        .map(|_| place.command(&["refresh"]).stderr(std::process::Stdio::null()).spawn().unwrap())
        .collect();
    let done = running.iter_mut().filter_map(|child| child.wait().unwrap().success().then_some(())).count();
    assert!(done >= 1);
    assert_eq!(follow(&place).timestamp, 1 + u64::try_from(done).unwrap());
}

#[test]
fn keys_inside_the_channel_are_refused() {
    let place = Place::empty();
    let text = place.refused(&["--keys", "channel/keys", "init"]);
    assert!(text.contains("served to everybody"), "{text}");
    assert!(!place.path("channel").exists());
}

#[test]
fn an_organisation_signs_by_two_of_three_on_separate_machines() {
    let place = Place::filled(&["--organisation"]);
    // Three people, each with a key of root and of targets; the machine keeps the rest.
    for role in ["root", "targets"] {
        let names: Vec<_> =
            place.names("keys").into_iter().filter(|name| name.starts_with(&format!("{role}-"))).collect();
        assert_eq!(names.len(), 3);
        for (person, name) in ["ann", "bob", "cem"].iter().zip(names) {
            fs::create_dir_all(place.path(person)).unwrap();
            fs::rename(place.path("keys").join(&name), place.path(person).join(&name)).unwrap();
        }
    }
    let before = follow(&place);
    assert!(place.run(&["add-release", "one.tar.gz"]).contains("0 of 2 signatures"));
    // Where no key of the role is, a document waits; it is not published half signed.
    assert!(place.run(&["--keys", "ann", "renew", "plugins"]).contains("0 of 1 signatures"));
    assert_eq!(follow(&place), before);
    let waiting = place.path("keys/pending/2.targets.json");
    for person in ["ann", "bob"] {
        fs::copy(&waiting, place.path(&format!("{person}/2.targets.json"))).unwrap();
        let text = place.run(&["--keys", person, "sign", &format!("{person}/2.targets.json")]);
        assert!(text.contains("release/linnet-0.1.0-x86_64.tar.gz"), "{text}");
    }
    let text = place.run(&["merge", "ann/2.targets.json"]);
    assert!(text.contains("1 of 2 signatures"), "{text}");
    place.run(&["merge", "ann/2.targets.json", "bob/2.targets.json"]);
    assert_eq!(follow(&place).targets, ["release/linnet-0.1.0-x86_64.tar.gz"]);
    assert!(place.names("keys/pending").is_empty());
    // The same signatures do not serve twice.
    assert!(place.refused(&["merge", "ann/2.targets.json"]).contains("make it anew"));

    // Cem leaves: Dana's key takes the place of theirs in root, by the keys of Ann and Bob.
    let public = place.run(&["--keys", "dana", "new-key", "root"]);
    let public = public.lines().find_map(|line| line.strip_prefix("public: ")).unwrap();
    let cem = place.names("cem").into_iter().find(|name| name.starts_with("root-")).unwrap();
    let cem = &cem["root-".len().."root-".len() + 12];
    assert!(place.run(&["rotate", "root", "--retire", cem, "--add", public]).contains("0 of 2"));
    for person in ["ann", "bob"] {
        fs::copy(place.path("keys/pending/2.root.json"), place.path(&format!("{person}/2.root.json")))
            .unwrap();
        place.run(&["--keys", person, "sign", &format!("{person}/2.root.json")]);
    }
    place.run(&["merge", "ann/2.root.json", "bob/2.root.json"]);
    assert_eq!(follow(&place).root, 2);
    let page = place.run(&["inspect"]);
    assert!(!page.contains(cem), "{page}");
}

#[test]
fn verify_finds_what_was_changed_in_the_channel() {
    let place = Place::filled(&[]);
    place.run(&["add-release", "one.tar.gz"]);
    place.run(&["verify"]);
    place.run(&["verify", "--root", "channel/1.root.json"]);
    let package = place.names("channel/targets/release").pop().unwrap();
    let path = place.path("channel/targets/release").join(package);
    let content = fs::read(&path).unwrap();
    let mut bent = content.clone();
    bent[20] ^= 1;
    fs::write(&path, bent).unwrap();
    assert!(place.refused(&["verify"]).contains("not the file that was signed for"));
    fs::write(&path, content).unwrap();
    let snapshot = place.path("channel/2.snapshot.json");
    let bytes = fs::read_to_string(&snapshot).unwrap();
    fs::write(&snapshot, bytes.replace("\"version\": 2", "\"version\": 3")).unwrap();
    assert!(place.refused(&["verify"]).contains("digest"));
}

#[test]
fn refresh_gives_life_and_says_what_it_cannot_renew() {
    let place = Place::filled(&[]);
    place.run(&["--days", "1", "refresh"]);
    let page: Value = serde_json::from_str(&place.run(&["inspect", "--json"])).unwrap();
    let timestamp =
        page["roles"].as_array().unwrap().iter().find(|role| role["role"] == "timestamp").unwrap();
    assert_eq!((&timestamp["due"], &timestamp["expired"]), (&Value::from(true), &Value::from(false)));
    for _ in 0..20 {
        place.run(&["--days", "3000", "refresh"]);
    }
    // What lives long enough in 3000 days' measure is signed anew each time; old snapshots go.
    let snapshots =
        place.names("channel").into_iter().filter(|name| name.ends_with(".snapshot.json")).count();
    assert!(snapshots <= 17, "{snapshots}");
    place.run(&["verify"]);
    let root = place.names("keys").into_iter().find(|name| name.starts_with("root-")).unwrap();
    fs::remove_file(place.path("keys").join(root)).unwrap();
    assert!(
        place.run(&["--days", "3000", "refresh"]).contains("run `linnet-keys renew root` where its keys are")
    );
}

#[test]
fn two_states_of_the_timestamp_never_have_the_same_second() {
    let place = Place::filled(&[]);
    let second = || fs::metadata(place.path("channel/timestamp.json")).unwrap().modified().unwrap();
    let mut before = second();
    for _ in 0..3 {
        place.run(&["refresh"]);
        assert!(second() >= before + std::time::Duration::from_secs(1));
        before = second();
    }
}

/// One judgement: what the agent's own code would refuse is not published, and what is published it takes.
#[test]
fn what_the_tool_publishes_the_agent_takes() {
    let place = Place::filled(&[]);
    let mut version = 0;
    let mut published = 0;
    for agent in [
        r#"{"events": {"fork": true}}"#,
        r#"{"events": {"fork": "yes"}}"#,
        r#"{"events": {"fork": true, "twenty_first": true}}"#,
        r#"{"limits": {"cpu_permille": 300}}"#,
        r#"{"limits": {"cpu_permille": 3}}"#,
        r#"{"limits": {"memory_max_bytes": -1}}"#,
        r#"{"hash": {"max_file_bytes": 1e3}}"#,
        r#"{"ring": {"bytes": 65537}}"#,
        r#"{"no_such_section": {}}"#,
        r#"{"argv_max_bytes": 4096, "script": {"max_content_bytes": 65536}}"#,
        "[]",
        "null",
    ] {
        version += 1;
        let text = format!(r#"{{"version": {version}, "agent": {agent}}}"#);
        let document = linnet_fleet::rollout::FleetDocument::parse(text.as_bytes()).unwrap();
        let taken = linnet_settings::fleet::check(&document).is_ok();
        fs::write(place.path("fleet.json"), &text).unwrap();
        let done = place.command(&["publish-config", "fleet.json"]).output().unwrap();
        assert_eq!(done.status.success(), taken, "{agent}: {}", crate::place::text(&done));
        published += usize::from(taken);
    }
    assert!((3..10).contains(&published), "{published} of them were published");
}
