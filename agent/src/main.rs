//! `linnet-agent`: the sensor and its command line.

mod command;
mod error_text;
mod event;
mod exit_code;
mod kernel;
mod memory_copy;
mod metrics;
mod process;
mod record;
mod remote;
mod sensor;
mod sink;
mod terminal;
mod top;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    match command::execute(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("linnet-agent: {}", terminal::sanitised(&error_text::chain(error.as_ref())));
            ExitCode::from(command::code_of(&error))
        }
    }
}
