//! Black box: what becomes of a host when its updater is killed, loses power, or has a bad day.
//!
//! The updater is known only by its command line, its files and its exit codes. Each case has a root directory of its
//! own, with an agent that behaves as its release says. What is checked afterwards is the same everywhere: `current`
//! leads to a complete, verified release, and its agent runs.
#![forbid(unsafe_code)]

mod channel;
mod dead_man;
mod fault;
mod host;
mod kill;
mod power;
mod score;

use std::path::PathBuf;

use clap::Parser;

/// What is under test.
#[derive(Clone, Debug, Parser)]
pub struct Tools {
    /// The updater, built with kill points.
    #[arg(long)]
    updater: PathBuf,
    /// The test agent.
    #[arg(long)]
    agent: PathBuf,
    /// Cases at once.
    #[arg(long, default_value_t = 6)]
    jobs: usize,
    /// Suites: kill, dead-man, fault, power; all unless given.
    suites: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let mut tools = Tools::parse();
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
    if wanted("power") {
        power::run(&tools, &mut score)?;
    }
    println!("{} passed, {} failed", score.passed, score.failed);
    std::process::exit(i32::from(score.failed > 0 || score.passed == 0));
}
