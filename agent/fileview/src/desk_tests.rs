use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use super::*;
use crate::answer::Content;
use crate::found_file::look_at;

const SECOND: Duration = Duration::from_secs(1);

fn request(inode: u64, size: u64, purpose: Purpose) -> Request {
    Request {
        id: FileId { dev: 1, inode, ctime_sec: 7, ctime_nsec: 0, size, fs_magic: 0 },
        purpose,
        pid: u32::try_from(inode).unwrap(),
        start_ticks: 1,
        mnt_ns: 2,
        sb_path: b"/file".to_vec(),
        ns_path: b"/file".to_vec(),
        mtime: None,
        container: None,
    }
}

fn program(inode: u64) -> Request {
    request(inode, 100, Purpose::Executable)
}

fn desk(config: &Config) -> (Desk, Instant) {
    let now = Instant::now();
    (Desk::new(&config.clone().settled(), now), now)
}

fn ticket((answer, _): (Answer, bool)) -> Ticket {
    let Answer::Pending(ticket) = answer else { panic!("{answer:?}") };
    ticket
}

fn digest_of(content: Option<&[u8]>) -> Digest {
    let content = content
        .map(|bytes| Arc::new(Content { bytes: bytes.into(), true_len: bytes.len() as u64, cut: false }));
    Digest { sha256: [9; 32], content }
}

/// An open file of this size as a road would give it.
fn opened(arrival: &Arrival, now: Instant, desk: &Desk) -> Opened {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"x").unwrap();
    let mut seen = look_at(&file).unwrap();
    seen.size = arrival.request.id.size;
    let file = OpenFile { fd: File::into(file), seen, road: Road::ProcExe, touched: false };
    let key = (arrival.request.id, arrival.request.purpose);
    let rate_until = arrival.arrived + desk.rate_wait();
    Opened { ticket: arrival.ticket, key, file, ripe_at: now, rate_until, again: None }
}

/// Takes the next step, which has to be an opening, and opens.
fn open_next(desk: &mut Desk, now: Instant) -> Ticket {
    let step = desk.next(now, false);
    let Step::Open(arrival, _) = step else { panic!("{step:?}") };
    let opened = opened(&arrival, now, desk);
    desk.add_opened(opened);
    arrival.ticket
}

#[test]
fn finished_lookup_is_a_hit_for_the_next_request_of_either_purpose() {
    let (mut desk, now) = desk(&Config::default());
    let first = program(1);
    assert_eq!(desk.peek(&first.id, first.purpose), None);
    let booked = ticket(desk.book(first.clone(), now));
    let done =
        desk.finish(booked, (first.id, first.purpose), Ok((digest_of(None), Road::HostMount, false)), now);
    let facts = done.unwrap().result.unwrap();
    assert_eq!((facts.sha256, facts.road), ([9; 32], Road::HostMount));
    let hit = desk.peek(&first.id, Purpose::Executable).unwrap().unwrap();
    assert_eq!((hit.sha256, hit.road), ([9; 32], Road::Cache));
    assert_eq!(desk.peek(&first.id, Purpose::Script), None, "its content is not known");
    desk.set_contents_wanted(false);
    assert!(desk.peek(&first.id, Purpose::Script).is_some());
    let counters = desk.levels();
    assert_eq!(
        (counters.hits, counters.misses, counters.hashed_files, counters.hashed_bytes),
        (2, 1, 1, 100)
    );
    assert_eq!((counters.by_road(Road::Cache), counters.by_road(Road::HostMount)), (2, 1));
}

#[test]
fn script_whose_content_was_evicted_is_read_again() {
    let (mut desk, now) = desk(&Config { content_cache_bytes: 600, ..Config::default() });
    for inode in [1, 2] {
        let script = request(inode, 100, Purpose::Script);
        let booked = ticket(desk.book(script.clone(), now));
        let result = Ok((digest_of(Some(&[b'x'; 100])), Road::HostMount, false));
        assert!(desk.finish(booked, (script.id, script.purpose), result, now).is_some());
        assert!(desk.peek(&script.id, Purpose::Script).unwrap().unwrap().content.is_some());
    }
    assert_eq!(desk.peek(&request(1, 100, Purpose::Script).id, Purpose::Script), None);
    assert!(desk.peek(&request(1, 100, Purpose::Script).id, Purpose::Executable).is_some());
}

#[test]
fn touched_file_is_answered_but_not_remembered() {
    let (mut desk, now) = desk(&Config::default());
    let booked = ticket(desk.book(program(1), now));
    let key = (program(1).id, Purpose::Executable);
    let done = desk.finish(booked, key, Ok((digest_of(None), Road::ProcExe, true)), now).unwrap();
    assert!(done.result.unwrap().touched);
    assert_eq!(desk.peek(&key.0, key.1), None);
}

