//! The guard against a hung suite: it names the claim that hangs, ends the agents, and ends the suite.
//!
//! It is no limit on speed: the time is many times what the slowest machine needs.

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::stage::Where;

struct Watched {
    claim: String,
    since: Instant,
    agents: Vec<u32>,
}

static WATCHED: Mutex<Option<Watched>> = Mutex::new(None);

/// Exit code of a suite that hung.
const HUNG: i32 = 70;

/// Starts to watch.
pub fn start(place: Where) {
    let patience = match place {
        Where::Host => Duration::from_secs(600),
        Where::Vm => Duration::from_secs(3600),
    };
    with(|watched| {
        *watched = Some(Watched { claim: String::new(), since: Instant::now(), agents: Vec::new() });
    });
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let hung = with(|watched| {
                watched.as_ref().filter(|one| one.since.elapsed() > patience).map(|one| one.claim.clone())
            });
            if let Some(claim) = hung {
                // Nothing is left to be done about a standard output that cannot be written.
                let _ =
                    writeln!(std::io::stdout(), "FAILED {claim}: hung for {patience:?}; the suite ends here");
                end_agents();
                std::process::exit(HUNG);
            }
        }
    });
}

/// A claim is being tried from now on.
pub fn is_on(claim: &str) {
    with(|watched| {
        if let Some(watched) = watched {
            claim.clone_into(&mut watched.claim);
            watched.since = Instant::now();
        }
    });
}

/// An agent was started.
pub fn will_end(pid: u32) {
    with(|watched| watched.iter_mut().for_each(|one| one.agents.push(pid)));
}

/// An agent has ended.
pub fn has_ended(pid: u32) {
    with(|watched| watched.iter_mut().for_each(|one| one.agents.retain(|other| *other != pid)));
}

fn end_agents() {
    let agents = with(|watched| watched.as_ref().map(|one| one.agents.clone())).unwrap_or_default();
    for pid in agents.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
        // One that has ended already is what is wanted.
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn with<T>(use_it: impl FnOnce(&mut Option<Watched>) -> T) -> T {
    use_it(&mut WATCHED.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}
