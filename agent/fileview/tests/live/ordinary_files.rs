//! Files of this machine, without namespaces: the roads by process and by the agent's own mounts, and what hostile
//! paths and swapped files come to.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use linnet_fileview::{Answer, Config, Missing, Purpose, Request, Road};

use crate::asker::{
    Asker, PATIENCE, bytes, cannot_run, hex, is_root, mnt_ns, mtime, request, sha256sum, start_ticks,
};
use crate::container::{HostMount, Process, sleeper, write_program};

/// A request that leads to a file by the agent's own mounts alone.
fn by_host_mount(mount: &HostMount, name: &str, purpose: Purpose) -> Request {
    let meta = fs::metadata(mount.path(name)).unwrap();
    Request { sb_path: format!("/{name}").into_bytes(), ..request(&meta, purpose) }
}

fn settle() {
    std::thread::sleep(Duration::from_millis(30));
}

#[test]
fn running_program_is_hashed_through_its_process_and_then_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program");
    write_program(&path, &sleeper());
    let process = Process::start(&path);
    let asker = Asker::default();
    let request =
        Request { pid: process.pid(), ..request(&fs::metadata(&path).unwrap(), Purpose::Executable) };
    assert_eq!(asker.view.peek(&request.id, Purpose::Executable), None);
    let facts = asker.ask(&request).unwrap();
    assert_eq!((facts.road, facts.touched, facts.content.is_none()), (Road::ProcExe, false, true));
    assert_eq!(hex(&facts.sha256), sha256sum(&sleeper()));
    process.end();
    fs::remove_file(&path).unwrap();
    let again = asker.view.peek(&request.id, Purpose::Executable).unwrap().unwrap();
    assert_eq!((again.sha256, again.road), (facts.sha256, Road::Cache));
    let flagged = linnet_fileview::FileId { ctime_nsec: request.id.ctime_nsec | 1 << 31, ..request.id };
    assert!(
        asker.view.peek(&flagged, Purpose::Executable).is_some(),
        "the kernel's flag is no part of ctime"
    );
}

#[test]
fn deleted_program_is_hashed_while_it_runs_if_ctime_is_what_the_kernel_saw() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program");
    write_program(&path, &sleeper());
    let process = Process::start(&path);
    fs::remove_file(&path).unwrap();
    let exe = fs::metadata(format!("/proc/{}/exe", process.pid())).unwrap();
    let request = Request { pid: process.pid(), ..request(&exe, Purpose::Executable) };
    let facts = Asker::default().ask(&request).unwrap();
    assert_eq!((hex(&facts.sha256), facts.road), (sha256sum(&sleeper()), Road::ProcExe));
}

#[test]
fn program_that_deletes_itself_after_exec_is_still_hashed_and_marked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program");
    write_program(&path, &sleeper());
    let process = Process::start(&path);
    let meta = fs::metadata(&path).unwrap();
    settle();
    fs::remove_file(&path).unwrap();
    let seen = Request { pid: process.pid(), ..request(&meta, Purpose::Executable) };
    let asker = Asker::default();
    assert_eq!(asker.ask(&seen), Err(Missing::Changed), "without mtime ctime decides");
    let seen = Request { mtime: mtime(&meta), start_ticks: start_ticks(process.pid()), ..seen };
    let facts = asker.ask(&seen).unwrap();
    assert_eq!((hex(&facts.sha256), facts.touched), (sha256sum(&sleeper()), true));
    assert_eq!(asker.view.peek(&seen.id, Purpose::Executable), None, "not remembered");
    let stranger = Request { start_ticks: seen.start_ticks + 1, ..seen };
    assert_eq!(asker.ask(&stranger), Err(Missing::Changed), "another process with this pid proves nothing");
}

