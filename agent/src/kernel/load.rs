//! Loading the kernel programs: each on its own, so that one refusal costs one kind of event.

use std::{
    io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use aya::{
    EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap, MapData, PerCpuArray, RingBuf},
    programs::{ProgramError, ProgramFd, RawTracePoint, raw_trace_point::RawTracePointLink},
};
use linnet_btf::BtfFile;
use linnet_ebpf::{FileKey, KIND_EXEC, KIND_EXIT, KIND_FORK, KINDS, Offsets};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zerocopy::IntoBytes;

use crate::error_text::chain;

use super::{
    cgroup_mode,
    counters::{CounterMap, KernelCounts, recursion_misses},
    offsets::{self, OffsetsError},
    rates::Rates,
    ring::{Ring, WakeWord},
};

/// The object that build.rs made.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/linnet-programs"));

/// Key of the known-files map as plain bytes.
type RawKey = [u8; size_of::<FileKey>()];

/// What the programs need to be told.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions<'p> {
    /// BTF of this kernel from elsewhere than `/sys/kernel/btf/vmlinux`.
    pub btf: Option<&'p Path>,
    /// Size of the ring: a power of two, in pages.
    pub ring_bytes: u32,
    /// Most bytes of argv in a record.
    pub argv_max_bytes: u32,
    /// What one cgroup may send; 0 for no limit.
    pub cgroup_records_per_s: u32,
}

