//! A small TUF client, with the command line that the conformance suites of TUF clients drive.
//!
//! ```sh
//! tuf_client --metadata-dir D init ROOT
//! tuf_client --metadata-dir D --metadata-url U refresh
//! tuf_client --metadata-dir D --metadata-url U --target-name T --target-base-url B --target-dir O download
//! ```
//!
//! It ends with 0, or with 1 and the reason. Trusted metadata is kept in `D` as `root.json`, `timestamp.json`,
//! `snapshot.json`, `targets.json` and `ROLE.json`. Suites set its clock by `faketime`, which works on a dynamically
//! linked build only.
#![expect(clippy::print_stderr, reason = "a command line tool tells its errors")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use linnet_fleet::channel::{Channel, ChannelSettings};

#[derive(Parser)]
struct Arguments {
    /// Where trusted metadata is kept.
    #[arg(long)]
    metadata_dir: PathBuf,
    /// The url of the metadata.
    #[arg(long)]
    metadata_url: Option<String>,
    /// A target path to download; may be given several times.
    #[arg(long)]
    target_name: Vec<String>,
    /// The url of the targets.
    #[arg(long)]
    target_base_url: Option<String>,
    /// Where downloaded targets are put.
    #[arg(long)]
    target_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Begin to trust a root.
    Init {
        /// The root.
        root: PathBuf,
    },
    /// Bring the metadata up to date.
    Refresh,
    /// Bring the metadata up to date, and download the targets.
    Download,
}

fn main() -> ExitCode {
    // Suites know 0 and 1, not the 2 that a wrong command line usually gives.
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if let Command::Init { root } = &arguments.command {
        let bytes = std::fs::read(root).with_context(|| format!("read {root:?}"))?;
        std::fs::create_dir_all(&arguments.metadata_dir).context("make the metadata directory")?;
        return Ok(Channel::initialize(&arguments.metadata_dir, &bytes)?);
    }
    let now = Timestamp::now();
    let url = arguments.metadata_url.as_deref().context("--metadata-url is missing")?;
    let mut channel = Channel::open(&arguments.metadata_dir, ChannelSettings::new(url).transport()?)?;
    if let Some(url) = &arguments.target_base_url {
        channel = channel.with_targets_from(ChannelSettings::new(url).transport()?);
    }
    for discarded in channel.refresh(now)?.discarded {
        eprintln!("{discarded}");
    }
    if let Command::Download = arguments.command {
        let directory = arguments.target_dir.as_deref().context("--target-dir is missing")?;
        for name in &arguments.target_name {
            let target = channel.target(name, now)?;
            channel.download(&target, &directory.join(file_name(name)))?;
        }
    }
    Ok(())
}

/// A target's path as one name, so that no path leads out of the directory.
fn file_name(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let encoded: String = path
        .bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    match encoded.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => encoded,
    }
}
