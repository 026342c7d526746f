//! `run`: the sensor, in the foreground.

use anyhow::Context;

use super::{Common, load_settings, log_output};
use crate::{
    exit_code,
    sensor::start::{Extra, start},
    sink::{Sink, stdout::Stdout},
};

/// Runs until SIGTERM or SIGINT.
pub fn execute(common: &Common, stdout: bool) -> anyhow::Result<u8> {
    let loaded = load_settings(common.settings.as_deref())?;
    log_output::start(loaded.settings.log_level.into());
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if stdout || loaded.settings.output.stdout {
        sinks.push(Box::new(Stdout));
    }
    let sensor = start(loaded, Extra { btf: common.btf.clone(), sinks, follow_fleet: true })?;
    smol::block_on(sensor.run()).context("event loop")?;
    Ok(exit_code::OK)
}
