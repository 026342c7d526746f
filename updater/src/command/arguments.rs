//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use linnet_keys::Sha256Digest;
use linnet_keys::release::Version;

/// Takes this host from one signed release to the next, watches it, and rolls back by itself.
#[derive(Debug, Parser)]
#[command(name = "linnet-updater", version, about)]
pub struct Arguments {
    /// Settings; /etc/linnet/updater.json where there is one, else all defaults.
    #[arg(long, global = true, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Work below this directory in place of /.
    #[arg(long, global = true, value_name = "DIR")]
    pub root_dir: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the first release onto this host, verified, also without network.
    Install {
        /// A channel: its URL, a directory that holds a copy of it, or a bundle of it (`linnet-keys bundle`). Without it,
        /// the channel that this host is enrolled with.
        #[arg(long, value_name = "URL|DIR|FILE")]
        from: Option<String>,
        /// The root of trust, brought to this host by a way that you trust. Without it, that of the enrolment.
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,
        /// For packages: leave a host as it is that follows a channel, is held, or has this release or a newer one.
        #[arg(long)]
        only_newer: bool,
    },
    /// Tell this host which channel it follows, and whom it trusts at first.
    Enrol(Enrol),
    /// Allow updates again.
    Enable,
    /// Change nothing on this host, whatever the channel says.
    Disable {
        /// For those who ask later.
        #[arg(long)]
        why: Option<String>,
    },
    /// Want one version, whatever the channel says.
    Pin {
        /// Which; the one that is installed unless given.
        version: Option<Version>,
        /// For those who ask later.
        #[arg(long)]
        why: Option<String>,
    },
    /// Follow the channel again.
    Unpin,
    /// Allow a release that failed on this host to be tried again.
    Retry {
        /// Which version; all unless given.
        version: Option<Version>,
    },
    /// Say whether there is an update, and change nothing.
    Check,
    /// Take what the channel wants of this host.
    Update,
    /// Do what the timer does: finish what was begun, then update; being held is no error.
    Run,
    /// Go back to the release before.
    Rollback {
        /// For those who ask later.
        #[arg(long)]
        why: Option<String>,
    },
    /// Say how things are.
    Status,
    /// Say what happened.
    History {
        /// How many lines.
        #[arg(long, short = 'n', default_value_t = 30)]
        lines: usize,
    },
    /// Finish or undo what was interrupted, and check what is installed.
    Recover {
        /// Roll back: the time of whoever watched is up.
        #[arg(long, hide = true)]
        dead_man: bool,
        /// Roll back if the agent is on probation: the service manager gave it up.
        #[arg(long, hide = true, conflicts_with = "dead_man")]
        agent_failed: bool,
    },
    /// Stop the agent and remove it from this host.
    Uninstall {
        /// Also remove the updater's state, the root of trust included.
        #[arg(long)]
        purge: bool,
    },
    /// Say whether this updater could take over on this host.
    SelfTest,
    /// Wait, and roll back unless the transaction ends.
    #[command(hide = true)]
    DeadMan,
}

/// Which channel a host follows.
#[derive(Debug, Args)]
pub struct Enrol {
    /// The channel's URL.
    #[arg(long)]
    pub url: String,
    /// The channel's root of trust, brought to this host by a way that you trust.
    #[arg(long, value_name = "FILE", required_unless_present = "root_sha256")]
    pub root: Option<PathBuf>,
    /// The root's SHA-256 digest. Without --root, the channel's 1.root.json is fetched and has to have it.
    #[arg(long, value_name = "HEX")]
    pub root_sha256: Option<Sha256Digest>,
    /// What the fleet's overrides know this host by; any number of them.
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// PEM certificates that are trusted for TLS beside those of the system.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// `http://[user:password@]host:port`, or `none`.
    #[arg(long)]
    pub proxy: Option<String>,
    /// Replace what this host was enrolled with before.
    #[arg(long)]
    pub replace: bool,
}
