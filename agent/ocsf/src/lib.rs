//! OCSF 1.8 events as typed, borrowed values, written as one terminal-safe JSON object a line.
//!
//! A value is built from what the caller holds, written into a buffer that the caller reuses, and forgotten:
//!
//! ```
//! use linnet_ocsf::class::{Base, LaunchKind, ProcessActivity, ProcessEvent};
//! use linnet_ocsf::command::CommandLine;
//! use linnet_ocsf::line::write_line;
//! use linnet_ocsf::object::{Actor, Device, File, Process, ProcessAttributes, Product};
//! use linnet_ocsf::prelude::Prelude;
//! use linnet_ocsf::text::Text;
//!
//! let prelude = Prelude::new(
//!     &Device { uid: "host-1", ..Device::default() },
//!     &Product { name: "Linnet", ..Product::default() },
//! )?;
//! let (mut out, mut buffer) = (Vec::new(), String::new());
//!
//! let command = CommandLine::read(&mut buffer, b"rm\0a b\0", 7);
//! let name = Text::new(b"rm");
//! let path = Text::new(b"/usr/bin/rm");
//! let parent = Process { pid: Some(7), uid: Some("p7"), ..Process::default() };
//! let event = ProcessActivity {
//!     base: Base { sequence: Some(1), ..Base::new(&prelude, 1_764_000_000_123) },
//!     event: ProcessEvent::Launch(LaunchKind::Exec),
//!     actor: Actor { process: Some(&parent), user: None },
//!     process: Process {
//!         pid: Some(8),
//!         uid: Some("p8"),
//!         name: Some(&name.text),
//!         cmd_line: Some(command.text),
//!         file: Some(File::at(&path.text)),
//!         xattributes: Some(ProcessAttributes {
//!             name_raw: name.raw,
//!             ..ProcessAttributes::of_command(&command)
//!         }),
//!         ..Process::default()
//!     },
//! };
//! write_line(&mut out, &event)?;
//! assert!(out.ends_with(b"}\n"));
//! # Ok::<(), linnet_ocsf::line::LineError>(())
//! ```
//!
//! # What is said where
//!
//! A process is described once, at its exec; everything else refers to it by `uid`. The shape of an exec, fork and
//! exit is with [`class::ProcessActivity`], that of a script with [`class::ScriptActivity`]; what the sensor says of
//! itself is an [`class::ApplicationLifecycle`], and what it lost an [`class::ApplicationError`]. Parents follow
//! OCSF's guidance on process parentage: `ancestry` begins with the parent, and since Linux has no creator apart from
//! the parent, `actor.process` of a launch is the parent as well.
//!
//! *Unknown* is left out: every attribute that may be unknown is an `Option` and not written when `None`. Where OCSF
//! requires an attribute, its enumeration has a value for unknown. Captions (`activity_name`, `class_name` and their
//! like) repeat a number and are left out, but for activity 99, which has no meaning without.
//!
//! *Time* is in milliseconds since the epoch, as OCSF has it. `metadata.sequence` numbers the
//! events of a run in the order of writing, so a gap in it is a loss; it does not order them finer than `time` does.
//! `time_dt` would, but belongs to another profile and costs 45 bytes in every line.
//!
//! *Bytes* that are not UTF-8 are shown with U+FFFD, and a `…_raw` attribute beside them has the truth in base64.
//! Arguments are in `process.cmd_line`, and in `process.xattributes.argv` too where that is ambiguous.
//!
//! *The road of a hash*, or the reason why there is none, is in `file.xattributes` as `hash_road` and `hash_missing`,
//! not among the `enrichments`: one of those must repeat the value that it is about, here a whole hash, and with no
//! hash there is no value to repeat.
#![forbid(unsafe_code)]

pub mod class;
pub mod command;
pub mod line;
pub mod number;
pub mod object;
pub mod prelude;
pub mod text;
