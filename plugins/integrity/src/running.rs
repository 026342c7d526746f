//! A process, as far as its executable goes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use linnet_plugin::processes::{self, Container, Stat};
use linnet_plugin::rooted::Root;

use crate::executable::{DELETED, Facts};

/// A process that has an executable.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    pub(crate) stat: Stat,
    pub(crate) container: Option<Container>,
    /// Its executable's path in its own root, without the kernel's remark.
    pub(crate) path: PathBuf,
    /// What was executed, for the event.
    pub(crate) file: Option<rustix::fs::Stat>,
    link: Vec<u8>,
    there: Option<(u64, u64)>,
}

impl Running {
    /// Looks at a process. None for one of the kernel, a zombie, or one that is gone.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        let proc = Path::new("/proc");
        let stat = processes::stat(proc, pid)?;
        let exe = proc.join(format!("{pid}/exe"));
        let link = fs::read_link(&exe).ok()?.into_os_string().into_vec();
        let path = link.strip_suffix(DELETED).unwrap_or(&link);
        let path = PathBuf::from(OsStr::from_bytes(path));
        // Following the link of /proc leads to the very file, whatever its name.
        let file = rustix::fs::stat(&exe).ok();
        let root = Root::open(&proc.join(format!("{pid}/root"))).ok();
        let there = root.and_then(|root| {
            let found = root.find(&path, true).ok()?;
            Some((found.stat.st_dev, found.stat.st_ino))
        });
        // The same process still?
        if processes::stat(proc, pid)?.start_ticks != stat.start_ticks {
            return None;
        }
        let container = processes::container(proc, pid);
        Some(Self { pid, stat, container, path, file, link, there })
    }

    /// For [`crate::executable::judge`].
    pub(crate) fn facts(&self) -> Facts {
        Facts {
            link: self.link.clone(),
            runs: self.file.map(|file| (file.st_dev, file.st_ino)),
            names: self.file.map_or(0, |file| file.st_nlink),
            there: self.there,
        }
    }

    /// Who runs it.
    pub(crate) fn uid(&self) -> Option<u32> {
        fs::metadata(format!("/proc/{}", self.pid)).ok().map(|found| found.uid())
    }

    /// Its command line as text, cut.
    pub(crate) fn command(&self) -> Option<String> {
        let bytes = processes::read(Path::new("/proc"), self.pid, "cmdline")?;
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        let text: String = linnet_plugin::text(bytes).replace('\0', " ").chars().take(1024).collect();
        (!text.is_empty()).then_some(text)
    }
}