#[test]
fn same_request_shares_the_ticket_and_its_process_is_a_second_chance() {
    let (mut desk, now) = desk(&Config::default());
    let first = ticket(desk.book(program(1), now));
    let (answer, wake) = desk.book(Request { pid: 77, ..program(1) }, now);
    assert_eq!((answer, wake), (Answer::Pending(first), false));
    assert_ne!(ticket(desk.book(request(1, 100, Purpose::Script), now)), first);
    let Step::Open(arrival, joined) = desk.next(now, false) else { panic!() };
    assert_eq!((arrival.ticket, arrival.request.pid, joined.unwrap().pid), (first, 1, 77));
    assert_eq!(desk.levels().joined, 1);
}

#[test]
fn what_will_not_be_tried_is_refused_at_once() {
    let (mut desk, now) = desk(&Config { queue_len: 2, max_file_bytes: 1000, ..Config::default() });
    let answer = |desk: &mut Desk, request| desk.book(request, now).0;
    assert_eq!(answer(&mut desk, request(1, 1001, Purpose::Executable)), Answer::Refused(Missing::TooLarge));
    ticket(desk.book(request(1, 1000, Purpose::Executable), now));
    ticket(desk.book(program(2), now));
    assert_eq!(answer(&mut desk, program(3)), Answer::Refused(Missing::QueueFull));
    desk.hashing = false;
    assert_eq!(answer(&mut desk, program(4)), Answer::Refused(Missing::Disabled));
    let counters = desk.levels();
    assert_eq!(counters.by_missing(Missing::TooLarge), 1);
    assert_eq!(counters.by_missing(Missing::QueueFull), 1);
    assert_eq!((counters.misses, counters.waiting), (2, 2));
}

#[test]
fn roots_are_kept_first_then_files_opened_then_hashed() {
    let (mut desk, now) = desk(&Config::default());
    let tickets: Vec<Ticket> = (1..=2).map(|inode| ticket(desk.book(program(inode), now))).collect();
    let sighting = Sighting { mnt_ns: 2, pid: 3, start_ticks: 4 };
    assert!(desk.ask_to_keep(sighting));
    assert!(desk.has_urgent());
    assert!(matches!(desk.next(now, true), Step::KeepRoot(kept) if kept == sighting));
    assert_eq!(open_next(&mut desk, now), tickets[0]);
    assert_eq!(open_next(&mut desk, now), tickets[1]);
    assert!(!desk.has_urgent());
    assert!(matches!(desk.next(now, true), Step::Sleep(None)));
    assert!(matches!(desk.next(now, false), Step::Hash(opened) if opened.ticket == tickets[0]));
    assert!(matches!(desk.next(now, false), Step::Hash(opened) if opened.ticket == tickets[1]));
    assert!(matches!(desk.next(now, false), Step::Sleep(None)));
    desk.stopping = true;
    assert!(matches!(desk.next(now, false), Step::Stop));
}

#[test]
fn open_files_are_bounded_and_the_rest_wait_unopened() {
    let (mut desk, now) = desk(&Config { max_open_files: 2, ..Config::default() });
    for inode in 1..=3 {
        ticket(desk.book(program(inode), now));
    }
    open_next(&mut desk, now);
    open_next(&mut desk, now);
    assert!(matches!(desk.next(now, true), Step::Sleep(None)));
    assert!(matches!(desk.next(now, false), Step::Hash(_)));
    open_next(&mut desk, now);
    assert_eq!(desk.levels().open_files, 2);
}

#[test]
fn roots_to_keep_are_bounded() {
    let (mut desk, _) = desk(&Config::default());
    let asked =
        (0..1000).filter(|&pid| desk.ask_to_keep(Sighting { mnt_ns: 2, pid, start_ticks: 4 })).count();
    assert_eq!(asked, MAX_KEEP);
}

#[test]
fn byte_rate_delays_then_refuses_and_small_files_overtake() {
    let config =
        Config { bytes_per_second: 100, burst_bytes: 1000, max_file_bytes: 1000, ..Config::default() };
    let (mut desk, now) = desk(&config);
    for (inode, size) in [(1, 900), (2, 200), (3, 1000), (4, 50)] {
        ticket(desk.book(request(inode, size, Purpose::Executable), now));
        open_next(&mut desk, now);
    }
    let hashed = |step: Step| if let Step::Hash(opened) = step { Some(opened.key.0.inode) } else { None };
    assert_eq!(hashed(desk.next(now, false)), Some(1));
    // The third cannot come to its turn within two seconds.
    assert!(matches!(
        desk.next(now, false),
        Step::Finish(_, (FileId { inode: 3, .. }, _), Missing::RateLimited)
    ));
    assert_eq!(hashed(desk.next(now, false)), Some(4));
    let Step::Sleep(Some(wait)) = desk.next(now, false) else { panic!() };
    assert_eq!(wait, Duration::from_millis(1500));
}

#[test]
fn fresh_file_ripens_before_it_is_read_and_holds_up_nobody() {
    let (mut desk, now) = desk(&Config::default());
    ticket(desk.book(program(1), now));
    let Step::Open(arrival, _) = desk.next(now, false) else { panic!() };
    let fresh = Opened { ripe_at: now + SECOND, ..opened(&arrival, now, &desk) };
    desk.add_opened(fresh);
    ticket(desk.book(program(2), now));
    open_next(&mut desk, now);
    assert!(matches!(desk.next(now, false), Step::Hash(opened) if opened.key.0.inode == 2));
    assert!(matches!(desk.next(now, false), Step::Sleep(Some(wait)) if wait == SECOND));
    assert!(matches!(desk.next(now + SECOND, false), Step::Hash(_)));
}

