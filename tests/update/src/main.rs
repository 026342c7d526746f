//! Black box: what becomes of a host when its updater is killed, loses power, or has a bad day.
//!
//! The updater is known only by its command line, its files and its exit codes. Each case has a root directory of its
//! own, with an agent that behaves as its release says. What is checked afterwards is the same everywhere: `current`
//! leads to a complete, verified release, and its agent runs.
#![forbid(unsafe_code)]

mod bundle;
mod channel;
mod dead_man;
mod fault;
mod host;
mod kill;
mod past;
mod power;
mod revoked;
mod score;

use std::path::{Path, PathBuf};

use clap::Parser;
use rustix::fs::StatVfsMountFlags;

/// What is under test.
#[derive(Clone, Debug, Parser)]
pub struct Tools {
    /// The updater, built with kill points.
    #[arg(long)]
    updater: PathBuf,
    /// The test agent.
    #[arg(long)]
    agent: PathBuf,
    /// The publisher's tool; unless given, the one beside this program.
    #[arg(long)]
    keys: Option<PathBuf>,
    /// Cases at once.
    #[arg(long, default_value_t = 6)]
    jobs: usize,
    /// Suites: kill, dead-man, fault, past, revoked, bundle, power; all unless given.
    suites: Vec<String>,
}

/// Memory that the hosts are kept in, where this machine has enough of it and nobody asked for another place (`TMPDIR`): the
/// cases wait less for the disk. What a power loss leaves of a disk is reckoned out, not tried on this one.
fn memory() -> Option<&'static Path> {
    const ENOUGH_BYTES: u64 = 3 << 30;
    let path = Path::new("/dev/shm");
    let stat = rustix::fs::statvfs(path).ok()?;
    let is_fit = stat.f_bavail.saturating_mul(stat.f_frsize) >= ENOUGH_BYTES
        && !stat.f_flag.intersects(StatVfsMountFlags::NOEXEC | StatVfsMountFlags::RDONLY);
    (is_fit && std::env::var_os("TMPDIR").is_none()).then_some(path)
}

fn main() -> anyhow::Result<()> {
    let mut tools = Tools::parse();
    if let Some(memory) = memory() {
        // Nobody has set it before.
        let _ = tempfile::env::override_temp_dir(memory);
    }
    // The dead-man works in another directory.
    for program in [&mut tools.updater, &mut tools.agent] {
        *program = std::path::absolute(&*program)?;
    }
    let mut score = score::Score::default();
    let wanted = |name: &str| tools.suites.is_empty() || tools.suites.iter().any(|suite| suite == name);
    if wanted("kill") {
        kill::run(&tools, &mut score)?;
    }
    if wanted("dead-man") {
        dead_man::run(&tools, &mut score)?;
    }
    if wanted("fault") {
        fault::run(&tools, &mut score)?;
    }
    if wanted("past") {
        past::run(&tools, &mut score)?;
    }
    if wanted("revoked") {
        revoked::run(&tools, &mut score)?;
    }
    if wanted("bundle") {
        bundle::run(&tools, &mut score)?;
    }
    if wanted("power") {
        power::run(&tools, &mut score)?;
    }
    println!("{} passed, {} failed", score.passed, score.failed);
    std::process::exit(i32::from(score.failed > 0 || score.passed == 0));
}
