//! Starting: everything that can refuse does so here, before the first event, with a message that says what to do.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use linnet_fileview::{Budget, Config, Done, FileView};
use linnet_fleet::{
    host::Host,
    lock::{Lock, LockError},
};
use linnet_limits::{Applied, LimitsError, Wanted};
use linnet_plugin_store::Desk;
use linnet_settings::{Hexadecimal, Loaded, Settings};
use sha2::{Digest, Sha256};

use super::{
    apply::budget,
    fleet::{FleetError, FleetSide},
    outgoing::Outgoing,
    parked::ParkingLot,
    pipeline::{Parts, Pipeline},
    plugins::Plugins,
    run::Sensor,
};
use crate::{
    event,
    kernel::{
        cgroup_mode,
        load::{LoadError, LoadOptions, load},
    },
    metrics::Metrics,
    process::{BootTag, Table},
    sink::{Sink, SinkError, Writer, file::RotatingFile},
};

/// Why the sensor does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Without these rights nothing can be watched.
    #[error("linnet needs root: run it as root, or with sudo")]
    NotRoot,
    /// Another agent.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Limits that must be enforced can't be.
    #[error("limits.required is set, and the limits are not enforced: {0}")]
    LimitsNotEnforced(String),
    /// Limits that make no sense.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// The kernel side.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The fleet's side.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A sink.
    #[error("{0}")]
    Sink(#[from] SinkError),
    /// A thread or a descriptor could not be had.
    #[error("{what}: {source}")]
    Resources {
        /// What for.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// Host facts could not be encoded.
    #[error("host facts: {0}")]
    Prelude(#[from] linnet_ocsf::line::LineError),
}

impl StartError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotRoot | Self::Load(_) | Self::LimitsNotEnforced(_) => crate::exit_code::UNSUPPORTED,
            Self::Fleet(FleetError::Enrolment(_) | FleetError::Settings(_)) => crate::exit_code::USAGE,
            Self::Lock(LockError::Held { .. }) => crate::exit_code::LOCKED,
            _ => crate::exit_code::ERROR,
        }
    }
}

/// What the caller adds to the settings.
#[derive(Default)]
pub struct Extra {
    /// BTF from elsewhere.
    pub btf: Option<PathBuf>,
    /// Sinks beside those of the settings.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Whether the fleet's settings are followed, where the host was enrolled.
    pub follow_fleet: bool,
}

/// Starts everything, up to attached programs and an open output.
///
/// # Errors
/// [`StartError`]; nothing stays behind but an empty cgroup and the output file.
pub fn start(mut loaded: Loaded, extra: Extra) -> Result<Sensor, StartError> {
    if !rustix::process::geteuid().is_root() {
        return Err(StartError::NotRoot);
    }
    let lock = Lock::acquire(&loaded.settings.lock_path())?;
    let host = Host::read();
    let desk = Desk::default();
    let fleet = if extra.follow_fleet { FleetSide::open(&mut loaded, &host, desk.clone())? } else { None };
    let settings = &loaded.settings;
    // The cgroup comes first: what is made in it is charged to it, the ring above all.
    let limits = enter_limits(settings)?;
    let mut sinks = open_sinks(settings, extra.sinks)?;
    let options = LoadOptions {
        btf: extra.btf.as_deref(),
        ring_bytes: settings.ring.bytes,
        argv_max_bytes: settings.argv_max_bytes,
        cgroup_records_per_s: settings.ring.cgroup_records_per_s,
    };
    let (programs, ring) = load(options)?;
    for hook in &programs.hooks {
        if let Some(refused) = &hook.refused {
            log::error!(
                "{} events are not seen: the kernel refuses {}: {refused}",
                hook.event,
                hook.tracepoint
            );
        }
    }
    let prelude = event::host::prelude(&host, linnet_fleet::dice())?;
    let (files_done, view) = start_view(settings)?;
    let boot_id = host.boot_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let wait = Duration::from_millis(u64::from(settings.hash.wait_ms));
    let mut pipeline = Pipeline::new(Parts {
        prelude,
        boot: BootTag::new(&boot_id),
        events: settings.events.clone(),
        table: Table::new(usize::try_from(settings.process_table.max_bytes).unwrap_or(usize::MAX)),
        view,
        own_mnt_ns: mnt_ns_of("self"),
        host_mnt_ns: mnt_ns_of("1"),
        lot: ParkingLot::new(wait),
    });
    pipeline.set_events(settings);
    let source = fleet.as_ref().map(|fleet| fleet.source.clone());
    let plugins = Plugins::start(&settings.plugins, cgroup_name(&settings.runtime_dir), source, desk)
        .map_err(|source| StartError::Resources { what: "thread of the plugins", source })?;
    let (outgoing, spool) = Outgoing::start(settings);
    sinks.extend(spool);
    let writer = Writer::start(sinks)
        .map_err(|source| StartError::Resources { what: "thread of the sinks", source })?;
    let metrics = Metrics::start(&settings.metrics, &host);
    let v1_controller = cgroup_mode::v1_controller().ok().flatten();
    let parts = super::run::Started {
        loaded,
        host,
        _lock: lock,
        limits,
        programs,
        ring,
        pipeline,
        files_done,
        plugins,
        plugins_at_end: None,
        metrics,
        outgoing,
        v1_controller,
        fleet,
    };
    Ok(Sensor::new(parts, writer))
}

