//! The benchmark: what the sensor costs, beside its peers, in one run. See README.md.

#![forbid(unsafe_code)]

mod audit;
mod charge;
mod cli;
mod figures;
mod machine;
mod processes;
mod report;
mod rounds;
mod search_path;
mod session;
mod stage;
mod subject;
mod undo;

use std::fs;
use std::io::stdin;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use linnet_bench::equation::{self, Account};
use linnet_bench::program::{self, Behaviour, Program};
use linnet_bench::storm::{self, Load, Outcome, Shift};
use linnet_bench::verify::{Verdict, Verification};
use linnet_fleet::health::Health;
use serde::{Deserialize, Serialize};

use crate::cli::{Cli, Command, SubjectName};
use crate::rounds::Record;
use crate::session::Plan;
use crate::stage::Stage;
use crate::subject::Subject;
use crate::subject::auditd::Auditd;
use crate::subject::bpftrace::Bpftrace;
use crate::subject::laurel::Laurel;
use crate::subject::linnet::Linnet;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(arguments) => run(&arguments),
        Command::Storm(storm) => make_storm(&storm.dir, Behaviour::Exit, |program| Load {
            name: storm.token.clone(),
            workers: storm.workers,
            execs: storm.execs,
            program,
            filler_bytes: 0,
            birth: storm.birth.into(),
        }),
        Command::Flood(flood) => make_storm(&flood.dir, Behaviour::ForkAndExit, |program| Load {
            name: flood.token.clone(),
            workers: flood.workers,
            execs: flood.execs,
            program,
            filler_bytes: flood.filler_bytes as usize,
            birth: flood.birth.into(),
        }),
        Command::Verify(arguments) => verify(&arguments),
        Command::Worker(worker) => storm::work(&Shift {
            name: worker.storm,
            worker: worker.worker,
            execs: worker.execs,
            program: worker.program,
            filler_bytes: worker.filler_bytes,
            birth: worker.birth.into(),
        })
        .map_err(Into::into),
        Command::Within { cgroup, argv } => stage::within(&cgroup, &argv),
        Command::Guard => undo::guard(stdin().lock()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("linnet-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &cli::Run) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("run it as root: sensors and their peers need it");
    }
    let mut plan = Plan {
        rounds: arguments.rounds,
        execs: arguments.execs,
        events: arguments.events,
        warm_up_execs: (arguments.execs / 20).max(2),
        birth: arguments.birth.into(),
    };
    if arguments.quick {
        plan = Plan { rounds: 2, execs: 4_000, events: 12_000, warm_up_execs: 200, ..plan };
    }
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    for name in &arguments.subjects {
        let linnet = |name, cpu_permille| Linnet::new(name, arguments.agent.clone(), cpu_permille);
        match name {
            SubjectName::None => {}
            SubjectName::Linnet => subjects.push(Box::new(linnet("linnet", Some(1000)))),
            SubjectName::LinnetDefault => subjects.push(Box::new(linnet("linnet-default", None))),
            SubjectName::Auditd => subjects.push(Box::new(Auditd)),
            SubjectName::Laurel => subjects.push(Box::new(Laurel { program: arguments.laurel.clone() })),
            SubjectName::Bpftrace => subjects.push(Box::new(Bpftrace)),
        }
    }
    let machine = machine::description()?;
    let warning = rounds::noise_warning()?;
    let mut stage = Stage::set_up(arguments.dir.as_deref())?;
    let records = rounds::run(&mut stage, &plan, &mut subjects)?;
    println!("{}", report::markdown(&machine, &plan, &records, warning.as_deref()));
    if let Some(path) = &arguments.json {
        let text =
            report::json(&machine, &plan, &records, warning.as_deref()).context("encode the results")?;
        fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    // A peer may be absent; the sensor that all this is about may not.
    let fails =
        |record: &Record| record.trouble.is_some() && (!record.missing || record.name.starts_with("linnet"));
    if records.iter().any(fails) {
        bail!("a subject failed; the reason is below the table");
    }
    Ok(())
}

/// What `storm` and `flood` print, and `verify` reads.
#[derive(Serialize, Deserialize)]
struct StormDocument {
    outcome: Outcome,
    sha256: String,
}

fn make_storm(dir: &Path, behaviour: Behaviour, load: impl Fn(std::path::PathBuf) -> Load) -> Result<()> {
    let executable = std::env::current_exe().context("find this program's own file")?;
    let Program { path, sha256 } = program::write(dir, behaviour)?;
    let outcome = storm::run(&executable, &load(path))?;
    println!("{}", serde_json::to_string(&StormDocument { outcome, sha256 }).context("encode the result")?);
    Ok(())
}

/// What `verify` prints.
#[derive(Serialize)]
struct Findings {
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Account>,
}

fn verify(arguments: &cli::Verify) -> Result<()> {
    let text = fs::read(&arguments.storm).with_context(|| format!("read {}", arguments.storm.display()))?;
    let storm: StormDocument =
        serde_json::from_slice(&text).with_context(|| format!("read {}", arguments.storm.display()))?;
    let mut verification = Verification::new(&storm.outcome, &storm.sha256);
    for path in &arguments.events {
        verification.read_file(path)?;
    }
    let verdict = verification.finish();
    let account = match &arguments.health {
        Some(path) => Some(equation::account(&Health::read(path)?, Some(&verdict))),
        None => None,
    };
    let good = if arguments.allow_loss { verdict.is_true() } else { verdict.is_complete() };
    let balanced = account.as_ref().is_none_or(|account| account.contradictions.is_empty());
    println!(
        "{}",
        serde_json::to_string_pretty(&Findings { verdict, account }).context("encode the findings")?
    );
    if !good || !balanced {
        bail!("the events do not stand up to the storm; see above");
    }
    Ok(())
}
