use super::*;
use proptest::prelude::*;

fn key(pid: u32) -> Key {
    Key { pid, start_ticks: u64::from(pid) }
}

fn image(name: &str) -> Rc<Image> {
    Rc::new(Image { name: name.into(), path: format!("/bin/{name}").into(), sound: false })
}

fn host() -> Rc<Cgroup> {
    Rc::new(Cgroup { path: "/".into(), container: None })
}

fn forked(table: &mut Table, child: u32, parent: u32) {
    table.fork(key(child), key(parent), key(parent), host(), || image("?"));
}

#[test]
fn an_exec_has_its_parent_first_and_at_most_eight_ancestors() {
    let mut table = Table::new(1 << 20);
    table.seed(key(1), key(0), image("init"), host(), false);
    for pid in 2..20 {
        forked(&mut table, pid, pid - 1);
        table.exec(key(pid), key(pid - 1), image(&format!("p{pid}")), host()).unwrap();
    }
    let names: Vec<&str> = table.get(key(19)).unwrap().ancestors.iter().map(|one| &*one.image.name).collect();
    assert_eq!(names, ["p18", "p17", "p16", "p15", "p14", "p13", "p12", "p11"]);
}

#[test]
fn a_fork_runs_what_its_maker_runs_and_keeps_its_count_of_images_at_zero() {
    let mut table = Table::new(1 << 20);
    table.exec(key(5), key(1), image("sh"), host()).unwrap();
    forked(&mut table, 6, 5);
    assert_eq!(&*table.get(key(6)).unwrap().image.name, "sh");
    assert_eq!(
        table.exit(key(6), 1),
        End::Known { image: image("sh"), cgroup: host(), origin: Origin::Forked, told: Told::Nothing }
    );
}

#[test]
fn ancestors_outlive_their_entries() {
    let mut table = Table::new(1 << 20);
    table.exec(key(5), key(1), image("sh"), host()).unwrap();
    forked(&mut table, 6, 5);
    table.exit(key(5), 1);
    table.drop_ended_before(10);
    assert!(table.get(key(5)).is_none());
    assert_eq!(&*table.get(key(6)).unwrap().ancestors.first().unwrap().image.name, "sh");
}

#[test]
fn a_pid_used_again_is_another_process() {
    let mut table = Table::new(1 << 20);
    let first = Key { pid: 7, start_ticks: 1 };
    let second = Key { pid: 7, start_ticks: 2 };
    table.exec(first, key(1), image("old"), host()).unwrap();
    table.exec(second, key(1), image("new"), host()).unwrap();
    table.exit(first, 1);
    assert_eq!(&*table.get(second).unwrap().image.name, "new");
    assert_eq!(
        table.exit(second, 2),
        End::Known { image: image("new"), cgroup: host(), origin: Origin::Executed, told: Told::Nothing }
    );
}

#[test]
fn the_end_of_a_process_that_was_there_before_is_known_as_such() {
    let mut table = Table::new(1 << 20);
    table.seed(key(5), key(1), image("old"), host(), false);
    assert_eq!(
        table.exit(key(5), 1),
        End::Known { image: image("old"), cgroup: host(), origin: Origin::Found, told: Told::Something }
    );
}

#[test]
fn the_second_end_of_one_process_is_told_apart() {
    let mut table = Table::new(1 << 20);
    table.exec(key(7), key(1), image("x"), host()).unwrap();
    assert!(matches!(table.exit(key(7), 1), End::Known { .. }));
    assert_eq!(table.exit(key(7), 1), End::Twice);
    assert_eq!(table.exit(key(8), 1), End::Unknown);
}

#[test]
fn a_second_exec_changes_the_image_of_children_made_later_only() {
    let mut table = Table::new(1 << 20);
    table.exec(key(5), key(1), image("sh"), host()).unwrap();
    forked(&mut table, 6, 5);
    table.exec(key(5), key(1), image("vim"), host()).unwrap();
    forked(&mut table, 7, 5);
    assert_eq!(&*table.get(key(6)).unwrap().ancestors.first().unwrap().image.name, "sh");
    assert_eq!(&*table.get(key(7)).unwrap().ancestors.first().unwrap().image.name, "vim");
    assert_eq!(table.get(key(5)).unwrap().exec_count, 2);
}

