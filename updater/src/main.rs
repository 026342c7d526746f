//! `linnet-updater`: see the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use linnet_updater::command::{self, Arguments};

fn main() -> ExitCode {
    ExitCode::from(command::execute(&Arguments::parse()))
}
