//! The command line: what can be typed, and nothing of what it does, since the manual is made from it too.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Make and publish a channel: signed releases, settings and plugins, as a plain directory for any web server.
///
/// A channel has its own keys, so that who signs releases, who sets what a fleet does, and the machine that keeps it
/// fresh can be three. Begin with `linnet-keys init`; `linnet-keys inspect` says at any time what there is.
#[derive(Debug, Parser)]
#[command(name = "linnet-keys", version, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub places: Places,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Places {
    /// The channel's directory, that the web server serves.
    #[arg(long, global = true, value_name = "DIR", default_value = "channel")]
    pub channel: PathBuf,
    /// The directory of private keys. Never inside the channel.
    #[arg(long, global = true, value_name = "DIR", default_value = "keys")]
    pub keys: PathBuf,
    /// A file whose first line is the passphrase of the keys. Otherwise LINNET_KEYS_PASSPHRASE, otherwise the terminal.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "unencrypted")]
    pub passphrase_file: Option<PathBuf>,
    /// Keys without passphrase: whoever reads a file has the key.
    #[arg(long, global = true)]
    pub unencrypted: bool,
    /// How many days the documents that this run signs shall be valid. Default: 7 for snapshot and timestamp, 365
    /// for the others.
    #[arg(long, global = true, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: Option<u32>,
}

/// What is new, for people; it is signed with the package.
#[derive(Debug, Args)]
pub struct Notes {
    /// What is new, in a sentence.
    #[arg(long, default_value = "", conflicts_with = "notes_file")]
    pub notes: String,
    /// The same from a file, of 16 KiB at most.
    #[arg(long, value_name = "FILE")]
    pub notes_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make keys and a first, empty channel.
    Init {
        /// For several people: three keys for root and three for targets, of which two must sign.
        #[arg(long)]
        organisation: bool,
    },
    /// Publish a release that hosts may then be given by `publish-config`.
    AddRelease {
        /// The package (.tar.gz).
        package: PathBuf,
        /// No host that took this release goes below this version again. Default: as in the newest release, or 0.0.0.
        #[arg(long, value_name = "VERSION")]
        security_floor: Option<linnet_keys::release::Version>,
        #[command(flatten)]
        notes: Notes,
    },
    /// Publish `config/fleet.json`: what the fleet does, and which release whom to give when.
    PublishConfig {
        /// The document.
        file: PathBuf,
        /// Publish settings that the agent of this tool's version would refuse: for the settings of a newer one. Hosts
        /// that refuse them keep what they follow.
        #[arg(long)]
        unchecked: bool,
        /// A list of hosts: name, id and tags on each line. Says how many of them the document touches, at each wave, and
        /// refuses one that a host of the list would refuse.
        #[arg(long, value_name = "FILE")]
        hosts: Option<PathBuf>,
        /// Check and tell, and publish nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Publish a plugin.
    AddPlugin {
        /// Its directory, with `plugin.json` and its program, or a package of one (.tar.gz).
        package: PathBuf,
        /// Its name, to be sure: it must be the one in its `plugin.json`.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        notes: Notes,
    },
    /// Take a release or plugin back: no host takes it any more, and hosts that run it leave it.
    Revoke {
        /// Its path (release/…), its version, or the SHA-256 of its package.
        what: String,
    },
    /// Write the channel's index.html anew, for people with a browser. Every publishing does it too.
    Page,
    /// Sign timestamp and snapshot anew, and what else is due and has its key here. For a timer, at least daily.
    Refresh,
    /// Sign a role's document with a new life, nothing else changed.
    Renew {
        /// root, targets, config or plugins.
        role: String,
    },
    /// Replace keys of a role by new ones.
    Rotate {
        /// root, targets, config, plugins, snapshot or timestamp.
        role: String,
        /// The key to take out (the first digits of its id). Needed where the role has several. May be repeated.
        #[arg(long, value_name = "KEYID")]
        retire: Vec<String>,
        /// A public key that somebody else made by `new-key`, instead of a new one made here. May be repeated.
        #[arg(long, value_name = "HEX")]
        add: Vec<String>,
        /// How many must sign from now on. Default: as before.
        #[arg(long, value_name = "N")]
        threshold: Option<std::num::NonZeroU64>,
    },
    /// Make a private key here and print its public half, for `rotate --add`.
    NewKey {
        /// The role that it is for.
        role: String,
    },
    /// Add the signatures of the keys here to a document that waits. Needs no channel.
    Sign {
        /// The document, named like 5.targets.json.
        file: PathBuf,
    },
    /// Put the signatures of several copies together, and publish when they suffice.
    Merge {
        /// The copies, of one or several documents.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show the channel: who may sign what, what expires when, what is current.
    Inspect {
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Put a release and the channel's documents into one file, for hosts without network. Needs no keys.
    Bundle {
        /// The file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The release. Default: the one that the settings give to hosts, or else the newest.
        #[arg(long)]
        version: Option<linnet_keys::release::Version>,
        /// Plugins to go along, or `all`.
        #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
        plugins: Vec<String>,
    },
    /// Check the channel as a host would, from its first root (or from the root that hosts have), and every file in it.
    Verify {
        /// The root that hosts have.
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
}