#[test]
fn program_of_an_ended_process_is_found_through_the_hosts_mount() {
    if cannot_run("program_of_an_ended_process_is_found_through_the_hosts_mount", "root", is_root()) {
        return;
    }
    let asker = Asker::default();
    // The table of mounts is read once before the mount is there, and again because of it.
    for round in 0..2 {
        let mount = HostMount::tmpfs();
        fs::create_dir(mount.path("bin")).unwrap();
        write_program(&mount.path("bin/program"), &sleeper());
        let process = Process::start(&mount.path("bin/program"));
        let request =
            Request { pid: process.pid(), ..by_host_mount(&mount, "bin/program", Purpose::Executable) };
        process.end();
        let facts = asker.ask(&request).unwrap();
        assert_eq!((hex(&facts.sha256), facts.road), (sha256sum(&sleeper()), Road::HostMount), "{round}");
    }
}

#[test]
fn file_on_a_mount_of_a_part_of_its_file_system_is_found() {
    if cannot_run("file_on_a_mount_of_a_part_of_its_file_system_is_found", "root", is_root()) {
        return;
    }
    let mount = HostMount::tmpfs();
    fs::create_dir_all(mount.path("a b/c")).unwrap();
    fs::write(mount.path("a b/c/file"), b"content").unwrap();
    let bind = HostMount::tmpfs();
    fs::create_dir(bind.path("t\tab")).unwrap();
    fs::write(bind.path("one"), b"").unwrap();
    let run = |args: &[&std::ffi::OsStr]| {
        assert!(std::process::Command::new("mount").arg("--bind").args(args).status().unwrap().success());
    };
    run(&[mount.path("a b").as_os_str(), bind.path("t\tab").as_os_str()]);
    run(&[mount.path("a b/c/file").as_os_str(), bind.path("one").as_os_str()]);
    let inside = by_host_mount(&mount, "a b/c/file", Purpose::Executable);
    // Only the two bind mounts are left to find it by.
    assert!(std::process::Command::new("umount").arg(mount.dir.path()).status().unwrap().success());
    assert_eq!(Asker::default().ask(&inside).unwrap().road, Road::HostMount);
    assert!(std::process::Command::new("umount").arg(bind.path("t\tab")).status().unwrap().success());
    assert_eq!(
        Asker::default().ask(&inside).unwrap().road,
        Road::HostMount,
        "the file is a mount point itself"
    );
    assert!(std::process::Command::new("umount").arg(bind.path("one")).status().unwrap().success());
    assert_eq!(Asker::default().ask(&inside), Err(Missing::Gone));
}

#[test]
fn replaced_file_is_not_taken_for_the_one_that_was_seen() {
    if cannot_run("replaced_file_is_not_taken_for_the_one_that_was_seen", "root", is_root()) {
        return;
    }
    let mount = HostMount::tmpfs();
    fs::write(mount.path("file"), b"evil").unwrap();
    let seen = by_host_mount(&mount, "file", Purpose::Executable);
    fs::write(mount.path("other"), b"good").unwrap();
    fs::rename(mount.path("other"), mount.path("file")).unwrap();
    assert_eq!(Asker::default().ask(&seen), Err(Missing::Changed));
    let seen = by_host_mount(&mount, "file", Purpose::Executable);
    settle();
    File::options().write(true).open(mount.path("file")).unwrap().write_all_at(b"bad!", 0).unwrap();
    assert_eq!(Asker::default().ask(&seen), Err(Missing::Changed), "same size, same inode, rewritten");
}