/// Why nothing could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No type information.
    #[error("{path}: {source}; a kernel without BTF needs a file with it: --btf FILE", path = path.display())]
    NoBtf {
        /// Where it was looked for.
        path: PathBuf,
        /// What was wrong.
        source: linnet_btf::BtfError,
    },
    /// The table could not be filled.
    #[error(transparent)]
    Offsets(#[from] OffsetsError),
    /// /proc/cgroups.
    #[error("/proc/cgroups: {0}")]
    Cgroups(io::Error),
    /// The object or its maps were refused.
    #[error("the kernel refuses the sensor's eBPF maps: {0}{hint}", hint = refusal_hint())]
    Object(String),
    /// A map of the object is missing or of another type.
    #[error("map {0} of the eBPF object: {1}")]
    Map(&'static str, String),
    /// No program at all was granted.
    #[error("the kernel refuses all of the sensor's programs: {0}{hint}", hint = refusal_hint())]
    NoProgram(String),
}

/// What a refusal most often comes from, as far as it can be told from here.
fn refusal_hint() -> String {
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    if lockdown.contains("[confidentiality]") {
        return "; the kernel is in lockdown=confidentiality, which forbids eBPF to read kernel memory: boot it with lockdown=integrity or none".to_owned();
    }
    "; run as root with CAP_BPF, CAP_PERFMON and CAP_SYS_RESOURCE or CAP_SYS_ADMIN".to_owned()
}

/// One kind of event, the hook that was taken for it, and why.
#[derive(Clone, Debug)]
pub struct Hook {
    /// `fork`, `exec` or `exit`.
    pub event: &'static str,
    /// The tracepoint.
    pub tracepoint: &'static str,
    /// The error when the kernel refused it.
    pub refused: Option<String>,
}

/// The loaded and attached programs. Dropping it detaches them.
pub struct Programs {
    bpf: aya::Ebpf,
    counters: CounterMap,
    known: HashMap<MapData, RawKey, u8>,
    links: Vec<RawTracePointLink>,
    /// The bound on one cgroup.
    pub rates: Rates,
    /// Each kind's hook, in the order of the kinds.
    pub hooks: Vec<Hook>,
}

const PROGRAMS: [(u16, &str, &str, &str); KINDS as usize] = [
    (KIND_FORK, "fork", "linnet_fork", "sched_process_fork"),
    (KIND_EXEC, "exec", "linnet_exec", "sched_process_exec"),
    (KIND_EXIT, "exit", "linnet_exit", "sched_process_exit"),
];

/// Resolves the offsets for this kernel.
///
/// # Errors
/// When there is no BTF or it lacks a required field.
pub fn resolve_offsets(btf: Option<&Path>) -> Result<Offsets, LoadError> {
    let path = btf.unwrap_or_else(|| Path::new(linnet_btf::KERNEL_BTF));
    let no_btf = |source| LoadError::NoBtf { path: path.to_owned(), source };
    let file = btf.map_or_else(BtfFile::kernel, BtfFile::open).map_err(no_btf)?;
    let parsed = file.btf().map_err(no_btf)?;
    let controller = cgroup_mode::v1_controller().map_err(LoadError::Cgroups)?;
    Ok(offsets::resolve(&parsed, controller)?)
}

/// Fits, loads and attaches the programs.
///
/// # Errors
/// When no program can run at all; single refusals are in [`Programs::hooks`].
pub fn load(options: LoadOptions<'_>) -> Result<(Programs, Ring), LoadError> {
    let offsets = resolve_offsets(options.btf)?;
    let offsets = offsets.as_bytes();
    let argv_max = options.argv_max_bytes.min(linnet_ebpf::ARGV_MAX);
    let mut loader = loader_without_btf();
    loader
        .override_global("OFFSETS", offsets, true)
        .override_global("ARGV_LIMIT", &argv_max, true)
        .map_max_entries("RING", options.ring_bytes)
        .verifier_log_level(VerifierLogLevel::DEBUG);
    let mut bpf = loader.load(OBJECT).map_err(|error| LoadError::Object(chain(&error)))?;
    let ring = RingBuf::try_from(take(&mut bpf, "RING")?).map_err(|error| map_error("RING", &error))?;
    let bell = RingBuf::try_from(take(&mut bpf, "BELL")?).map_err(|error| map_error("BELL", &error))?;
    let wake = Array::try_from(take(&mut bpf, "WAKE")?).map_err(|error| map_error("WAKE", &error))?;
    let counters =
        PerCpuArray::try_from(take(&mut bpf, "COUNTERS")?).map_err(|error| map_error("COUNTERS", &error))?;
    let known = HashMap::try_from(take(&mut bpf, "KNOWN")?).map_err(|error| map_error("KNOWN", &error))?;
    let limit = Array::try_from(take(&mut bpf, "LIMIT")?).map_err(|error| map_error("LIMIT", &error))?;
    let rates = HashMap::try_from(take(&mut bpf, "RATES")?).map_err(|error| map_error("RATES", &error))?;
    let mut rates = Rates::new(limit, rates);
    rates.set(options.cgroup_records_per_s).map_err(|error| map_error("LIMIT", &error))?;
    let mut links = Vec::new();
    let mut hooks = Vec::new();
    let loaded: Vec<Result<(), ProgramError>> =
        PROGRAMS.iter().map(|(_, _, program, _)| load_program(&mut bpf, program)).collect();
    // Ends before beginnings, so that no process enters the table whose end could not be seen.
    for ((_, event, program, tracepoint), loaded) in PROGRAMS.into_iter().zip(loaded).rev() {
        let refused = match loaded.and_then(|()| attach(&mut bpf, program, tracepoint)) {
            Ok(link) => {
                links.push(link);
                None
            }
            Err(error) => {
                log::debug!("{program}: {}", chain(&error));
                Some(shortened(&chain(&error)))
            }
        };
        hooks.push(Hook { event, tracepoint, refused });
    }
    hooks.reverse();
    if hooks.iter().all(|hook| hook.refused.is_some()) {
        let reasons: Vec<&str> = hooks.iter().filter_map(|hook| hook.refused.as_deref()).collect();
        return Err(LoadError::NoProgram(reasons.join("; ")));
    }
    let ring = Ring::new(ring, bell, WakeWord::new(wake), options.ring_bytes)
        .map_err(|error| map_error("BELL", &error))?;
    Ok((Programs { bpf, counters: CounterMap::new(counters), known, links, rates, hooks }, ring))
}

impl Programs {
    /// The kernel's counts by kind.
    ///
    /// # Errors
    /// When the kernel refuses the look-up.
    pub fn counts(&self) -> Result<[KernelCounts; KINDS as usize], LoadError> {
        let mut counts = self.counters.read().map_err(|error| map_error("COUNTERS", &error))?;
        for (count, (_, _, name, _)) in counts.iter_mut().zip(PROGRAMS) {
            count.missed = self.fd(name).map_or(0, |fd| recursion_misses(&fd.as_fd()));
        }
        Ok(counts)
    }

    /// Tells the programs that a file's hash is held, so that its next exec need not wake the agent at once.
    /// A full map evicts by itself; an error only costs a wake-up, so it is not reported.
    pub fn mark_known(&mut self, key: &FileKey) {
        let mut raw: RawKey = [0; size_of::<FileKey>()];
        raw.copy_from_slice(key.as_bytes());
        let _ = self.known.insert(raw, 1, 0);
    }

    /// Detaches every program; what is in the ring stays readable. The programs stay loaded, so that their
    /// own statistics can still be read.
    pub fn detach(&mut self) {
        self.links.clear();
    }

    fn fd(&self, name: &str) -> Option<&ProgramFd> {
        self.bpf.program(name)?.fd().ok()
    }
}

/// A refusal holds the verifier's log, which can have megabytes; what it is about stands at its beginning, and why at its end. The
/// health document tells of it as long as the agent runs. The whole is in the log at `debug`.
fn shortened(refusal: &str) -> String {
    const HEAD: usize = 200;
    const TAIL: usize = 1000;
    let line = refusal.trim_end().replace('\n', " | ");
    let tail = line.char_indices().rev().nth(TAIL - 1).map_or(0, |(at, _)| at);
    match (line.char_indices().nth(HEAD), line.get(tail..)) {
        (Some((head, _)), Some(rest)) if head < tail => {
            format!("{} … {rest}", line.get(..head).unwrap_or_default())
        }
        _ => line,
    }
}

fn load_program(bpf: &mut aya::Ebpf, name: &str) -> Result<(), ProgramError> {
    program(bpf, name)?.load()
}

fn program<'b>(bpf: &'b mut aya::Ebpf, name: &str) -> Result<&'b mut RawTracePoint, ProgramError> {
    bpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()
}

