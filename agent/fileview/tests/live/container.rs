//! Processes, mounts and containers to ask about; the containers are made of `unshare(1)`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use linnet_fileview::{FileView, Purpose, Request, kernel_dev};

use crate::asker::{PATIENCE, mnt_ns, request, start_ticks};

/// A program that sleeps for ever and needs nothing of the file system it is on: no interpreter, no library.
pub fn sleeper() -> Vec<u8> {
    // x86_64: mov eax, 34 (pause); syscall; jmp back.
    #[cfg(target_arch = "x86_64")]
    let (machine, code): (u16, &[u8]) = (62, &[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7]);
    // aarch64: ppoll(NULL, 0, NULL, NULL); b back.
    #[cfg(target_arch = "aarch64")]
    let (machine, code): (u16, &[u8]) = (
        183,
        &[
            0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x80, 0xd2, 0x02, 0x00, 0x80, 0xd2, 0x03, 0x00, 0x80, 0xd2,
            0x28, 0x09, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0xfa, 0xff, 0xff, 0x17,
        ],
    );
    let base = 0x40_0000u64;
    let len = 64 + 56 + code.len() as u64;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    elf.extend(2u16.to_le_bytes());
    elf.extend(machine.to_le_bytes());
    elf.extend(1u32.to_le_bytes());
    elf.extend((base + 120).to_le_bytes());
    elf.extend(64u64.to_le_bytes());
    elf.extend(0u64.to_le_bytes());
    elf.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1u32.to_le_bytes());
    elf.extend(5u32.to_le_bytes());
    for word in [0, base, base, len, len, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}

pub fn write_program(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A child that is killed and reaped when dropped.
pub struct Process(pub Child);

impl Process {
    pub fn start(path: &Path) -> Self {
        let mut tries = 0;
        loop {
            match Command::new(path).stdin(Stdio::null()).spawn() {
                Ok(child) => return Self(child),
                // Another test's fork still holds the file open for writing.
                Err(error) if error.raw_os_error() == Some(26) && tries < 500 => tries += 1,
                Err(error) => panic!("{}: {error}", path.display()),
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn end(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A process in a mount namespace of its own whose root is a file system that nobody else sees.
pub struct Container {
    pub process: Process,
    pub mnt_ns: u32,
    pub start_ticks: u64,
    _dir: tempfile::TempDir,
}

impl Container {
    /// `mount` is a shell line that mounts the root on `$1/root` (in the new namespace) and fills it from `$1/lower`,
    /// which holds `app`, a sleeper. The container runs `/app`.
    pub fn start(mount: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["lower", "upper", "work", "root", "more"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        write_program(&dir.path().join("lower/app"), &sleeper());
        write_program(&dir.path().join("lower/app.sh"), b"#!/app\necho only in the container\n");
        let script = format!("set -e; {mount}; cd \"$1/root\"; mkdir -p old; pivot_root . old; exec /app");
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).arg(dir.path());
        let process = Process(unshare.spawn().unwrap());
        let pid = process.pid();
        let exe = format!("/proc/{pid}/exe");
        let start = Instant::now();
        while fs::read_link(&exe).ok() != Some(PathBuf::from("/app")) {
            assert!(start.elapsed() < PATIENCE, "container did not start: {mount}");
            std::thread::sleep(Duration::from_millis(2));
        }
        Self { mnt_ns: mnt_ns(pid), start_ticks: start_ticks(pid), process, _dir: dir }
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn metadata(&self, path: &str) -> fs::Metadata {
        fs::metadata(format!("/proc/{}/root{path}", self.pid())).unwrap()
    }

    /// What the sensor would ask for a file of this container.
    pub fn request(&self, path: &str, purpose: Purpose) -> Request {
        Request {
            pid: self.pid(),
            start_ticks: self.start_ticks,
            mnt_ns: self.mnt_ns,
            sb_path: path.as_bytes().to_vec(),
            ns_path: path.as_bytes().to_vec(),
            ..request(&self.metadata(path), purpose)
        }
    }

    pub fn note_to(&self, view: &FileView) {
        view.note_process(self.mnt_ns, self.pid(), self.start_ticks);
    }

    /// Device of the root's superblock, as `mountinfo` has it.
    pub fn root_dev(&self) -> u32 {
        let text = fs::read_to_string(format!("/proc/{}/mountinfo", self.pid())).unwrap();
        let line = text.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        let (major, minor) = line.split(' ').nth(2).unwrap().split_once(':').unwrap();
        kernel_dev(major.parse().unwrap(), minor.parse().unwrap())
    }
}

pub const TMPFS: &str = "mount -t tmpfs tmpfs $1/root; cp $1/lower/* $1/root";
pub const OVERLAY: &str = "mount -t tmpfs tmpfs $1/more; cp $1/lower/* $1/more; mkdir $1/more/l $1/more/u $1/more/w; \
     mv $1/more/app* $1/more/l; \
     mount -t overlay overlay -o lowerdir=$1/more/l,upperdir=$1/more/u,workdir=$1/more/w $1/root";

/// A tmpfs mounted in the agent's own namespace, unmounted when dropped.
pub struct HostMount {
    pub dir: tempfile::TempDir,
}

impl HostMount {
    pub fn tmpfs() -> Self {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(dir.path()).status().unwrap().success()
        );
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for HostMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.dir.path()).stderr(Stdio::null()).status();
    }
}
