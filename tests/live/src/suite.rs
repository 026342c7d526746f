//! Runs the claims and says how it went.
//!
//! A claim of a [`Group`] has two parts: a deed, done while the group's one agent runs, and a check of what the agent
//! wrote, which the deed gives back. So many claims share one agent, and each stands in one piece of code. A claim
//! that is [`alone`](Case::Alone) starts and stops its own agents. Every run of an agent is held against
//! [`wholeness`](crate::wholeness) too.

use std::io::Write;

use serde_json::Value;

use crate::agent::Agent;
use crate::recording::Recording;
use crate::stage::{Stage, Where};
use crate::trouble::{Result, Trouble, not_here};
use crate::watchdog;
use crate::wholeness::{self, Expect};

/// What is asked of the events; gives a remark, which may be empty.
pub type Check = Box<dyn FnOnce(&Recording) -> Result<String>>;
/// What is done while the agent runs.
pub type Deed = fn(&Stage) -> Result<Check>;

/// A claim's name and deed.
pub type Claim = (&'static str, Deed);

/// A check that gives no remark.
pub fn check(ask: impl FnOnce(&Recording) -> Result + 'static) -> Result<Check> {
    Ok(Box::new(|run| ask(run).map(|()| String::new())))
}

/// Claims that share one agent.
#[derive(Clone, Copy)]
pub struct Group {
    /// What they are about.
    pub about: &'static str,
    /// Changes to the settings.
    pub settings: fn() -> Value,
    /// The claims.
    pub claims: &'static [&'static [Claim]],
}

impl Group {
    fn claims(&self) -> impl Iterator<Item = &'static Claim> {
        self.claims.iter().copied().flatten()
    }

    /// The name of the claim that is made of its run.
    fn whole(&self) -> String {
        format!("a_run_{}_is_whole_and_its_losses_add_up", self.about)
    }
}

/// What the suite consists of.
#[derive(Clone, Copy)]
pub enum Case {
    /// Claims that share one agent.
    Group(Group),
    /// A claim with agents of its own.
    Alone(&'static str, fn(&Stage) -> Result<String>),
    /// The same for one that no kernel makes a difference to, so that an emulated machine need not spend its time on it.
    AloneOnHost(&'static str, fn(&Stage) -> Result<String>),
}

/// Claims by the names of their functions.
#[macro_export]
macro_rules! claims {
    ($($claim:ident),* $(,)?) => { &[$((stringify!($claim), $claim)),*] };
}

/// The names of all claims.
pub fn names(cases: &[Case]) -> Vec<String> {
    cases
        .iter()
        .flat_map(|case| match case {
            Case::Alone(name, _) | Case::AloneOnHost(name, _) => vec![(*name).to_owned()],
            Case::Group(group) => {
                group.claims().map(|(name, _)| (*name).to_owned()).chain([group.whole()]).collect()
            }
        })
        .collect()
}

/// The results so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Claims that hold.
    pub passed: u32,
    /// Claims that do not.
    pub failed: u32,
    /// Claims that could not be tried.
    pub skipped: u32,
    /// Names of those that do not hold and that a disturbance may excuse.
    excusable: Vec<String>,
}

impl Tally {
    /// Prints one result and counts it.
    pub fn take(&mut self, name: &str, result: Result<String>) {
        match result {
            Ok(remark) if remark.is_empty() => {
                self.passed += 1;
                print(&format!("ok {name}"));
            }
            Ok(remark) => {
                self.passed += 1;
                print(&format!("ok {name} ({remark})"));
            }
            Err(Trouble::Wrong(why)) => {
                self.failed += 1;
                self.excusable.push(name.to_owned());
                print(&format!("FAILED {name}: {why}"));
            }
            Err(Trouble::Never(why)) => {
                self.failed += 1;
                print(&format!("FAILED {name}: {why}"));
            }
            Err(Trouble::NotHere(why)) => {
                self.skipped += 1;
                print(&format!("NOT RUN {name}: {why}"));
            }
        }
    }