#[test]
fn file_rewritten_all_the_time_is_hashed_whole_or_not_at_all() {
    if cannot_run("file_rewritten_all_the_time_is_hashed_whole_or_not_at_all", "root", is_root()) {
        return;
    }
    let mount = HostMount::tmpfs();
    let contents = [vec![b'a'; 500_000], vec![b'b'; 500_000]];
    let valid: Vec<String> = contents.iter().map(|content| sha256sum(content)).collect();
    fs::write(mount.path("file"), &contents[0]).unwrap();
    let asker = Asker::default();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (mut whole, mut changed) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = File::options().write(true).open(mount.path("file")).unwrap();
            for content in contents.iter().cycle() {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                file.write_all_at(content, 0).unwrap();
                std::thread::sleep(Duration::from_millis(80));
            }
        });
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) {
            match asker.ask(&by_host_mount(&mount, "file", Purpose::Executable)) {
                Ok(facts) => {
                    assert!(valid.contains(&hex(&facts.sha256)), "a mixture was hashed");
                    whole += 1;
                }
                Err(Missing::Changed) => changed += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(whole > 0, "whole {whole}, changed {changed}");
}

#[test]
fn fifo_device_symlink_or_directory_in_its_place_is_neither_opened_nor_waited_for() {
    let test = "fifo_device_symlink_or_directory_in_its_place_is_neither_opened_nor_waited_for";
    if cannot_run(test, "root", is_root()) {
        return;
    }
    let mount = HostMount::tmpfs();
    let asker = Asker::default();
    for swap in ["mkfifo", "mknod", "ln", "mkdir"] {
        let path = mount.path("file");
        fs::write(&path, swap).unwrap();
        let seen = by_host_mount(&mount, "file", Purpose::Executable);
        fs::remove_file(&path).unwrap();
        let mut command = std::process::Command::new(swap);
        match swap {
            "mknod" => command.arg(&path).args(["c", "1", "5"]),
            "ln" => command.args(["-s", "/etc/passwd"]).arg(&path),
            _ => command.arg(&path),
        };
        assert!(command.status().unwrap().success());
        let start = Instant::now();
        assert_eq!(asker.ask(&seen), Err(Missing::NotRegular), "{swap}");
        assert!(start.elapsed() < Duration::from_secs(1), "{swap}");
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
}

#[test]
fn path_through_a_symlink_or_another_mount_leads_nowhere_on_the_hosts_mounts() {
    let test = "path_through_a_symlink_or_another_mount_leads_nowhere_on_the_hosts_mounts";
    if cannot_run(test, "root", is_root()) {
        return;
    }
    let mount = HostMount::tmpfs();
    fs::create_dir(mount.path("real")).unwrap();
    fs::write(mount.path("real/file"), b"x").unwrap();
    std::os::unix::fs::symlink("real", mount.path("link")).unwrap();
    let asker = Asker::default();
    let real = by_host_mount(&mount, "real/file", Purpose::Executable);
    let by = |path: &[u8]| Request { sb_path: path.to_vec(), ..real.clone() };
    assert_eq!(asker.ask(&by(b"/link/file")), Err(Missing::Gone));
    for hostile in
        [&b"/real/../real/file"[..], b"/../../../../etc/passwd", b"real/file", b"/real//file", b"/"]
    {
        assert_eq!(asker.ask(&by(hostile)), Err(Missing::Gone), "{hostile:?}");
    }
    let long = [b"/x".repeat(3000), b"/file".to_vec()].concat();
    assert_eq!(asker.ask(&by(&long)).unwrap_err().errno(), Some(36), "ENAMETOOLONG is said");
    std::thread::sleep(Duration::from_millis(1100));
    assert!(asker.ask(&real).is_ok());
}

#[test]
fn ten_gigabyte_file_is_refused_unopened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big");
    File::create(&path).unwrap().set_len(10 << 30).unwrap();
    let asker = Asker::default();
    let request = request(&fs::metadata(&path).unwrap(), Purpose::Executable);
    assert_eq!(asker.view.look_up(request), Answer::Refused(Missing::TooLarge));
}

#[test]
fn script_gives_its_content_and_is_served_from_memory() {
    if cannot_run("script_gives_its_content_and_is_served_from_memory", "root", is_root()) {
        return;
    }
    let mount = HostMount::tmpfs();
    let long = [b"#!/bin/sh\n".to_vec(), vec![b'#'; 100_000]].concat();
    fs::write(mount.path("script"), &long).unwrap();
    let asker = Asker::default();
    let request = by_host_mount(&mount, "script", Purpose::Script);
    for road in [Road::HostMount, Road::Cache] {
        let facts = asker.ask(&request).unwrap();
        let content = facts.content.unwrap();
        assert_eq!((facts.road, hex(&facts.sha256)), (road, sha256sum(&long)));
        assert_eq!((&*content.bytes, content.true_len, content.cut), (&long[..65536], 100_010, true));
    }
    asker.view.release_memory();
    assert_eq!(asker.ask(&request).unwrap().road, Road::HostMount);
    asker.view.release_memory();
    asker.view.set_script_contents(false);
    let facts = asker.ask(&request).unwrap();
    assert_eq!((facts.road, facts.content), (Road::Cache, None));
}

#[test]
fn byte_rate_is_kept_and_small_files_still_pass() {
    if cannot_run("byte_rate_is_kept_and_small_files_still_pass", "root", is_root()) {
        return;
    }
    let mount = HostMount::tmpfs();
    let config = Config {
        bytes_per_second: 1_000_000,
        burst_bytes: 4_000_000,
        max_file_bytes: 4_000_000,
        rate_wait: Duration::from_millis(300),
        ..Config::default()
    };
    let asker = Asker::new(config);
    for (name, len) in [("first", 4_000_000), ("second", 3_900_000), ("small", 10_000)] {
        fs::write(mount.path(name), vec![0; len]).unwrap();
    }
    settle();
    assert!(asker.ask(&by_host_mount(&mount, "first", Purpose::Executable)).is_ok());
    assert_eq!(asker.ask(&by_host_mount(&mount, "second", Purpose::Executable)), Err(Missing::RateLimited));
    assert!(asker.ask(&by_host_mount(&mount, "small", Purpose::Executable)).is_ok());
}

#[test]
fn switched_off_view_answers_what_it_knows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program");
    write_program(&path, &sleeper());
    let process = Process::start(&path);
    let asker = Asker::default();
    let known = Request { pid: process.pid(), ..request(&fs::metadata(&path).unwrap(), Purpose::Executable) };
    asker.ask(&known).unwrap();
    asker.view.set_hashing(false);
    assert!(asker.ask(&known).is_ok());
    let own = fs::metadata(std::env::current_exe().unwrap()).unwrap();
    let unknown = Request { pid: std::process::id(), ..request(&own, Purpose::Executable) };
    assert_eq!(asker.ask(&unknown), Err(Missing::Disabled));
    asker.view.set_hashing(true);
    assert_eq!(asker.ask(&unknown).unwrap().road, Road::ProcExe);
}

