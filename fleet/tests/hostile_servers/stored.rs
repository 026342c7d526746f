//! What can lie in the directory of trusted metadata: garbage there is told and fetched again, and widens no trust.

use std::fs;

use linnet_fleet::channel::ExitClass;

use crate::host::World;
use crate::published::{forged, now};

/// Runs all cases and says how many.
pub fn all() -> usize {
    let mut count = 0;
    let good = World::new("good").at_version_1();
    good.refresh(now()).unwrap();
    let cut = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    for role in ["timestamp", "snapshot", "targets"] {
        let stored = good.stored()[&format!("{role}.json")].clone();
        for (what, content, is_told) in [
            ("empty", Vec::new(), true),
            ("cut", cut(&stored), true),
            ("html", b"<html>".to_vec(), true),
            ("zeros", vec![0; 300], true),
            ("of a newer specification", forged(&stored, "spec_version", "2.0.0"), role != "targets"),
            ("changed by a hand", forged(&stored, "expires", "2036-12-01T00:00:00Z"), role != "targets"),
            ("of a far version, unsigned", forged(&stored, "version", 999), role != "targets"),
            ("another role's", good.stored()["root.json"].clone(), role != "targets"),
        ] {
            count += 1;
            let name = format!("{role}.json is {what}");
            let world = World::new(&name).at_version_1();
            world.refresh(now()).unwrap();
            fs::write(world.metadata().join(format!("{role}.json")), &content).unwrap();
            let refresh =
                world.open().unwrap().refresh(now()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!is_told || refresh.discarded.len() == 1, "{name}: {:?}", refresh.discarded);
            assert_eq!(world.stored()[&format!("{role}.json")], stored, "{name}");
            world.recovers();
        }
        count += 2;
        let name = format!("{role}.json is a directory");
        let world = World::new(&name).at_version_1();
        world.refresh(now()).unwrap();
        let path = world.metadata().join(format!("{role}.json"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = world.open().unwrap().refresh(now()).unwrap_err();
        assert!(error.exit_class() == ExitClass::Disk && error.to_string().contains(role), "{name}: {error}");
        fs::remove_dir(&path).unwrap();
        world.recovers();
        let world = World::new(&format!("{role}.json is gone")).at_version_1();
        world.refresh(now()).unwrap();
        fs::remove_file(world.metadata().join(format!("{role}.json"))).unwrap();
        world.refresh(now()).unwrap();
        assert_eq!(world.stored()[&format!("{role}.json")], stored);
        world.recovers();
    }

    // Without a root nothing is trusted, and nothing may be fetched to mend it.
    for (what, content) in
        [("empty", ""), ("html", "<html>"), ("of no keys", r#"{"signatures":[],"signed":{}}"#)]
    {
        count += 1;
        let world = World::new(&format!("root.json is {what}")).at_version_1();
        fs::write(world.metadata().join("root.json"), content).unwrap();
        world.server.state.lock().unwrap().seen.clear();
        let error = world.open().unwrap_err();
        assert_eq!(error.exit_class(), ExitClass::Signature, "{what}: {error}");
        assert!(world.server.state.lock().unwrap().seen.is_empty());
    }
    count += 1;
    let world = World::new("root.json is gone").at_version_1();
    fs::remove_file(world.metadata().join("root.json")).unwrap();
    let error = world.open().unwrap_err();
    assert!(error.exit_class() == ExitClass::Disk && error.to_string().contains("install --root"), "{error}");

    // Three rotations while the host was away: each root in its order, and stale files put away.
    count += 1;
    let mut world = World::new("three rotations").at_version_1();
    (0..3).for_each(|_| world.channel.rotate_root());
    world.serve();
    world.server.state.lock().unwrap().seen.clear();
    assert!(world.refresh(now()).unwrap().updated);
    let roots: Vec<_> = {
        let state = world.server.state.lock().unwrap();
        state.seen.iter().map(|r| r.path.clone()).filter(|path| path.ends_with("root.json")).collect()
    };
    assert_eq!(roots, ["2.root.json", "3.root.json", "4.root.json", "5.root.json"]);
    assert_eq!(world.stored()["root.json"], world.channel.files["4.root.json"]);
    world.recovers();

    // One of them is missing: the host stays where the chain ends, and takes the rest later.
    count += 1;
    let mut world = World::new("a gap in the roots").at_version_1();
    (0..3).for_each(|_| world.channel.rotate_root());
    let third = world.channel.files.remove("3.root.json").unwrap();
    world.serve();
    world.refresh(now()).unwrap();
    assert_eq!(world.stored()["root.json"], world.channel.files["2.root.json"]);
    world.channel.files.insert("3.root.json".to_owned(), third);
    world.serve();
    world.refresh(now()).unwrap();
    assert_eq!(world.stored()["root.json"], world.channel.files["4.root.json"]);
    world.recovers();
    count
}
