//! A process, and the short form in which it is listed as an ancestor.

use serde::Serialize;

use super::{Container, File, Group, ProcessAttributes, Session, User};

/// OCSF `process`. The schema wants `pid` or `uid`.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Process<'a> {
    /// Process id in the initial pid namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The id that no other process of any boot has; later events refer to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<&'a str>,
    /// The kernel's short name (`comm`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// The arguments as one readable text; see [`CommandLine`](crate::command::CommandLine).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd_line: Option<&'a str>,
    /// The executable's path, for a process that is only referred to; otherwise `file` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'a str>,
    /// The executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<File<'a>>,
    /// When the process was created (forked), in milliseconds since the epoch.
    #[serde(rename = "created_time", skip_serializing_if = "Option::is_none")]
    pub created_time_ms: Option<i64>,
    /// When it ended, in milliseconds since the epoch.
    #[serde(rename = "terminated_time", skip_serializing_if = "Option::is_none")]
    pub terminated_time_ms: Option<i64>,
    /// Working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<&'a str>,
    /// The real user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User<'a>>,
    /// The real group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group<'a>>,
    /// The login uid; leave out 4294967295, with which the kernel says that there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auid: Option<u32>,
    /// Login session and terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Session<'a>>,
    /// Thread id, only where it is not the pid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// Process id in its own pid namespace, where that is not the initial one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_pid: Option<u32>,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container<'a>>,
    /// The parent; pid and uid are enough, `ancestry` names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_process: Option<&'a Process<'a>>,
    /// The ancestors, the parent first.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub ancestry: &'a [ProcessEntity<'a>],
    /// What OCSF has no name for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xattributes: Option<ProcessAttributes<'a>>,
}

/// OCSF `process_entity`. The schema wants `name` or `uid`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ProcessEntity<'a> {
    /// Process id in the initial pid namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The id by which its own exec event is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<&'a str>,
    /// The kernel's short name (`comm`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// The executable's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'a str>,
    /// Its command line; costly in an event, its own exec event has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd_line: Option<&'a str>,
    /// When it was created, in milliseconds since the epoch.
    #[serde(rename = "created_time", skip_serializing_if = "Option::is_none")]
    pub created_time_ms: Option<i64>,
}