fn attach(bpf: &mut aya::Ebpf, name: &str, tracepoint: &str) -> Result<RawTracePointLink, ProgramError> {
    let program = program(bpf, name)?;
    let id = program.attach(tracepoint)?;
    program.take_link(id)
}

fn take(bpf: &mut aya::Ebpf, name: &'static str) -> Result<aya::maps::Map, LoadError> {
    bpf.take_map(name).ok_or_else(|| LoadError::Map(name, "missing".to_owned()))
}

fn map_error(name: &'static str, error: &dyn std::error::Error) -> LoadError {
    LoadError::Map(name, chain(error))
}

/// The loader, without the kernel's whole BTF.
///
/// `EbpfLoader::new` parses all of it (200 ms and 85 MB) for relocations that our programs don't have, and has no
/// variant that doesn't. With no descriptor to be had for a moment, its `open` is refused and it goes without.
/// Only the main thread exists this early.
fn loader_without_btf() -> EbpfLoader<'static> {
    let before = getrlimit(Resource::Nofile);
    let closed = Rlimit { current: Some(0), maximum: before.maximum };
    let lowered = setrlimit(Resource::Nofile, closed).is_ok();
    let mut loader = EbpfLoader::new();
    if lowered && let Err(error) = setrlimit(Resource::Nofile, before) {
        log::error!("the limit of open files could not be restored: {error}");
    }
    loader.btf(None);
    loader
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_its_beginning_and_its_end() {
        assert_eq!(shortened("refused: a\nb\n"), "refused: a | b");
        let log = format!(
            "the kernel refuses: {}雀\nunbounded memory access\n",
            "雀 instruction\n".repeat(100_000)
        );
        let told = shortened(&log);
        assert!(told.starts_with("the kernel refuses: 雀"), "{told}");
        assert!(told.ends_with("雀 | unbounded memory access"), "{told}");
        assert!(told.contains(" … ") && told.chars().count() == 200 + 3 + 1000, "{}", told.chars().count());
        let just = "x".repeat(1200);
        assert_eq!(shortened(&just), just);
    }
}
