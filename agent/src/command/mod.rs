//! The command line.

mod arguments;
mod check_config;
mod config;
mod log_output;
mod run;
mod self_test;
mod status;
mod top;
mod watch;

use std::path::Path;

use linnet_settings::{Loaded, SettingsError};

use crate::{exit_code, sensor::start::StartError};

pub use arguments::{Arguments, VERSION};
use arguments::{Command, Common};

/// Carries a command out and gives the exit code.
///
/// # Errors
/// What went wrong, with its context; [`code_of`] gives the exit code.
pub fn execute(arguments: Arguments) -> anyhow::Result<u8> {
    match arguments.command {
        Command::Run { common, stdout } => run::execute(&common, stdout),
        Command::Watch { common, plain } => watch::execute(&common, plain),
        Command::Status { settings, json, alive } => status::execute(settings.as_deref(), json, alive),
        Command::Top { settings, once } => top::execute(settings.as_deref(), once),
        Command::SelfTest { common, json } => self_test::execute(&common, json),
        Command::CheckConfig { file } => check_config::execute(&file),
        Command::Config { settings, effective, json } => {
            config::execute(settings.as_deref(), effective, json)
        }
        Command::PluginLaunch { spec } => match linnet_plugin_host::launch(&spec)? {},
        Command::Canary => Ok(exit_code::OK),
    }
}

/// The exit code of an error.
pub fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<SettingsError>() {
        return exit_code::USAGE;
    }
    error.downcast_ref::<StartError>().map_or(exit_code::ERROR, StartError::exit_code)
}

fn load_settings(named: Option<&Path>) -> anyhow::Result<Loaded> {
    Ok(Loaded::read(named)?)
}
