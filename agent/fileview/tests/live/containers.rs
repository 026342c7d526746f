//! Files that only a container sees: mount namespaces with a tmpfs or an overlay as root, alive and dead. Needs root.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use linnet_fileview::{Answer, Config, FileId, Missing, Purpose, Request, Road};

use crate::asker::{
    Asker, bytes, cannot_run, file_id, fs_magic, hex, is_root, mnt_ns, mtime, request, sha256sum, start_ticks,
};
use crate::container::{Container, HostMount, OVERLAY, Process, TMPFS, sleeper, write_program};

const SCRIPT: &[u8] = b"#!/app\necho only in the container\n";

#[test]
fn program_and_script_of_a_living_container_are_seen() {
    if cannot_run("program_and_script_of_a_living_container_are_seen", "root", is_root()) {
        return;
    }
    for root in [TMPFS, OVERLAY] {
        let container = Container::start(root);
        let asker = Asker::default();
        let facts = asker.ask(&container.request("/app", Purpose::Executable)).unwrap();
        assert_eq!((hex(&facts.sha256), facts.road), (sha256sum(&sleeper()), Road::ProcExe), "{root}");
        let facts = asker.ask(&container.request("/app.sh", Purpose::Script)).unwrap();
        assert_eq!((hex(&facts.sha256), facts.road), (sha256sum(SCRIPT), Road::ProcRoot), "{root}");
        assert_eq!(&*facts.content.unwrap().bytes, SCRIPT);
    }
}

#[test]
fn file_is_found_through_a_sibling_when_its_own_process_has_ended() {
    if cannot_run("file_is_found_through_a_sibling_when_its_own_process_has_ended", "root", is_root()) {
        return;
    }
    for root in [TMPFS, OVERLAY] {
        let container = Container::start(root);
        let asker = Asker::new(Config { kept_roots: 0, ..Config::default() });
        container.note_to(&asker.view);
        for (path, purpose) in [("/app", Purpose::Executable), ("/app.sh", Purpose::Script)] {
            // As if a short-lived process of the container had run it: its pid is that of an ended process.
            let ended = Process::start(std::path::Path::new("/bin/true"));
            let seen = Request { pid: ended.pid(), start_ticks: 1, ..container.request(path, purpose) };
            ended.end();
            assert_eq!(asker.ask(&seen).unwrap().road, Road::Sibling, "{root}");
        }
    }
}

#[test]
fn file_of_a_container_whose_last_process_has_ended_is_found_through_its_kept_root() {
    let test = "file_of_a_container_whose_last_process_has_ended_is_found_through_its_kept_root";
    if cannot_run(test, "root", is_root()) {
        return;
    }
    for root in [TMPFS, OVERLAY] {
        let container = Container::start(root);
        let asker = Asker::default();
        let (app, script) =
            (container.request("/app", Purpose::Executable), container.request("/app.sh", Purpose::Script));
        container.note_to(&asker.view);
        asker.wait_until("root is kept", |view| view.counters().kept_roots == 1);
        container.process.end();
        assert_eq!(asker.ask(&app).unwrap().road, Road::KeptRoot, "{root}");
        let facts = asker.ask(&script).unwrap();
        assert_eq!((facts.road, hex(&facts.sha256)), (Road::KeptRoot, sha256sum(SCRIPT)), "{root}");
        // The process is gone, so its root is not held for the full time.
        asker.wait_until("root is closed", |view| view.counters().kept_roots == 0);
    }
}

#[test]
fn kept_root_does_not_hold_up_the_unmounting_of_the_hosts_mount() {
    let test = "kept_root_does_not_hold_up_the_unmounting_of_the_hosts_mount";
    if cannot_run(test, "root", is_root()) {
        return;
    }
    let outer = HostMount::tmpfs();
    let enter = format!("cp $1/lower/* {0}; mount --bind {0} $1/root", outer.dir.path().display());
    let container = Container::start(&enter);
    let asker = Asker::default();
    let app = container.request("/app", Purpose::Executable);
    container.note_to(&asker.view);
    asker.wait_until("root is kept", |view| view.counters().kept_roots == 1);
    container.process.end();
    assert!(std::process::Command::new("umount").arg(outer.dir.path()).status().unwrap().success());
    assert_eq!(asker.view.counters().kept_roots, 1);
    assert_eq!(asker.ask(&app).unwrap().road, Road::KeptRoot);
}

