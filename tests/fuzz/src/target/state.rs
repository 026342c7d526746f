//! What updater and agent have stored, and read again after whatever became of the disk.

use std::{collections::BTreeSet, fs, time::Duration};

use jiff::Timestamp;
use linnet_keys::Sha256Digest;

use crate::{
    choice::{Build, Known, Memory},
    dead_man::Armed,
    desk::Request,
    history,
    hold::Hold,
    layout::Layout,
    machine::{Action, Failure, FailureKind, Input, Moment, step},
    memory::MemoryFile,
    place, release_dir,
    seed::taken,
    store,
    tree::Trees,
};

/// The updater's documents; the first byte says which: state, dead-man, hold, history, marker. A state that is read can be
/// written and read again, and every input leads to such a state, or to an error.
pub fn updater(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let layout = layout();
    match kind % 5 {
        0 => state(&layout, bytes),
        1 => {
            fs::write(layout.armed(), bytes).unwrap();
            if let Some(armed) = Armed::read(&layout) {
                taken();
                armed.write(&layout).unwrap();
                assert_eq!(Armed::read(&layout), Some(armed.clone()));
                let _ = Armed::new(&armed.job, armed.since, Duration::from_secs(600));
            }
        }
        2 => {
            fs::write(layout.hold(), bytes).unwrap();
            if let Ok(hold) = Hold::read(&layout.hold()) {
                taken();
                hold.write(&layout.hold()).unwrap();
                assert_eq!(Hold::read(&layout.hold()).unwrap(), hold);
            }
        }
        3 => {
            fs::write(layout.history(), bytes).unwrap();
            let read = history::read(&layout.history(), 10).unwrap();
            assert!(read.len() <= 10);
            if !read.is_empty() {
                taken();
            }
            let entry = history::Entry::new(Timestamp::UNIX_EPOCH, "fuzz");
            history::append(&layout.history(), &entry).unwrap();
            let last = history::read(&layout.history(), 1).unwrap();
            assert_eq!(last.last().map(|entry| entry.event.as_str()), Some("fuzz"));
        }
        _ => {
            let name = "0.2.0-0000000000000000";
            fs::create_dir_all(layout.release(name)).unwrap();
            fs::write(layout.releases().join(format!("{name}.json")), bytes).unwrap();
            for marker in release_dir::list(&layout) {
                taken();
                assert_eq!(marker.release.dir_name(), name);
            }
        }
    }
}

fn layout() -> Layout {
    let root = place::directory().join("updater");
    let layout = Layout {
        base: root.join("base"),
        state_dir: root.join("state"),
        runtime_dir: root.join("run"),
        unit_dir: root.join("units"),
        bin_dir: root.join("bin"),
    };
    for path in [layout.releases(), layout.state_dir.clone()] {
        if !path.is_dir() {
            fs::create_dir_all(path).unwrap();
        }
    }
    let _ = fs::remove_file(layout.history());
    layout
}

fn state(layout: &Layout, bytes: &[u8]) {
    fs::write(layout.state(), bytes).unwrap();
    let Ok(Some(state)) = store::read(&layout.state()) else { return };
    taken();
    store::write(&layout.state(), &state).unwrap();
    assert_eq!(store::read(&layout.state()).unwrap().as_ref(), Some(&state));
    let now = Moment { boot_id: "b".to_owned(), up_ms: u64::MAX - 1 };
    let failure = || Failure::new(FailureKind::Release, "why");
    for input in
        [Input::Done, Input::Failed(failure()), Input::Interrupted, Input::TimedOut("late".to_owned())]
    {
        let Ok((mut next, mut action)) = step(state.clone(), input, &now) else { continue };
        // Every act succeeds from here: that comes to rest.
        let mut steps = 0;
        while action != Action::Rest {
            steps += 1;
            assert!(steps < 100, "{next:?} does not come to rest");
            (next, action) = step(next, Input::Done, &now).unwrap();
        }
        store::write(&layout.state(), &next).unwrap();
        assert_eq!(store::read(&layout.state()).unwrap(), Some(next));
    }
}

/// What is remembered of the channel's plugins, and the markers of their trees; the first byte says which. Only what lies here
/// whole and is not revoked runs, and the memory stays bounded.
pub fn plugins(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    if kind % 2 == 1 {
        marker(bytes);
        return;
    }
    let top = place::empty("memory");
    fs::write(top.join("memory.json"), bytes).unwrap();
    let memory = MemoryFile::new(&top).load();
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let request = Request { version: None, settings_sha256: "x".to_owned() };
    for mut memory in memory.into_values() {
        let memory: &mut Memory = &mut memory;
        taken();
        let builds: Vec<Build> = memory.refused.iter().map(|one| one.build).chain(memory.good).collect();
        let staged: BTreeSet<Build> = builds.iter().step_by(2).copied().collect();
        let revoked: BTreeSet<Sha256Digest> = builds.iter().step_by(3).map(|build| build.sha256).collect();
        // A channel does not offer what it has revoked.
        let offered: Vec<Build> =
            builds.iter().copied().filter(|build| !revoked.contains(&build.sha256)).collect();
        for offers in [None, Some(&offered[..])] {
            let decision = memory.decide(&request, Known { offers, revoked: &revoked, staged: &staged });
            if let Some(run) = decision.run {
                assert!(staged.contains(&run), "what is not here is to run");
                assert!(!revoked.contains(&run.sha256), "what is revoked is to run");
            }
        }
        memory.started(now);
        memory.failed("why".to_owned(), None, now);
        if let Some(build) = builds.first() {
            memory.put_on_trial(*build);
            assert!(memory.passed(*build));
            memory.refuse(*build, "why".to_owned(), None, now);
            assert!(memory.refused.len() <= 8);
        }
    }
}

fn marker(bytes: &[u8]) {
    let trees = Trees::new(&place::directory().join("plugins"));
    trees.make_directory("inventory").unwrap();
    let own = trees.top().join("inventory");
    fs::write(own.join("0.2.0-0000000000000000.json"), bytes).unwrap();
    for build in trees.marked("inventory") {
        taken();
        assert!(trees.verify("inventory", &build).is_err(), "a tree that is not there is whole");
    }
}
