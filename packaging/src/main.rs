//! `linnet-manual OUT`: manual pages and shell completions, made from the command lines as the programs parse them.
//!
//! Writes `OUT/man/man8` for what hosts run, `OUT/man/man1` for the publisher's tool, and `OUT/completions/` by shell.
//! The programs themselves carry none of this.
#![forbid(unsafe_code)]

// Their crates are programs, which nothing can link to.
#[path = "../../agent/src/command/arguments.rs"]
mod agent;
#[path = "../../keys/publisher/src/cli.rs"]
mod keys;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

const SHELLS: [(Shell, &str); 3] = [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")];

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(out), None) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        bail!("usage: linnet-manual OUT");
    };
    let programs = [
        (agent::Arguments::command(), "8"),
        (linnet_updater::command::Arguments::command(), "8"),
        (keys::Cli::command(), "1"),
    ];
    for (command, section) in programs {
        pages(&command, section, &out.join(format!("man/man{section}")))?;
        for (shell, name) in SHELLS {
            let directory = out.join("completions").join(name);
            make(&directory)?;
            clap_complete::generate_to(shell, &mut command.clone(), command.get_name(), &directory)
                .with_context(|| format!("write completions into {directory:?}"))?;
        }
    }
    Ok(())
}

/// A page for the program and one for each command of it.
fn pages(command: &Command, section: &str, directory: &Path) -> Result<()> {
    make(directory)?;
    let mut command = command.clone();
    command.build();
    let name = command.get_name().to_owned();
    page(&command, &name, section, directory)?;
    for part in command.get_subcommands().filter(|part| !part.is_hide_set() && part.get_name() != "help") {
        page(part, &format!("{name}-{}", part.get_name()), section, directory)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str, section: &str, directory: &Path) -> Result<()> {
    let path = directory.join(format!("{name}.{section}"));
    let title = name.to_uppercase();
    let man = Man::new(command.clone()).title(title).section(section).source("Linnet").manual("Linnet");
    let mut text = Vec::new();
    man.render(&mut text).with_context(|| format!("render {path:?}"))?;
    fs::write(&path, text).with_context(|| format!("write {path:?}"))
}

fn make(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("make {directory:?}"))
}
