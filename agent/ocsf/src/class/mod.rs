//! The event classes that Linnet writes, one file each.
//!
//! `class_uid`, `category_uid`, `activity_id` and `type_uid` follow from the type, so that they cannot disagree.

mod application_error;
mod application_lifecycle;
mod base;
mod plugin_event;
mod process_activity;
mod script_activity;

pub use application_error::ApplicationError;
pub use application_lifecycle::{ApplicationLifecycle, LifecycleActivity};
pub use base::{Base, Severity, Status};
pub use plugin_event::PluginEvent;
pub use process_activity::{LaunchKind, ProcessActivity, ProcessEvent};
pub use script_activity::ScriptActivity;
