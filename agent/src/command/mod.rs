//! The command line.

mod check_config;
mod config;
mod log_output;
mod run;
mod self_test;
mod status;
mod watch;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use linnet_settings::{Loaded, SettingsError};

use crate::{exit_code, sensor::start::StartError};

/// A lean Linux endpoint sensor.
#[derive(Debug, Parser)]
#[command(
    name = "linnet-agent",
    version,
    about = "A lean Linux endpoint sensor",
    disable_help_subcommand = true
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch this host and write events, until SIGTERM
    Run {
        #[command(flatten)]
        common: Common,
        /// Write events to standard output too
        #[arg(long)]
        stdout: bool,
    },
    /// Show live what happens, a line an event
    Watch {
        #[command(flatten)]
        common: Common,
        /// Without colours
        #[arg(long)]
        plain: bool,
    },
    /// Say how the running agent is
    Status {
        /// Settings file that the agent runs with
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// The health document itself
        #[arg(long)]
        json: bool,
    },
    /// Load everything, make an event, see it, and say what this kernel grants
    SelfTest {
        #[command(flatten)]
        common: Common,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check a settings file, without any other effect
    CheckConfig {
        /// The file
        file: PathBuf,
    },
    /// Show the settings, and whose value each is
    Config {
        /// Settings file of the host's own
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// With what the fleet's document makes of them
        #[arg(long)]
        effective: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Confine this process and become a plugin: the sensor starts it
    #[command(hide = true, name = "plugin-launch")]
    PluginLaunch {
        /// How
        spec: String,
    },
    /// End at once: the sensor starts it to see that it is seen
    #[command(hide = true, name = "canary")]
    Canary,
}

#[derive(Debug, Args)]
struct Common {
    /// Settings file [default: /etc/linnet/linnet.json, where it exists]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// BTF of this kernel, raw or in an ELF file, where /sys/kernel/btf/vmlinux is missing
    #[arg(long, value_name = "FILE")]
    btf: Option<PathBuf>,
}

/// Carries a command out and gives the exit code.
///
/// # Errors
/// What went wrong, with its context; [`code_of`] gives the exit code.
pub fn execute(arguments: Arguments) -> anyhow::Result<u8> {
    match arguments.command {
        Command::Run { common, stdout } => run::execute(&common, stdout),
        Command::Watch { common, plain } => watch::execute(&common, plain),
        Command::Status { settings, json } => status::execute(settings.as_deref(), json),
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
