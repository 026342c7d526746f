//! auditd with rules for execs, with the settings of Debian's package but for its places and its log's size.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Availability, Subject, title, version};
use crate::audit::Audit;
use crate::search_path::find_program;
use crate::stage::{Launched, Room, Stage, last_words};

/// Execs of both instruction sets; buffer and failure mode as in Debian's audit.rules.
const RULES: &str = "\
-D
-b 8192
--backlog_wait_time 60000
-f 1
-a always,exit -F arch=b64 -S execve,execveat -k exec
-a always,exit -F arch=b32 -S execve,execveat -k exec
";

/// How long auditd has for registering with the kernel.
const REGISTER_PATIENCE: Duration = Duration::from_secs(10);

/// The audit daemon writing its own log.
pub struct Auditd;

impl Subject for Auditd {
    fn name(&self) -> &'static str {
        "auditd"
    }

    fn availability(&self, stage: &Stage) -> Availability {
        availability(stage)
    }

    fn start(&mut self, stage: &mut Stage, room: &Room) -> Result<Launched> {
        start(stage, room, self.name(), &room.output)
    }

    fn stop(&mut self, stage: &mut Stage, launched: Launched) -> Result<()> {
        stop(stage, launched)
    }

    fn kernel_threads(&self) -> &'static [&'static str] {
        &["kauditd"]
    }
}

/// Whether an audit daemon of this run can be started.
pub fn availability(stage: &Stage) -> Availability {
    let missing = |reason: String| Availability::Missing { reason };
    let (Some(auditd), Some(auditctl)) = (find_program("auditd"), find_program("auditctl")) else {
        return missing("auditd is not installed: apt-get install auditd".to_owned());
    };
    if let Some(reason) = stage.audit.refusal() {
        return missing(reason.to_owned());
    }
    Availability::Ready { title: title("auditd", version(&auditctl, "-v")), executables: vec![auditd] }
}

/// Starts auditd, with its log in `log_dir` and whatever plugins lie in the room's `plugins.d`, and loads the rules.
pub fn start(stage: &mut Stage, room: &Room, subject: &str, log_dir: &Path) -> Result<Launched> {
    let plugins = room.dir.join("plugins.d");
    fs::create_dir_all(&plugins).with_context(|| format!("make {}", plugins.display()))?;
    let settings = room.dir.join("auditd.conf");
    fs::write(&settings, settings_text(log_dir, &plugins))
        .with_context(|| format!("write {}", settings.display()))?;
    let rules = room.dir.join("audit.rules");
    fs::write(&rules, RULES).with_context(|| format!("write {}", rules.display()))?;
    let auditd = find_program("auditd").context("find auditd")?;
    let argv = [
        auditd.into_os_string(),
        OsString::from("-n"),
        OsString::from("-c"),
        room.dir.clone().into_os_string(),
    ];
    let mut launched = stage.launch(room, subject, &argv)?;
    match await_registration(&mut launched).and_then(|()| stage.audit.open(&rules)) {
        Ok(()) => Ok(launched),
        Err(error) => {
            stop(stage, launched)?;
            Err(error)
        }
    }
}

fn await_registration(launched: &mut Launched) -> Result<()> {
    let asked = Instant::now();
    while !Audit::daemon_is(launched.child.id())? {
        if launched.child.try_wait().context("wait for auditd")?.is_some()
            || asked.elapsed() > REGISTER_PATIENCE
        {
            bail!("auditd did not register with the kernel: {}", last_words(&launched.log));
        }
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Stops auditd. The rules go first, so that nothing is produced any more that nobody would take.
pub fn stop(stage: &mut Stage, launched: Launched) -> Result<()> {
    stage.audit.close()?;
    stage.stop(launched)
}

fn settings_text(log_dir: &Path, plugins: &Path) -> String {
    format!(
        "local_events = yes\nwrite_logs = yes\nlog_file = {}\nlog_group = root\nlog_format = ENRICHED\n\
         flush = INCREMENTAL_ASYNC\nfreq = 50\nmax_log_file = 4000\nnum_logs = 2\npriority_boost = 4\n\
         name_format = NONE\nmax_log_file_action = IGNORE\nspace_left = 2\nspace_left_action = IGNORE\n\
         admin_space_left = 1\nadmin_space_left_action = IGNORE\ndisk_full_action = IGNORE\n\
         disk_error_action = IGNORE\nuse_libwrap = no\ndistribute_network = no\nq_depth = 2000\n\
         overflow_action = IGNORE\nmax_restarts = 10\nplugin_dir = {}\nend_of_event_timeout = 2\n",
        log_dir.join("audit.log").display(),
        plugins.display(),
    )
}
