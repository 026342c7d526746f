//! bpftrace with the least that shows an exec: one bare line with pid, uid and argv at entry to the syscall.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount};

use super::{Availability, Subject, title, version};
use crate::search_path::find_program;
use crate::stage::{Launched, Room, Stage};
use crate::undo::Undo;

const SCRIPT: &str =
    r#"tracepoint:syscalls:sys_enter_execve { printf("%d %d ", pid, uid); join(args->argv); }"#;

/// Where bpftrace looks tracepoints up.
const TRACEFS: &str = "/sys/kernel/tracing";

/// bpftrace.
pub struct Bpftrace;

impl Subject for Bpftrace {
    fn name(&self) -> &'static str {
        "bpftrace"
    }

    fn availability(&self, _stage: &Stage) -> Availability {
        match find_program("bpftrace") {
            Some(program) => Availability::Ready {
                title: title("bpftrace", version(&program, "--version")),
                executables: vec![program],
            },
            None => Availability::Missing {
                reason: "bpftrace is not installed: apt-get install bpftrace".to_owned(),
            },
        }
    }

    fn start(&mut self, stage: &mut Stage, room: &Room) -> Result<Launched> {
        if !Path::new(TRACEFS).join("events").exists() {
            mount("tracefs", TRACEFS, "tracefs", MountFlags::NOSUID | MountFlags::NOEXEC, None)
                .with_context(|| format!("mount tracefs on {TRACEFS}, which bpftrace needs"))?;
            let _kept_by_the_guard = stage.promises.promise(Undo::Unmount(TRACEFS.into()))?;
        }
        let program = find_program("bpftrace").context("find bpftrace")?;
        // Line by line, or an event would stay in a buffer until the next ones push it out.
        let options = ["-B", "line", "-o"].map(OsString::from);
        let output = room.output.join("lines").into_os_string();
        let argv: Vec<OsString> = [program.into_os_string()]
            .into_iter()
            .chain(options)
            .chain([output, OsString::from("-e"), OsString::from(SCRIPT)])
            .collect();
        stage.launch(room, self.name(), &argv)
    }

    fn stop(&mut self, stage: &mut Stage, launched: Launched) -> Result<()> {
        stage.stop(launched)
    }
}