    /// Prints the last line; true when nothing failed.
    pub fn finish(self) -> bool {
        print(&format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped));
        self.failed == 0
    }
}

/// More failures than this are no disturbance.
const SECOND_TRIES: usize = 5;

/// Runs all claims whose name holds `only`; in a virtual machine, those few that failed a second time.
///
/// The claims race real processes against each other, and an emulated machine can stand still for a second in the
/// middle of any of them. What fails twice there is wrong; what holds at its second try is told as unsteady, loudly, so
/// that it is looked into. A wrong hash, a line that is no event or an equation that does not come out
/// ([`Trouble::Never`]) has no excuse, and nothing has one on a real machine.
pub fn run_with_second_tries(stage: &Stage, cases: &[Case], only: &str) -> Tally {
    let mut tally = run(stage, cases, only);
    let excusable = std::mem::take(&mut tally.excusable);
    if stage.place != Where::Vm || excusable.len() > SECOND_TRIES {
        return tally;
    }
    for name in excusable {
        print(&format!("AGAIN {name}"));
        let second = run(stage, cases, &name);
        if second.failed == 0 && second.passed > 0 {
            tally.failed -= 1;
            tally.passed += 1;
            print(&format!("UNSTEADY {name}: held at its second try only"));
        }
    }
    tally
}

/// Runs all claims whose name holds `only`.
fn run(stage: &Stage, cases: &[Case], only: &str) -> Tally {
    let mut tally = Tally::default();
    if std::env::var_os(wholeness::CHECKER).is_none() {
        let why = format!("{} does not name a checker", wholeness::CHECKER);
        tally.take("every_event_is_valid_ocsf", Err(Trouble::NotHere(why)));
    }
    for case in cases {
        match case {
            Case::Alone(name, _) | Case::AloneOnHost(name, _) if !name.contains(only) => {}
            Case::AloneOnHost(name, _) if stage.place == Where::Vm => {
                tally
                    .take(name, not_here("no kernel makes a difference to it; tried on an ordinary machine"));
            }
            Case::Alone(name, claim) | Case::AloneOnHost(name, claim) => {
                watchdog::is_on(name);
                tally.take(name, claim(stage));
            }
            Case::Group(group) => run_group(stage, group, only, &mut tally),
        }
    }
    tally
}

fn run_group(stage: &Stage, group: &Group, only: &str, tally: &mut Tally) {
    let whole = group.whole();
    let wanted: Vec<&Claim> =
        group.claims().filter(|(name, _)| name.contains(only) || whole.contains(only)).collect();
    if wanted.is_empty() {
        return;
    }
    watchdog::is_on(&whole);
    let agent = match Agent::start(stage, &(group.settings)()) {
        Ok(agent) => agent,
        Err(trouble) => {
            for (name, _) in wanted {
                tally.take(name, Err(trouble.clone()));
            }
            return;
        }
    };
    let mut checks = Vec::new();
    for (name, deed) in wanted {
        watchdog::is_on(name);
        match deed(stage) {
            Ok(check) => checks.push((*name, check)),
            Err(trouble) => tally.take(name, Err(trouble.while_doing("the deed"))),
        }
    }
    watchdog::is_on(&whole);
    match agent.stop() {
        Ok(run) => {
            for (name, check) in checks {
                tally.take(name, check(&run));
            }
            let result = wholeness::check(&run, Expect::All);
            tally.take(&whole, result.map(|events| format!("{events} events")));
        }
        Err(trouble) => {
            for (name, _) in checks {
                tally.take(name, Err(trouble.clone()));
            }
            tally.take(&whole, Err(trouble));
        }
    }
}

/// Prints lines that cannot move a terminal.
fn print(text: &str) {
    let safe: String = text
        .chars()
        .map(
            |ch| if ch.is_control() && ch != '\n' { ch.escape_default().to_string() } else { ch.to_string() },
        )
        .collect();
    let mut out = std::io::stdout().lock();
    // Without a standard output there is nobody to tell.
    let _ = writeln!(out, "{safe}");
    let _ = out.flush();
}
