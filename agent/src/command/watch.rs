//! `watch`: what happens on this machine, live.
//!
//! Where no agent runs, this is one, with the terminal as its only sink. Where one runs, its output file is followed.

mod follow;
mod view;

use std::io::IsTerminal;

use anyhow::{Context, bail};
use linnet_fleet::lock;

use super::{Common, load_settings, log_output};
use crate::{
    exit_code,
    sensor::start::{Extra, start},
};

/// Shows events until it is stopped.
pub fn execute(common: &Common, plain: bool) -> anyhow::Result<u8> {
    let mut loaded = load_settings(common.settings.as_deref())?;
    log_output::start(log::LevelFilter::Warn);
    let colours = !plain && std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if let Some(pid) = lock::holder(&loaded.settings.lock_path()) {
        let Some(file) = &loaded.settings.output.file else {
            bail!("agent {pid} runs without an output file, so there is nothing to follow; set output.file");
        };
        eprintln!("agent {pid} runs; following {}", file.path.display());
        follow::follow(&file.path, &mut view::View::new(colours))?;
        return Ok(exit_code::OK);
    }
    loaded.settings.output.file = None;
    loaded.settings.sinks.clear();
    let sinks: Vec<Box<dyn crate::sink::Sink>> = vec![Box::new(view::View::new(colours))];
    let sensor = start(loaded, Extra { btf: common.btf.clone(), sinks, follow_fleet: false })?;
    smol::block_on(sensor.run()).context("event loop")?;
    Ok(exit_code::OK)
}