#[test]
fn containers_in_quick_succession_are_all_kept() {
    if cannot_run("containers_in_quick_succession_are_all_kept", "root", is_root()) {
        return;
    }
    let asker = Asker::default();
    let ended: Vec<Request> = (0..6)
        .map(|number| {
            let container = Container::start(TMPFS);
            container.note_to(&asker.view);
            asker.wait_until("root is kept", |view| view.counters().kept_roots > number);
            let request = container.request("/app", Purpose::Executable);
            container.process.end();
            request
        })
        .collect();
    for request in &ended {
        assert_eq!(asker.ask(request).unwrap().road, Road::KeptRoot, "{}", request.mnt_ns);
    }
}

#[test]
fn container_that_nobody_kept_is_gone_and_says_so() {
    if cannot_run("container_that_nobody_kept_is_gone_and_says_so", "root", is_root()) {
        return;
    }
    let container = Container::start(TMPFS);
    let asker = Asker::default();
    let (app, script) =
        (container.request("/app", Purpose::Executable), container.request("/app.sh", Purpose::Script));
    container.process.end();
    assert_eq!(asker.ask(&app), Err(Missing::Gone));
    assert_eq!(asker.ask(&script), Err(Missing::Gone));
}

#[test]
fn overlay_that_the_host_has_mounted_is_read_there_after_the_process_has_ended() {
    let test = "overlay_that_the_host_has_mounted_is_read_there_after_the_process_has_ended";
    if cannot_run(test, "root", is_root()) {
        return;
    }
    // As docker and containerd do: the overlay is mounted on the host, the container enters it.
    let outer = HostMount::tmpfs();
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(outer.path(name)).unwrap();
    }
    write_program(&outer.path("lower/app"), &sleeper());
    let dirs = outer.dir.path().display();
    let options = format!("lowerdir={dirs}/lower,upperdir={dirs}/upper,workdir={dirs}/work");
    let merged = outer.path("merged");
    let mount = |args: &[&str]| {
        assert!(std::process::Command::new("mount").args(args).arg(&merged).status().unwrap().success());
    };
    mount(&["-t", "overlay", "overlay", "-o", &options]);
    let process = Process::start(&merged.join("app"));
    let exe = fs::metadata(format!("/proc/{}/exe", process.pid())).unwrap();
    let seen =
        Request { pid: process.pid(), sb_path: b"/app".to_vec(), ..request(&exe, Purpose::Executable) };
    process.end();
    let facts = Asker::default().ask(&seen);
    assert!(std::process::Command::new("umount").arg(&merged).status().unwrap().success(), "nothing is held");
    let facts = facts.unwrap();
    assert_eq!((hex(&facts.sha256), facts.road), (sha256sum(&sleeper()), Road::HostMount));
}

#[test]
fn overlay_over_several_file_systems_is_recognized_by_the_kernels_own_numbers() {
    let test = "overlay_over_several_file_systems_is_recognized_by_the_kernels_own_numbers";
    if cannot_run(test, "root", is_root()) {
        return;
    }
    for xino in ["off", "on"] {
        let root = format!(
            "mount -t tmpfs -o inode64 tmpfs $1/lower2 2>/dev/null || {{ mkdir $1/lower2; mount -t tmpfs tmpfs $1/lower2; }}; \
             cp $1/lower/* $1/lower2; mount -t tmpfs tmpfs $1/more; mkdir $1/more/u $1/more/w; \
             mount -t overlay overlay -o xino={xino},lowerdir=$1/lower2,upperdir=$1/more/u,workdir=$1/more/w $1/root"
        );
        let container = Container::start(&root);
        let by_stat = container.request("/app", Purpose::Executable);
        let kernel = FileId { dev: container.root_dev(), ..by_stat.id };
        if xino == "off" {
            assert_ne!(
                by_stat.id.dev, kernel.dev,
                "stat shows the layer's device here, or this test tests nothing"
            );
        }
        let asker = Asker::default();
        let facts = asker.ask(&Request { id: kernel, ..by_stat.clone() }).unwrap();
        assert_eq!((hex(&facts.sha256), facts.road), (sha256sum(&sleeper()), Road::ProcExe), "xino={xino}");
        let other = Request { id: FileId { dev: kernel.dev + 1, ..kernel }, ..by_stat.clone() };
        assert_eq!(asker.ask(&other), Err(Missing::Changed), "xino={xino}");
        let other = Request { id: FileId { inode: kernel.inode + 1, ..kernel }, ..by_stat };
        assert_eq!(asker.ask(&other), Err(Missing::Changed), "xino={xino}");
    }
}

