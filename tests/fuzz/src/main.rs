//! One fuzzer for all decoders of bytes from outside; `LINNET_FUZZ_TARGET` names the decoder. What each must hold stands in
//! [`target`]: it never panics, never runs away, and what it accepts has the properties that its readers rely on.
//!
//! A decoder of a program, which nothing can link to, and one whose crate would bring along what takes minutes to build and is of no
//! use here (TLS, D-Bus, command lines), is built into the fuzzer from its file. Those lie at the root because they name each
//! other from there.
#![no_main]
#![allow(dead_code, unused_imports, reason = "of the files below, not all is used here")]

mod allocation;
mod channel;
mod place;
mod repair;
mod seed;
mod stack;
mod target;

// Of the agent, of its sinks over the network, of its host of plugins, and of its store of them.
#[path = "../../../agent/delivery/src/backend.rs"]
mod backend;
#[path = "../../../agent/plugin/store/src/choice.rs"]
mod choice;
mod desk;
#[path = "../../../agent/delivery/src/elasticsearch.rs"]
mod elasticsearch;
#[path = "../../../agent/plugin/src/event.rs"]
mod event;
#[path = "../../../agent/delivery/src/line.rs"]
mod line;
#[path = "../../../agent/plugin/store/src/memory.rs"]
mod memory;
#[path = "../../../agent/delivery/src/otlp.rs"]
mod otlp;
#[path = "../../../agent/plugin/src/protocol.rs"]
mod protocol;
#[path = "../../../agent/src/record/mod.rs"]
mod record;
#[path = "../../../agent/src/metrics/request.rs"]
mod request;
#[path = "../../../agent/delivery/src/splunk.rs"]
mod splunk;
#[path = "../../../agent/delivery/src/syslog.rs"]
mod syslog;
#[path = "../../../agent/src/terminal.rs"]
mod terminal;
#[path = "../../../agent/plugin/store/src/tree.rs"]
mod tree;

// Of the updater.
#[path = "../../../updater/src/clock.rs"]
mod clock;
#[path = "../../../updater/src/service/dead_man.rs"]
mod dead_man;
#[path = "../../../updater/src/disk.rs"]
mod disk;
#[path = "../../../updater/src/history.rs"]
mod history;
#[path = "../../../updater/src/hold.rs"]
mod hold;
#[path = "../../../updater/src/kill_point.rs"]
mod kill_point;
#[path = "../../../updater/src/layout.rs"]
mod layout;
#[path = "../../../updater/src/machine/mod.rs"]
mod machine;
mod probation;
mod release_dir;
#[path = "../../../updater/src/store.rs"]
mod store;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(
    init: {
        stack::overflow_is_told();
        let name = std::env::var("LINNET_FUZZ_TARGET").unwrap_or_default();
        let Some((_, target)) = target::ALL.iter().find(|(known, _)| *known == name) else {
            for (name, _) in target::ALL {
                println!("{name}");
            }
            // No target at all is the question which there are.
            std::process::exit(if name.is_empty() { 0 } else { 2 });
        };
        TARGET.get_or_init(|| *target);
        if let Some(directory) = std::env::var_os("LINNET_FUZZ_SEEDS") {
            std::process::exit(seed::check(directory.as_ref(), *target));
        }
    },
    |bytes: &[u8]| {
        if let Some(target) = TARGET.get() {
            target(bytes);
        }
    }
);
