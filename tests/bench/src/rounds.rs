//! The rounds: every subject has its turn in each, after a pair of storms without any; who begins changes.

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use crate::machine;
use crate::session::{Plan, Session, session};
use crate::stage::Stage;
use crate::subject::none::{self, Baseline};
use crate::subject::{Availability, Subject};

/// One turn of one subject.
#[derive(Debug, Clone, Serialize)]
pub struct Turn {
    /// The storms right before, without a sensor.
    pub none: Baseline,
    /// The session.
    pub session: Session,
}

/// How a subject fared.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// Its name on the command line.
    pub name: &'static str,
    /// Name and version.
    pub title: String,
    /// Why it did not run, or ran no further.
    pub trouble: Option<String>,
    /// Whether that is because it is not installed or not possible here.
    pub missing: bool,
    /// Its size on disk.
    pub executables_bytes: u64,
    /// Its turns.
    pub turns: Vec<Turn>,
}

/// Runs all rounds. Progress and trouble go to standard error at once.
pub fn run(stage: &mut Stage, plan: &Plan, subjects: &mut [Box<dyn Subject>]) -> Result<Vec<Record>> {
    let mut results: Vec<Record> =
        subjects.iter().map(|subject| introduce(stage, subject.as_ref())).collect();
    for round in 0..plan.rounds {
        let begin = usize::try_from(round)?.checked_rem(subjects.len()).unwrap_or(0);
        let turns = (0..subjects.len()).cycle().skip(begin).take(subjects.len());
        for turn in turns {
            let (Some(subject), Some(result)) = (subjects.get_mut(turn), results.get_mut(turn)) else {
                continue;
            };
            if result.trouble.is_some() {
                continue;
            }
            eprintln!("round {} of {}: {}", round + 1, plan.rounds, result.title);
            let none = none::measure(stage, plan)?;
            match session(stage, plan, subject.as_mut()) {
                Ok(session) => result.turns.push(Turn { none, session }),
                Err(error) => {
                    let trouble = format!("{error:#}");
                    eprintln!("TROUBLE: {}: {trouble}", result.title);
                    result.trouble = Some(trouble);
                }
            }
        }
    }
    Ok(results)
}

fn introduce(stage: &Stage, subject: &dyn Subject) -> Record {
    match subject.availability(stage) {
        Availability::Ready { title, executables } => Record {
            name: subject.name(),
            title,
            trouble: None,
            missing: false,
            executables_bytes: executables.iter().map(size_on_disk).sum(),
            turns: Vec::new(),
        },
        Availability::Missing { reason } => {
            eprintln!("NOT RUN: {}: {reason}", subject.name());
            Record {
                name: subject.name(),
                title: subject.name().to_owned(),
                trouble: Some(reason),
                missing: true,
                executables_bytes: 0,
                turns: Vec::new(),
            }
        }
    }
}

fn size_on_disk(path: &PathBuf) -> u64 {
    std::fs::metadata(path).map_or(0, |facts| facts.len())
}

/// A load above which the figures mean little, on a machine that should do nothing else.
const QUIET_LOAD: f64 = 0.5;

/// A warning, if the machine is busy with something else.
pub fn noise_warning() -> Result<Option<String>> {
    let load = machine::load_average()?;
    Ok((load > QUIET_LOAD).then(|| {
        format!("the machine is not quiet (load {load:.1} at the start): something else ran, so the ranges are wide")
    }))
}