#[test]
fn btrfs_subvolume_is_recognized_by_the_kernels_own_numbers() {
    let test = "btrfs_subvolume_is_recognized_by_the_kernels_own_numbers";
    let made = |program: &str| std::process::Command::new(program).arg("--version").output().is_ok();
    let can = is_root() && made("mkfs.btrfs") && std::path::Path::new("/dev/loop-control").exists();
    if cannot_run(test, "root, mkfs.btrfs and loop devices", can) {
        return;
    }
    let root = "truncate -s 200M $1/image; mkfs.btrfs -q $1/image; mount -o loop $1/image $1/more; \
                btrfs subvolume create $1/more/sub >/dev/null; cp $1/lower/* $1/more/sub; \
                umount $1/more; mount -o loop,subvol=sub $1/image $1/root";
    let container = Container::start(root);
    let by_stat = container.request("/app.sh", Purpose::Script);
    let kernel = FileId { dev: container.root_dev(), ..by_stat.id };
    assert_ne!(by_stat.id.dev, kernel.dev, "stat shows the subvolume's device, or this test tests nothing");
    let asker = Asker::default();
    let facts = asker.ask(&Request { id: kernel, ..by_stat.clone() }).unwrap();
    assert_eq!((hex(&facts.sha256), facts.road), (sha256sum(SCRIPT), Road::ProcRoot));
    let other = Request { id: FileId { dev: kernel.dev + 1, ..kernel }, ..by_stat };
    assert_eq!(asker.ask(&other), Err(Missing::Changed));
}

#[test]
fn layers_copy_of_a_file_is_not_taken_for_the_containers() {
    if cannot_run("layers_copy_of_a_file_is_not_taken_for_the_containers", "root", is_root()) {
        return;
    }
    let container = Container::start(OVERLAY);
    let asker = Asker::default();
    let seen = container.request("/app", Purpose::Executable);
    // Copied up: same path, other content, other inode or ctime.
    fs::write(format!("/proc/{}/root/app.sh", container.pid()), "#!/app\nchanged\n").unwrap();
    let before = Request { id: seen.id, ..container.request("/app.sh", Purpose::Script) };
    assert_eq!(asker.ask(&before), Err(Missing::Changed));
}

#[test]
fn program_in_memory_is_hashed_while_it_runs_and_said_to_be_anonymous_after() {
    let test = "program_in_memory_is_hashed_while_it_runs_and_said_to_be_anonymous_after";
    if cannot_run(test, "root", is_root()) {
        return;
    }
    let memfd = rustix::fs::memfd_create("payload", rustix::fs::MemfdFlags::empty()).unwrap();
    rustix::io::write(&memfd, &sleeper()).unwrap();
    let path = std::path::PathBuf::from(format!("/proc/self/fd/{}", memfd.as_raw_fd()));
    // Reopened for reading: a file that is open for writing cannot be run.
    let reading = OwnedFd::from(fs::File::open(&path).unwrap());
    drop(memfd);
    rustix::io::fcntl_setfd(&reading, rustix::io::FdFlags::empty()).unwrap();
    let process = Process::start(format!("/proc/self/fd/{}", reading.as_raw_fd()).as_ref());
    let exe = fs::metadata(format!("/proc/{}/exe", process.pid())).unwrap();
    let mut seen = Request {
        pid: process.pid(),
        start_ticks: start_ticks(process.pid()),
        sb_path: b"/memfd:payload".to_vec(),
        ns_path: b"/memfd:payload".to_vec(),
        mtime: mtime(&exe),
        ..request(&exe, Purpose::Executable)
    };
    seen.id.fs_magic = fs_magic(fs::File::open(format!("/proc/{}/exe", process.pid())).unwrap());
    let facts = Asker::default().ask(&seen).unwrap();
    assert_eq!((hex(&facts.sha256), facts.road), (sha256sum(&sleeper()), Road::ProcExe));
    process.end();
    assert_eq!(Asker::default().ask(&seen), Err(Missing::Anonymous));
}

