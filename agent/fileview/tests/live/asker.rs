//! A view whose answers can be waited for, and what the kernel would say of a file.

use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use linnet_fileview::{
    Answer, Config, Done, Facts, FileId, FileView, InodeTime, Missing, Purpose, Request, Ticket, kernel_dev,
};

/// Longer than any lookup may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A view and its answers.
pub struct Asker {
    pub view: FileView,
    pub done: Receiver<Done>,
}

impl Asker {
    pub fn new(config: Config) -> Self {
        let (sender, done) = channel();
        let view = FileView::new(config, move |one| drop(sender.send(one))).unwrap();
        Self { view, done }
    }

    /// Asks and waits for the answer.
    pub fn ask(&self, request: &Request) -> Result<Facts, Missing> {
        match self.view.look_up(request.clone()) {
            Answer::Hit(result) => result,
            Answer::Refused(missing) => Err(missing),
            Answer::Pending(ticket) => self.wait(ticket).result,
        }
    }

    pub fn wait(&self, ticket: Ticket) -> Done {
        let done = self.done.recv_timeout(PATIENCE).expect("no answer");
        assert_eq!(done.ticket, ticket);
        done
    }

    pub fn wait_until(&self, what: &str, condition: impl Fn(&FileView) -> bool) {
        let start = Instant::now();
        while !condition(&self.view) {
            assert!(start.elapsed() < PATIENCE, "{what}: {:?}", self.view.counters());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Default for Asker {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

/// True, and said loudly, when this test cannot run here.
pub fn cannot_run(test: &str, needs: &str, met: bool) -> bool {
    if !met {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: needs {needs}");
    }
    !met
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What the kernel would say of a file on a file system whose `st_dev` is the superblock's.
pub fn file_id(meta: &fs::Metadata) -> FileId {
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    FileId {
        dev: kernel_dev(major, minor),
        inode: meta.ino(),
        ctime_sec: meta.ctime(),
        ctime_nsec: u32::try_from(meta.ctime_nsec()).unwrap(),
        size: meta.size(),
        fs_magic: 0,
    }
}

pub fn mtime(meta: &fs::Metadata) -> Option<InodeTime> {
    Some(InodeTime { sec: meta.mtime(), nsec: u32::try_from(meta.mtime_nsec()).unwrap() })
}

/// A request without any way to the file: tests add the ones they are about.
pub fn request(meta: &fs::Metadata, purpose: Purpose) -> Request {
    Request {
        id: file_id(meta),
        purpose,
        pid: 0,
        start_ticks: 0,
        mnt_ns: 0,
        sb_path: Vec::new(),
        ns_path: Vec::new(),
        mtime: None,
        container: None,
    }
}

pub fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

pub fn start_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, behind) = stat.rsplit_once(')').unwrap();
    behind.split_ascii_whitespace().nth(19).unwrap().parse().unwrap()
}

pub fn mnt_ns(pid: u32) -> u32 {
    let link = fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap();
    let text = link.to_str().unwrap();
    text.trim_start_matches("mnt:[").trim_end_matches(']').parse().unwrap()
}

/// SHA-256 by coreutils, an implementation that is not ours.
pub fn sha256sum(bytes: &[u8]) -> String {
    let mut sum = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sum.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = sum.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn fs_magic(fd: impl AsFd) -> u64 {
    u64::try_from(rustix::fs::fstatfs(fd).unwrap().f_type).unwrap()
}