#[test]
fn overdue_request_is_answered_once_wherever_it_is() {
    let (mut desk, now) = desk(&Config::default());
    let in_hand = ticket(desk.book(program(1), now));
    let Step::Open(in_hand_arrival, _) = desk.next(now, false) else { panic!() };
    let is_open = ticket(desk.book(program(2), now));
    open_next(&mut desk, now);
    let waiting = ticket(desk.book(program(3), now));
    let young = ticket(desk.book(program(4), now + SECOND));
    assert_eq!(desk.overdue(now + 4 * SECOND), []);
    let mut ended: Vec<Ticket> = desk.overdue(now + 5 * SECOND).iter().map(|done| done.ticket).collect();
    ended.sort();
    assert_eq!(ended, [in_hand, is_open, waiting]);
    assert_eq!((desk.levels().open_files, desk.levels().waiting), (0, 1));
    // The thread comes back late: the hash is remembered, nobody is told twice.
    let key = (in_hand_arrival.request.id, in_hand_arrival.request.purpose);
    assert_eq!(desk.peek(&key.0, key.1), Some(Err(Missing::Timeout)));
    assert_eq!(desk.finish(in_hand, key, Ok((digest_of(None), Road::ProcExe, false)), now), None);
    assert_eq!(desk.peek(&key.0, key.1).unwrap().unwrap().sha256, [9; 32]);
    assert_eq!(open_next(&mut desk, now), young);
}

#[test]
fn every_answer_is_counted_once() {
    let (mut desk, now) = desk(&Config::default());
    for inode in 1..=4 {
        let booked = ticket(desk.book(program(inode), now));
        let key = (program(inode).id, Purpose::Executable);
        let result =
            if inode % 2 == 0 { Err(Missing::Gone) } else { Ok((digest_of(None), Road::ProcExe, false)) };
        assert!(desk.finish(booked, key, result, now).is_some());
    }
    let counters = desk.levels();
    assert_eq!(counters.roads.iter().sum::<u64>() + counters.missing.iter().sum::<u64>(), counters.misses);
    assert_eq!(desk.peek(&program(2).id, Purpose::Executable), None, "gone is not remembered");
}

#[test]
fn memory_given_back_costs_contents_first() {
    let (mut desk, now) = desk(&Config::default());
    let script = request(1, 100, Purpose::Script);
    let booked = ticket(desk.book(script.clone(), now));
    let result = Ok((digest_of(Some(b"#!/bin/sh")), Road::HostMount, false));
    desk.finish(booked, (script.id, script.purpose), result, now);
    assert!(desk.levels().content_bytes > 0);
    desk.release_memory();
    assert_eq!(desk.levels().content_bytes, 0);
    assert!(desk.peek(&script.id, Purpose::Executable).is_some());
}

#[test]
fn what_is_shed_says_so_and_what_is_known_is_still_told() {
    let (mut desk, now) = desk(&Config::default());
    let script = request(1, 100, Purpose::Script);
    let booked = ticket(desk.book(script.clone(), now));
    let result = Ok((digest_of(Some(b"#!/bin/sh")), Road::HostMount, false));
    desk.finish(booked, (script.id, script.purpose), result, now);

    desk.set_shed(Shed { contents: true, hashes: false });
    let known = desk.peek(&script.id, Purpose::Script).unwrap().unwrap();
    assert_eq!((known.sha256, known.content, known.content_missing), ([9; 32], None, Some(Missing::Shed)));
    let executable = desk.peek(&script.id, Purpose::Executable).unwrap().unwrap();
    assert_eq!(executable.content_missing, None);
    assert_eq!(desk.content_bytes(Purpose::Script), None);
    let booked = ticket(desk.book(program(2), now));
    let key = (program(2).id, Purpose::Executable);

    desk.set_shed(Shed { contents: true, hashes: true });
    assert_eq!(desk.book(program(3), now), (Answer::Refused(Missing::Shed), false));
    assert!(desk.peek(&script.id, Purpose::Executable).is_some());
    let done = desk.finish(booked, key, Ok((digest_of(None), Road::ProcExe, false)), now).unwrap();
    assert!(done.result.is_ok(), "what was under way is finished");
    assert_eq!(desk.levels().by_missing(Missing::Shed), 1);

    // Switched off by the settings, it is not the pressure's doing.
    desk.set_contents_wanted(false);
    let off = desk.peek(&script.id, Purpose::Script).unwrap().unwrap();
    assert_eq!(off.content_missing, Some(Missing::Disabled));

    desk.set_contents_wanted(true);
    desk.set_shed(Shed::default());
    assert!(desk.peek(&script.id, Purpose::Script).unwrap().unwrap().content.is_some());
    ticket(desk.book(program(3), now));
}