#[test]
fn what_was_seen_is_not_overwritten_by_the_scan() {
    let mut table = Table::new(1 << 20);
    table.exec(key(5), key(1), image("new"), host()).unwrap();
    table.seed(key(5), key(1), image("old"), host(), false);
    assert_eq!(&*table.get(key(5)).unwrap().image.name, "new");
}

#[test]
fn lost_ends_are_swept_and_the_living_stay() {
    let mut table = Table::new(1 << 20);
    for pid in 1..=10 {
        table.exec(key(pid), key(1), image("x"), host()).unwrap();
    }
    table.sweep(100, |key| key.pid % 2 == 0);
    assert_eq!(table.counts().entries, 10, "the end may still be in the ring");
    table.sweep(100, |key| key.pid % 2 == 0);
    assert_eq!(table.counts().entries, 5);
    assert_eq!(table.counts().swept, 5);
}

#[test]
fn an_end_that_nobody_tells_is_no_lost_one() {
    let mut table = Table::new(1 << 20);
    table.seed(key(5), key(1), image("zombie"), host(), true);
    table.seed(key(6), key(1), image("living"), host(), false);
    for _ in 0..2 {
        table.sweep(100, |_| false);
    }
    assert_eq!((table.counts().entries, table.counts().swept), (0, 1));
}

#[test]
fn the_bound_holds_and_the_ended_go_before_the_living() {
    let mut table = Table::new(40_000);
    for pid in 1..=20 {
        table.exec(key(pid), key(1), image("x"), host()).unwrap();
    }
    let before = table.counts();
    assert_eq!(before.evicted, 0);
    for pid in 1000..2000 {
        forked(&mut table, pid, 1);
        table.exit(key(pid), 1);
        assert!(table.counts().bytes <= 40_000);
    }
    assert_eq!(table.counts().evicted, 0);
    assert!((1..=20).all(|pid| table.get(key(pid)).is_some()));
    for pid in 3000..4000 {
        forked(&mut table, pid, 1);
    }
    assert!(table.counts().bytes <= 40_000 + 1000);
    assert!(table.counts().evicted > 0);
}

proptest! {
    #[test]
    fn any_sequence_keeps_the_bound_and_the_accounting(steps in proptest::collection::vec((0u8..5, 1u32..40, 1u32..40), 0..400)) {
        let mut table = Table::new(8_000);
        let mut now = 0;
        for (what, one, other) in steps {
            now += 1;
            match what {
                0 => forked(&mut table, one, other),
                1 => { table.exec(key(one), key(other), image("some"), host()); }
                2 => { table.exit(key(one), now); }
                3 => table.sweep(8, |key| key.pid % 3 == 0),
                _ => table.seed(key(one), key(other), image("seed"), host(), false),
            }
            let counted: usize = table.processes.values().map(Process::bytes).sum();
            prop_assert_eq!(counted, table.counts().bytes);
            prop_assert!(table.counts().bytes <= 8_000 + 2_000);
            prop_assert!(table.processes.values().all(|process| process.ancestors.len() <= MAX_ANCESTORS));
        }
    }
}

#[test]
fn the_room_of_a_storm_is_given_back_in_time_and_who_lives_stays() {
    let mut table = Table::new(64 << 20);
    table.seed(key(1), key(0), image("init"), host(), false);
    for pid in 2..20_000 {
        forked(&mut table, pid, 1);
        table.exit(key(pid), 1);
    }
    table.drop_ended_before(u64::MAX);
    let full = table.processes.capacity();
    table.give_back();
    assert_eq!(table.processes.capacity(), full, "the next storm may come");
    for _ in 0..100 {
        table.give_back();
    }
    assert!(table.processes.capacity() < full / 4, "{} of {full}", table.processes.capacity());
    assert!(table.ended.capacity() < full / 4 && table.order.capacity() < full / 4);
    assert!(table.get(key(1)).is_some());
    forked(&mut table, 30_000, 1);
    assert!(table.get(key(30_000)).is_some());
}