fn enter_limits(settings: &Settings) -> Result<Option<Applied>, StartError> {
    let asked = &settings.limits;
    if !asked.enabled {
        return Ok(None);
    }
    let applied = linnet_limits::apply(&wanted(asked), &cgroup_name(&settings.runtime_dir))?;
    let limits = applied.limits();
    if !limits.enforced {
        let problems = limits.problems.join("; ");
        if asked.required {
            return Err(StartError::LimitsNotEnforced(problems));
        }
        log::warn!("the limits are not all enforced: {problems}");
    }
    Ok(Some(applied))
}

/// The limits as the kernel is asked for them.
pub(super) fn wanted(asked: &linnet_settings::Limits) -> Wanted {
    Wanted {
        cpu_quota_permille_of_a_core: asked.cpu_permille,
        cpu_period_us: asked.cpu_period_ms.saturating_mul(1000),
        memory_max_bytes: asked.memory_max_bytes,
        memory_high_bytes: asked.memory_high_bytes,
        pids_max: asked.pids_max,
    }
}

/// One cgroup for the host's agent. An agent with a runtime directory of its own is beside it, for a test, and must not
/// change the other's limits.
fn cgroup_name(runtime_dir: &Path) -> String {
    if runtime_dir == Settings::default().runtime_dir {
        return "linnet".to_owned();
    }
    let digest = Sha256::digest(runtime_dir.as_os_str().as_bytes());
    format!("linnet-{}", Hexadecimal(digest.get(..4).unwrap_or_default()))
}

fn open_sinks(settings: &Settings, mut sinks: Vec<Box<dyn Sink>>) -> Result<Vec<Box<dyn Sink>>, StartError> {
    if let Some(file) = &settings.output.file {
        sinks.push(Box::new(RotatingFile::open(&file.path, file.max_bytes, file.keep)?));
    }
    Ok(sinks)
}

fn start_view(settings: &Settings) -> Result<(smol::channel::Receiver<Done>, Arc<FileView>), StartError> {
    let Budget { max_file_bytes, bytes_per_second, burst_bytes, content_bytes } = budget(settings);
    let config = Config {
        max_file_bytes,
        bytes_per_second,
        burst_bytes,
        content_bytes,
        deadline: Config::default().deadline.max(Duration::from_millis(u64::from(settings.hash.wait_ms))),
        ..Config::default()
    };
    // At most one answer for each ticket, and tickets are bounded by the view's queue.
    let (sender, files_done) = smol::channel::unbounded();
    let view = FileView::new(config, move |done| {
        let _ = sender.try_send(done);
    })
    .map_err(|source| StartError::Resources { what: "threads of the file view", source })?;
    view.set_hashing(settings.hash.enabled);
    view.set_script_contents(settings.script.content);
    Ok((files_done, Arc::new(view)))
}

/// Inode number of a process's mount namespace; 0 where /proc doesn't tell, so that every process counts as of another.
fn mnt_ns_of(process: &str) -> u32 {
    let link = std::fs::read_link(format!("/proc/{process}/ns/mnt")).unwrap_or_default();
    link.to_str().and_then(|text| text.strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok()).unwrap_or(0)
}
