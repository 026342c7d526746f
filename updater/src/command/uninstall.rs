//! `uninstall`: takes Linnet from the host.

use super::context::{Context, Failed};
use super::report::Report;
use crate::disk;
use crate::exit_code;
use crate::layout::Link;
use crate::release_dir;
use crate::service::Armed;
use crate::units;

/// Stops the agent and removes releases, links and units. Events, settings and (without `purge`) state stay.
pub fn uninstall(context: &Context<'_>, purge: bool) -> Result<Report, Failed> {
    let lock = context.lock()?;
    let tell = |text: &str| context.tell(text);
    let mut engine = context.engine(&lock, &tell)?;
    let layout = &context.layout;
    // A dead-man that finds its note gone does nothing.
    if let Err(error) = context.service.disarm() {
        tell(&error.to_string());
    }
    Armed::remove(layout)?;
    for step in [context.service.disable(), context.service.stop()] {
        if let Err(error) = step {
            tell(&error.to_string());
        }
    }
    let current = release_dir::read_link(layout, Link::Current);
    if let Err(error) = units::apply(layout, current.as_deref(), None) {
        tell(&error.to_string());
    }
    if let Err(error) = context.service.reload() {
        tell(&error.to_string());
    }
    for name in ["linnet-agent", "linnet-updater"] {
        let path = layout.bin_dir.join(name);
        if std::fs::read_link(&path).is_ok_and(|led| led.starts_with(&layout.base))
            && let Err(error) = disk::remove_file(&path)
        {
            tell(&error.to_string());
        }
    }
    // The links first: what they lead to is a whole release until they are gone.
    for link in Link::ALL {
        release_dir::remove_link(layout, link)?;
    }
    disk::remove_tree(&layout.base)?;
    engine.note("uninstall", None);
    if purge {
        disk::remove_tree(&layout.state_dir)?;
        return Ok(Report::done("removed, with all state; settings and events stay"));
    }
    // The floor and the memory of failures outlive an installation.
    engine.state.installed = None;
    engine.state.phase = crate::machine::Phase::Idle;
    engine.persist().map_err(|error| Failed::new(exit_code::ERROR, error))?;
    Ok(Report::done("removed; settings, events, floor and root of trust stay (--purge removes the last two)"))
}
