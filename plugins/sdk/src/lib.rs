//! What a Linnet plugin is written with. A plugin looks at something now and then and says what changed:
//!
//! ```no_run
//! use std::{process::ExitCode, time::Duration};
//! use linnet_plugin::{Event, Plugin, Severity, Stop, Turn, run};
//! use serde::{Deserialize, Serialize};
//! use serde_json::json;
//!
//! #[derive(Default, Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Settings {
//!     path: String,
//! }
//!
//! #[derive(Default, PartialEq, Clone, Serialize, Deserialize)]
//! struct State {
//!     bytes: u64,
//! }
//!
//! struct Size;
//!
//! impl Plugin for Size {
//!     type Settings = Settings;
//!     type State = State;
//!     const INTERVAL: Duration = Duration::from_secs(60);
//!
//!     fn look(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), Stop> {
//!         let bytes = std::fs::metadata(&turn.settings().path).map_or(0, |found| found.len());
//!         turn.pace()?;
//!         if bytes != turn.state().bytes {
//!             let event = Event::new(2004, 1, Severity::Low)
//!                 .with("finding_info", json!({"uid": "size", "title": "its size changed"}));
//!             turn.report(event)?;
//!             turn.state_mut().bytes = bytes;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     run(Size)
//! }
//! ```
//!
//! The agent is at the other end of standard input and output; how they speak is in `plugins/README.md`. [`run`] does
//! all of it: it reads settings and state, calls [`Plugin::look`] in jittered intervals, keeps the average of the
//! processor time at what the settings allow (1 % of a core), answers pings, hands over a changed state, and ends when its
//! input does. A plugin that calls [`Turn::pace`] between pieces of work is never deaf and never greedy.
#![forbid(unsafe_code)]

mod budget;
mod event;
pub mod files;
mod input;
pub mod processes;
pub mod rooted;
mod runtime;

pub use event::{Event, Severity, text};
pub use runtime::{Plugin, Stop, Turn, run};