#[test]
fn path_that_leaves_the_containers_root_stays_inside() {
    if cannot_run("path_that_leaves_the_containers_root_stays_inside", "root", is_root()) {
        return;
    }
    let container = Container::start(TMPFS);
    std::os::unix::fs::symlink("/etc/passwd", format!("/proc/{}/root/link", container.pid())).unwrap();
    let asker = Asker::default();
    let passwd = fs::metadata("/etc/passwd").unwrap();
    for hostile in ["/link", "/../../../../../etc/passwd", "/../etc/passwd"] {
        let seen = Request {
            ns_path: hostile.into(),
            sb_path: Vec::new(),
            id: file_id(&passwd),
            ..container.request("/app", Purpose::Script)
        };
        let missing = asker.ask(&seen).unwrap_err();
        assert!(matches!(missing, Missing::Gone | Missing::NotRegular), "{hostile}: {missing:?}");
    }
}

#[test]
fn file_system_that_never_answers_costs_one_thread_and_its_request_alone() {
    let test = "file_system_that_never_answers_costs_one_thread_and_its_request_alone";
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    let fuse = rustix::fs::open("/dev/fuse", flags, rustix::fs::Mode::empty());
    if cannot_run(test, "root and /dev/fuse", is_root() && fuse.is_ok()) {
        return;
    }
    // Passed to mount(8)'s helper-less mount by number, and held open here: closing it ends the hang.
    let fuse = fuse.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", fuse.as_raw_fd());
    let data = std::ffi::CString::new(options).unwrap();
    rustix::mount::mount("hang", dir.path(), "fuse", rustix::mount::MountFlags::empty(), data.as_c_str())
        .unwrap();
    let config = Config {
        deadline: Duration::from_millis(300),
        stuck_after: Duration::from_millis(300),
        ..Config::default()
    };
    let asker = Asker::new(config);
    let container = Container::start(TMPFS);
    let own_ns = mnt_ns(std::process::id());
    let mut lost = container.request("/app.sh", Purpose::Script);
    lost.mnt_ns = own_ns;
    lost.pid = std::process::id();
    lost.start_ticks = 0;
    lost.ns_path = bytes(&dir.path().join("anything"));
    let Answer::Pending(ticket) = asker.view.look_up(lost) else { panic!() };
    let done = loop {
        asker.view.tend();
        if let Ok(done) = asker.done.recv_timeout(Duration::from_millis(50)) {
            break done;
        }
    };
    assert_eq!((done.ticket, done.result), (ticket, Err(Missing::Timeout)));
    asker.wait_until("the thread is replaced", |view| {
        view.tend();
        view.counters().stuck == 1
    });
    assert_eq!(asker.view.counters().threads, 2);
    assert!(asker.ask(&container.request("/app", Purpose::Executable)).is_ok());
    // The server comes back (here: the connection is cut): the thread that hung ends.
    drop(fuse);
    asker.wait_until("the thread has ended", |view| {
        view.tend();
        view.counters().threads == 1
    });
    let _ = rustix::mount::unmount(dir.path(), rustix::mount::UnmountFlags::DETACH);
}

#[test]
fn descriptors_do_not_leak() {
    if cannot_run("descriptors_do_not_leak", "root", is_root()) {
        return;
    }
    let container = Container::start(OVERLAY);
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let asker = Asker::new(Config { keep_root: Duration::ZERO, ..Config::default() });
    asker.ask(&container.request("/app", Purpose::Executable)).unwrap();
    asker.ask(&container.request("/app.sh", Purpose::Script)).unwrap();
    let before = open();
    for round in 0..200 {
        asker.view.release_memory();
        asker.ask(&container.request("/app.sh", Purpose::Script)).unwrap();
        let changed = Request {
            id: FileId { inode: (1 << 40) + round, ..container.request("/app", Purpose::Executable).id },
            ..container.request("/app", Purpose::Executable)
        };
        assert_eq!(asker.ask(&changed), Err(Missing::Changed));
    }
    // Other tests of this process open files meanwhile.
    assert!(open() < before + 50, "{before} -> {}", open());
}