#[test]
fn thousand_files_at_once_are_answered_once_each() {
    let dir = tempfile::tempdir().unwrap();
    let asker = Asker::new(Config { threads: 2, ..Config::default() });
    let mut tickets = std::collections::HashMap::new();
    for number in 0..1000 {
        let path = dir.path().join(number.to_string());
        fs::write(&path, number.to_string()).unwrap();
        let meta = fs::metadata(&path).unwrap();
        // The agent's own root is the way in: it is a process of its own namespace.
        let request = Request {
            pid: std::process::id(),
            mnt_ns: mnt_ns(std::process::id()),
            ns_path: bytes(&path),
            ..request(&meta, Purpose::Script)
        };
        let Answer::Pending(ticket) = asker.view.look_up(request.clone()) else { panic!() };
        // Asked again: the same ticket, or done by now.
        if let Answer::Pending(same) = asker.view.look_up(request) {
            assert_eq!(same, ticket);
        }
        tickets.insert(ticket, number.to_string());
    }
    while !tickets.is_empty() {
        let done = asker.done.recv_timeout(PATIENCE).unwrap();
        let expected = tickets.remove(&done.ticket).expect("answered twice");
        let facts = done.result.unwrap();
        assert_eq!(&*facts.content.unwrap().bytes, expected.as_bytes());
    }
    let counters = asker.view.counters();
    assert_eq!((counters.waiting, counters.open_files, counters.hashed_files), (0, 0, 1000));
    assert_eq!(counters.roads.iter().sum::<u64>(), counters.misses + counters.hits);
}
