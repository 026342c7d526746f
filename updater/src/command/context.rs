//! What every command works with: settings, paths, clocks, the service manager, the lock.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use linnet_fleet::channel::{ENROLMENT_PATH, Enrolment};
use linnet_fleet::host::Host;
use linnet_fleet::lock::{self, Lock, LockError};
use linnet_fleet::rollout::HostTraits;

use super::Arguments;
use crate::clock::{Clock, HostClock};
use crate::disk;
use crate::engine::{Engine, EngineError};
use crate::exit_code;
use crate::hold::{Hold, HoldError};
use crate::layout::{Layout, below};
use crate::machine::State;
use crate::service::{self, SelfCall, Service};
use crate::settings::Settings;
use crate::source::SourceError;

/// Why a command ended early.
#[derive(Debug)]
pub struct Failed {
    /// The exit code.
    pub code: u8,
    /// In words.
    pub error: String,
}

impl Failed {
    /// With this code.
    pub fn new(code: u8, error: impl std::fmt::Display) -> Self {
        Self { code, error: error.to_string() }
    }
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Self {
        let full = match &error {
            EngineError::Disk(disk) => disk::is_full(&disk.source),
            EngineError::Store(crate::store::StoreError::Write(
                linnet_fleet::atomic_file::AtomicFileError::Io { source, .. },
            )) => disk::is_full(source),
            _ => false,
        };
        let code = match &error {
            _ if full => exit_code::SIZE,
            EngineError::NothingWhole { .. } => exit_code::STUCK,
            _ => exit_code::ERROR,
        };
        Self::new(code, error)
    }
}

impl From<SourceError> for Failed {
    fn from(error: SourceError) -> Self {
        Self::new(error.exit_code(), error)
    }
}

impl From<HoldError> for Failed {
    fn from(error: HoldError) -> Self {
        let code =
            if matches!(error, HoldError::Damaged { .. }) { exit_code::HELD } else { exit_code::ERROR };
        Self::new(code, error)
    }
}

impl From<disk::DiskError> for Failed {
    fn from(error: disk::DiskError) -> Self {
        let code = if disk::is_full(&error.source) { exit_code::SIZE } else { exit_code::ERROR };
        Self::new(code, error)
    }
}

/// What every command works with.
pub struct Context<'c> {
    pub arguments: &'c Arguments,
    pub settings: Settings,
    pub layout: Layout,
    pub service: Box<dyn Service>,
    pub clock: HostClock,
    pub facts: Host,
    /// What the host's owner calls it, for overrides.
    pub tags: Vec<String>,
    /// The root of trust that this host was enrolled with.
    pub enrolled_root: Option<PathBuf>,
}

impl<'c> Context<'c> {
    pub fn new(arguments: &'c Arguments) -> Result<Self, Failed> {
        let root = arguments.root_dir.as_deref();
        let mut settings = Settings::read(arguments.settings.as_deref(), root)
            .map_err(|error| Failed::new(exit_code::USAGE, error))?;
        let enrolment = Enrolment::read(&below(root.unwrap_or(Path::new("/")), Path::new(ENROLMENT_PATH)))
            .map_err(|error| Failed::new(exit_code::USAGE, error))?;
        let tags = enrolment.as_ref().map(|enrolment| enrolment.tags.clone()).unwrap_or_default();
        let enrolled_root =
            enrolment.as_ref().map(|enrolment| below(root.unwrap_or(Path::new("/")), &enrolment.root));
        if settings.channel.is_none() {
            settings.channel = enrolment.map(|enrolment| enrolment.channel);
        }
        let layout = settings.layout(root);
        let service = service::of(&settings);
        Ok(Self {
            arguments,
            settings,
            layout,
            service,
            clock: HostClock,
            facts: Host::read(),
            tags,
            enrolled_root,
        })
    }

    /// What stands in front of every path.
    pub fn root(&self) -> &Path {
        self.arguments.root_dir.as_deref().unwrap_or(Path::new("/"))
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What overrides of the fleet's document ask of this host.
    pub fn traits(&self) -> HostTraits {
        HostTraits { id: self.facts.host_id, hostname: self.facts.hostname.clone(), tags: self.tags.clone() }
    }

    pub fn hold(&self) -> Result<Hold, HoldError> {
        Hold::read(&self.layout.hold())
    }

    /// How this program is started again with the same settings.
    pub fn own(&self) -> SelfCall {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("linnet-updater"));
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let mut arguments = Vec::new();
        for (name, path) in
            [("--settings", &self.arguments.settings), ("--root-dir", &self.arguments.root_dir)]
        {
            if let Some(path) = path {
                arguments.extend([name.to_owned(), absolute(path).to_string_lossy().into_owned()]);
            }
        }
        SelfCall { program, arguments }
    }

    /// Progress, for people; programs read the report.
    pub fn tell(&self, text: &str) {
        use std::io::Write;
        let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(std::io::stderr(), "{plain}");
    }

    /// The lock, or the code for another updater at work.
    pub fn lock(&self) -> Result<Lock, Failed> {
        Lock::acquire(&self.layout.lock()).map_err(|error| match error {
            LockError::Held { pid } => {
                let pid = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
                Failed::new(
                    exit_code::LOCKED,
                    format!("another updater is at work{pid}: wait for it, or see `linnet-updater status`"),
                )
            }
            other => Failed::new(exit_code::ERROR, other),
        })
    }

    /// The lock, even if whoever holds it does not let go: only for the dead-man.
    pub fn lock_by_force(&self) -> Result<Lock, Failed> {
        const TRIES: u32 = 20;
        const PAUSE: Duration = Duration::from_millis(250);
        for attempt in 1..=TRIES {
            match self.lock() {
                Err(failed) if failed.code == exit_code::LOCKED && attempt < TRIES => {
                    // It should have given up long ago, so it hangs.
                    if attempt == TRIES / 2
                        && let Some(pid) = lock::holder(&self.layout.lock())
                        && let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw)
                    {
                        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                    }
                    self.clock.sleep(PAUSE);
                }
                other => return other,
            }
        }
        self.lock()
    }

    /// An engine with its state read. The caller recovers first.
    pub fn engine<'e>(&'e self, lock: &'e Lock, tell: &'e dyn Fn(&str)) -> Result<Engine<'e>, Failed> {
        disk::make_directories(&self.layout.state_dir, 0o755)?;
        let mut engine = Engine {
            layout: &self.layout,
            settings: &self.settings,
            service: self.service.as_ref(),
            clock: &self.clock,
            own: self.own(),
            tell,
            lock,
            state: State::default(),
        };
        engine.load()?;
        Ok(engine)
    }
}
