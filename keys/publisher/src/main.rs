//! `linnet-keys`: makes and publishes a channel.
//!
//! The channel is a directory of files; this program is the only one that writes into it, and it writes nothing that a
//! host would refuse ([`publish`]). Private keys stay in a directory of their own ([`key_store`]). Each command makes
//! the next versions of some documents ([`draft`]), signs them with the keys that are here, and publishes them or puts
//! them aside for others to sign.
#![forbid(unsafe_code)]

mod channel;
mod cli;
mod command;
mod draft;
mod effect;
mod host;
mod key_store;
mod notes;
mod package;
mod page;
mod passphrase;
mod plugin_package;
mod publish;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use jiff::{SignedDuration, Timestamp as Time};
use zeroize::Zeroizing;

use crate::cli::{Cli, Command, Places};
use crate::command::Context;
use crate::draft::Clock;
use crate::key_store::KeyStore;
use crate::passphrase::Source;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            // Who stops reading, as `head` does, has what they wanted.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("linnet-keys: standard output: {error}; what was asked for is done");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("linnet-keys: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(Cli { places, command }: Cli) -> Result<String> {
    let context = context(&places)?;
    match command {
        Command::Init { organisation } => command::init::run(&context, organisation),
        Command::AddRelease { package, security_floor, notes } => {
            command::add::release(&context, &package, security_floor, notes::read(notes)?)
        }
        Command::AddPlugin { package, name, notes } => {
            command::add::plugin(&context, &package, name.as_deref(), notes::read(notes)?)
        }
        Command::PublishConfig { file, unchecked, hosts, dry_run } => {
            let how = command::config::How { unchecked, hosts: hosts.as_deref(), dry_run };
            command::config::run(&context, &file, how)
        }
        Command::Revoke { what } => command::revoke::run(&context, &what),
        Command::Page => command::page(&context),
        Command::Refresh => command::refresh::run(&context),
        Command::Renew { role } => command::refresh::renew(&context, &role),
        Command::Rotate { role, retire, add, threshold } => {
            command::rotate::run(&context, &role, &retire, &add, threshold)
        }
        Command::NewKey { role } => command::rotate::new_key(&context, &role),
        Command::Sign { file } => command::sign::sign(&context, &file),
        Command::Merge { files } => command::sign::merge(&context, &files),
        Command::Inspect { json } => command::inspect::run(&context, json),
        Command::Bundle { out, version, plugins } => {
            command::bundle::run(&context, &out, &command::bundle::Wish { version, plugins })
        }
        Command::Verify { root, json } => command::verify::run(&context, root.as_deref(), json),
    }
}

fn context(places: &Places) -> Result<Context> {
    let (channel, keys) = (std::path::absolute(&places.channel)?, std::path::absolute(&places.keys)?);
    if keys.starts_with(&channel) {
        bail!("the keys {keys:?} would lie inside the channel {channel:?}, which is served to everybody");
    }
    let given = std::env::var(passphrase::VARIABLE).ok().map(Zeroizing::new);
    let source = match (&places.passphrase_file, given) {
        _ if places.unencrypted => Source::None,
        (Some(path), _) => Source::File(path.clone()),
        (None, Some(given)) => Source::Given(given),
        (None, None) => Source::Terminal,
    };
    let life = places.days.map(|days| SignedDuration::from_hours(i64::from(days) * 24));
    Ok(Context {
        channel: places.channel.clone(),
        store: KeyStore::new(places.keys.clone(), source),
        clock: Clock { now: Time::now(), life },
    })
}
