//! The new release's own tests, before anything is switched.
//!
//! Its agent tries itself with the settings of this host, and its updater reads the state and the settings of the one
//! that runs: an updater that could not take over must not be committed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::child::{self, Output};
use crate::layout::Layout;
use crate::machine::{Failure, FailureKind};
use crate::service::SelfCall;
use crate::settings::Settings;
use crate::{exit_code, kill_point};

/// The updater's own test is short.
const UPDATER_TIMEOUT: Duration = Duration::from_secs(30);
/// Nothing of this process's environment decides how the test ends.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the tests of the release in `dir_name`.
///
/// # Errors
/// A [`Failure`] of the release, with the last words of the test that failed.
pub fn run(layout: &Layout, settings: &Settings, own: &SelfCall, dir_name: &str) -> Result<(), Failure> {
    let bin = layout.release(dir_name).join("bin");
    let mut agent = program(&bin.join("linnet-agent"));
    agent.args(&settings.preflight.arguments);
    let timeout = Duration::from_secs(u64::from(settings.preflight.timeout_s));
    kill_point::reach("before-self-test");
    judge("the new agent's self-test", agent, timeout)?;
    kill_point::reach("after-self-test");
    let path = bin.join("linnet-updater");
    if path.is_file() {
        let mut updater = program(&path);
        updater.args(&own.arguments).arg("self-test");
        judge("the new updater's self-test", updater, UPDATER_TIMEOUT)?;
    }
    Ok(())
}

fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("PATH", PATH).current_dir("/");
    command
}

fn judge(what: &str, command: Command, timeout: Duration) -> Result<(), Failure> {
    let failed = |why: String| {
        Failure::new(FailureKind::Release, format!("{what}: {why}")).with_exit(exit_code::PREFLIGHT)
    };
    let ended = child::run(command, timeout, Output::Tail).map_err(|error| failed(error.to_string()))?;
    if ended.well() { Ok(()) } else { Err(failed(ended.in_words())) }
}
