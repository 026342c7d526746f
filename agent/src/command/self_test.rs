//! `self-test`: whether the sensor would work here, tried for real.

use std::{
    fmt::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use linnet_ebpf::KINDS;
use serde_json::json;

use super::{Common, load_settings, log_output};
use crate::{
    exit_code,
    kernel::{
        load::{LoadOptions, Programs, load},
        ring::{Enough, Ring},
    },
    record::{self, Record},
    sensor::{canary, ledger::KIND_NAMES},
    terminal,
};

/// How long an event may take to come, on the slowest machine; a wait that ends as soon as it is there.
const PATIENCE: Duration = Duration::from_secs(20);

/// Loads the programs, starts a process, and looks for its fork, exec and exit.
pub fn execute(common: &Common, json: bool) -> anyhow::Result<u8> {
    let settings = load_settings(common.settings.as_deref())?.settings;
    log_output::start(log::LevelFilter::Warn);
    if !rustix::process::geteuid().is_root() {
        return Err(crate::sensor::start::StartError::NotRoot.into());
    }
    let begun = Instant::now();
    let options = LoadOptions {
        btf: common.btf.as_deref(),
        ring_bytes: settings.ring.bytes,
        argv_max_bytes: settings.argv_max_bytes,
        cgroup_records_per_s: 0,
    };
    let (mut programs, ring) = load(options).map_err(crate::sensor::start::StartError::from)?;
    let load_ms = begun.elapsed().as_millis();
    let seen = smol::block_on(watch_canary(ring))?;
    let event_ms = begun.elapsed().as_millis();
    programs.detach();
    terminal::print(&report(&programs, seen, load_ms, event_ms, json))?;
    let works = programs.hooks.iter().all(|hook| hook.refused.is_none()) && seen.iter().all(|seen| *seen);
    Ok(if works { exit_code::OK } else { exit_code::ERROR })
}

async fn watch_canary(mut ring: Ring) -> anyhow::Result<[bool; KINDS as usize]> {
    let mut child = Command::new("/proc/self/exe").arg(canary::COMMAND).stdin(Stdio::null()).spawn()?;
    let pid = child.id();
    let mut seen = [false; KINDS as usize];
    let until = Instant::now() + PATIENCE;
    while !seen.iter().all(|seen| *seen) && Instant::now() < until {
        let drained = ring.drain(|bytes| {
            let kind = record::kind(bytes).map_or(usize::MAX, usize::from);
            let of_canary = match record::decode(bytes) {
                Ok(Record::Fork(fork)) => fork.body.pid == pid,
                Ok(Record::Exec(exec)) => exec.body.pid == pid,
                Ok(Record::Exit(exit)) => exit.pid == pid,
                Err(_) => false,
            };
            if of_canary && let Some(seen) = seen.get_mut(kind) {
                *seen = true;
            }
            Enough::No
        });
        if !seen.iter().all(|seen| *seen) {
            // `found` keeps the reader from sleeping for good: a lost event must end in a verdict.
            let _ = drained;
            ring.wait(true, Duration::from_millis(10)).await?;
        }
    }
    child.wait()?;
    Ok(seen)
}

fn report(
    programs: &Programs,
    seen: [bool; KINDS as usize],
    load_ms: u128,
    event_ms: u128,
    as_json: bool,
) -> String {
    if as_json {
        let hooks: Vec<_> = programs
            .hooks
            .iter()
            .zip(seen)
            .map(|(hook, seen)| json!({ "event": hook.event, "tracepoint": hook.tracepoint, "refused": hook.refused, "seen": seen }))
            .collect();
        return format!("{}\n", json!({ "hooks": hooks, "load_ms": load_ms, "seen_ms": event_ms }));
    }
    let mut out = String::new();
    for ((hook, name), seen) in programs.hooks.iter().zip(KIND_NAMES).zip(seen) {
        let _ = match (&hook.refused, seen) {
            (Some(error), _) => {
                writeln!(out, "FAILED  {name}: the kernel refuses {}: {error}", hook.tracepoint)
            }
            (None, true) => writeln!(out, "ok      {name}: {} attached, own event seen", hook.tracepoint),
            (None, false) => {
                writeln!(out, "FAILED  {name}: {} attached, but the own event did not come", hook.tracepoint)
            }
        };
    }
    let _ = writeln!(out, "loaded in {load_ms} ms, own events seen after {event_ms} ms");
    out
}
