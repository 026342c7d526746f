//! What can be typed. Nothing but clap is used here, because the manual pages are made from this file, too.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// What the agent tells of itself: the source's version, unless the build was given another (`build.rs`).
pub const VERSION: &str = match option_env!("LINNET_AGENT_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// A lean Linux endpoint sensor.
#[derive(Debug, Parser)]
#[command(
    name = "linnet-agent",
    version = VERSION,
    about = "A lean Linux endpoint sensor",
    disable_help_subcommand = true
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
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
        /// Say nothing, and succeed as long as the agent runs, degraded or not: for probes
        #[arg(long, conflicts_with = "json")]
        alive: bool,
    },
    /// Show the running agent on a screen: rates, losses, limits, who makes the most work
    Top {
        /// Settings file that the agent runs with
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// As plain text, once
        #[arg(long)]
        once: bool,
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

/// What the commands that load the sensor have in common.
#[derive(Debug, Args)]
pub struct Common {
    /// Settings file [default: /etc/linnet/linnet.json, where it exists]
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// BTF of this kernel, raw or in an ELF file, where /sys/kernel/btf/vmlinux is missing
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
}
