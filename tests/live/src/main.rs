//! The live suite: runs a built agent on the kernel that is there, does things, and checks what the agent says of them.
//!
//! It brings everything along: a static program that needs no shell and no other program, and that plays the
//! processes of the claims itself (see [`act`]). It knows the agent only from outside: its command line, its
//! output, its health document.

mod act;
mod agent;
mod cgroup;
mod claim;
mod cli;
mod docker;
mod equation;
mod event;
mod program;
mod recording;
mod stage;
mod suite;
mod sys;
mod trouble;
mod watchdog;
mod wholeness;

use std::process::ExitCode;

use cli::Order;
use stage::Stage;

/// Exit code of a wrong command line.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let order = match cli::parse(std::env::args_os().skip(1)) {
        Ok(order) => order,
        Err(why) => {
            eprintln!("linnet-live: {why}\n{}", cli::USAGE);
            return ExitCode::from(USAGE);
        }
    };
    match order {
        Order::Act(steps) => act::run(steps),
        Order::List => {
            for name in suite::names(&claim::all()) {
                println!("{name}");
            }
            ExitCode::SUCCESS
        }
        Order::CheckDocker { events, containers, health } => {
            of(docker::check(&events, &containers, health.as_deref()))
        }
        Order::Suite { agent, place, only } => match Stage::new(&agent, place) {
            Ok(stage) => {
                watchdog::start(place);
                let tally = suite::run_with_second_tries(&stage, &claim::all(), &only);
                if tally.passed + tally.failed == 0 {
                    eprintln!("linnet-live: no claim was tried; --list names them");
                    return ExitCode::from(USAGE);
                }
                of(tally.finish())
            }
            Err(trouble) => {
                eprintln!("linnet-live: {trouble}");
                ExitCode::from(USAGE)
            }
        },
    }
}

fn of(all_is_well: bool) -> ExitCode {
    if all_is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
