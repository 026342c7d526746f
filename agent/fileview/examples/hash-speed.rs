//! Prints what the file view costs here: a cache hit, a small file by each road, hashing in MB/s, alone and while every
//! processor is busy. As root; takes about ten seconds.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool stops at the first error")]

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use linnet_fileview::{Answer, Config, Done, FileId, FileView, Purpose, Request, Road, kernel_dev};

const SMALL_FILES: u32 = 2000;
const BIG_BYTES: usize = 64 << 20;

fn main() {
    let dir = PathBuf::from(format!("hash-speed.{}", std::process::id()));
    let dir = std::env::temp_dir().join(dir);
    fs::create_dir(&dir).unwrap();
    let small: Vec<PathBuf> = (0..SMALL_FILES).map(|number| small_file(&dir, number)).collect();
    let big = dir.join("big");
    fs::write(&big, vec![0x5a; BIG_BYTES]).unwrap();
    // Past the clock ticks in which a fresh file has to ripen.
    std::thread::sleep(Duration::from_millis(50));
    big_file(&big);
    hits(&small);
    let programs = [program(&dir, "one"), program(&dir, "two")];
    std::thread::sleep(Duration::from_millis(50));
    for busy in [false, true] {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            for _ in 0..if busy { processors } else { 0 } {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            println!("{}", if busy { "all processors busy:" } else { "machine idle:" });
            roads(&small, &programs);
            stop.store(true, Ordering::Relaxed);
        });
    }
    for (mut child, _) in programs {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    fs::remove_dir_all(&dir).unwrap();
}

fn small_file(dir: &Path, number: u32) -> PathBuf {
    let path = dir.join(number.to_string());
    fs::write(&path, format!("#!/bin/sh\necho {number:04000}\n")).unwrap();
    path
}

fn program(dir: &Path, name: &str) -> (Child, PathBuf) {
    let path = dir.join(name);
    fs::copy("/bin/sleep", &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (Command::new(&path).arg("1000").spawn().unwrap(), path)
}

fn view(cache_entries: usize) -> (FileView, Receiver<Done>) {
    let (sender, done) = channel();
    let config =
        Config { cache_entries, bytes_per_second: u64::MAX, burst_bytes: u64::MAX, ..Config::default() };
    (FileView::new(config, move |one| drop(sender.send(one))).unwrap(), done)
}

fn request(path: &Path) -> Request {
    let meta = fs::metadata(path).unwrap();
    let dev = kernel_dev(rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    let id = FileId {
        dev,
        inode: meta.ino(),
        ctime_sec: meta.ctime(),
        ctime_nsec: u32::try_from(meta.ctime_nsec()).unwrap(),
        size: meta.size(),
        fs_magic: 0,
    };
    Request {
        id,
        purpose: Purpose::Executable,
        pid: 0,
        start_ticks: 0,
        mnt_ns: 0,
        sb_path: Vec::new(),
        ns_path: Vec::new(),
        mtime: None,
        container: None,
    }
}

fn ask(view: &FileView, done: &Receiver<Done>, request: Request) -> Option<Road> {
    match view.look_up(request) {
        Answer::Hit(result) => result.ok().map(|facts| facts.road),
        Answer::Pending(_) => done.recv().unwrap().result.ok().map(|facts| facts.road),
        Answer::Refused(_) => None,
    }
}

fn by_own_root(path: &Path) -> Request {
    Request { pid: std::process::id(), ns_path: path.as_os_str().as_bytes().to_vec(), ..request(path) }
}

fn big_file(path: &Path) {
    let (view, done) = view(1);
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        ask(&view, &done, by_own_root(path)).unwrap();
        best = best.min(start.elapsed());
        ask(&view, &done, by_own_root(Path::new("/bin/true")));
    }
    let mb_per_second = BIG_BYTES as f64 / 1e6 / best.as_secs_f64();
    println!("hashing a file in the page cache: {mb_per_second:.0} MB/s");
}

fn hits(files: &[PathBuf]) {
    let (view, done) = view(8192);
    let requests: Vec<Request> = files.iter().map(|path| by_own_root(path)).collect();
    for request in &requests {
        ask(&view, &done, request.clone());
    }
    let rounds = 500;
    let start = Instant::now();
    let mut known = 0usize;
    for _ in 0..rounds {
        for request in &requests {
            known += usize::from(view.peek(&request.id, Purpose::Executable).is_some());
        }
    }
    let each = start.elapsed().as_nanos() as f64 / (f64::from(rounds) * requests.len() as f64);
    println!("cache hit (peek), {} files in turn: {each:.0} ns ({known} hits)", requests.len());
    let start = Instant::now();
    for _ in 0..1_000_000 {
        known +=
            usize::from(requests.first().is_some_and(|first| view.peek(&first.id, first.purpose).is_some()));
    }
    println!("cache hit (peek), one file: {:.0} ns ({known} hits)", start.elapsed().as_nanos() as f64 / 1e6);
    let start = Instant::now();
    for number in 0..1_000_000u32 {
        view.note_process(1 + number % 8, number, 1);
    }
    println!("note_process in 8 other namespaces: {:.0} ns", start.elapsed().as_nanos() as f64 / 1e6);
}

fn roads(small: &[PathBuf], programs: &[(Child, PathBuf)]) {
    let root = view(8192);
    latencies("proc_root, 4 kB", small.iter().map(|path| by_own_root(path)), &root);
    let host = view(8192);
    // The path in the file system is the path itself where the file system is mounted on /.
    let by_mount =
        |path: &PathBuf| Request { sb_path: path.as_os_str().as_bytes().to_vec(), ..request(path) };
    latencies("host_mount, 4 kB", small.iter().map(by_mount), &host);
    let exe = view(1);
    let by_exe = |(child, path): &(Child, PathBuf)| Request { pid: child.id(), ..request(path) };
    let alternating = programs.iter().cycle().take(small.len()).map(by_exe);
    latencies("proc_exe, 40 kB", alternating, &exe);
}

fn latencies(name: &str, requests: impl Iterator<Item = Request>, (view, done): &(FileView, Receiver<Done>)) {
    let requests: Vec<Request> = requests.collect();
    let mut took = Vec::with_capacity(requests.len());
    let mut by_road = 0;
    for request in requests {
        let start = Instant::now();
        by_road += usize::from(ask(view, done, request).is_some_and(|road| name.starts_with(road.as_str())));
        took.push(start.elapsed());
    }
    took.sort();
    let at = |permille: usize| took.get((took.len() - 1) * permille / 1000).copied().unwrap_or_default();
    println!(
        "  {name}: median {:?}, 99 % {:?}, longest {:?} ({by_road} of {} by this road)",
        at(500),
        at(990),
        at(1000),
        took.len()
    );
}
