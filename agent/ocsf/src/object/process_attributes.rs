//! What Linux knows of a process and OCSF has no name for.

use serde::Serialize;

use super::is_false;
use crate::command::{Argv, CommandLine};
use crate::number::Hex;
use crate::text::Base64;

/// `process.xattributes`.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ProcessAttributes<'a> {
    /// The arguments one by one, where the command line alone would be ambiguous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<Argv<'a>>,
    /// Whether the arguments were cut.
    #[serde(skip_serializing_if = "is_false")]
    pub argv_cut: bool,
    /// True length of the argument area in bytes, where it was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv_len: Option<u64>,
    /// The name's true bytes, where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_raw: Option<Base64<'a>>,
    /// The working directory's true bytes, where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory_raw: Option<Base64<'a>>,
    /// Effective user, where it is not the real one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub euid: Option<u32>,
    /// Effective group, where it is not the real one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egid: Option<u32>,
    /// Effective capabilities, bit by bit as in `linux/capability.h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap_effective: Option<Hex>,
    /// Permitted capabilities, where they are not the effective ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap_permitted: Option<Hex>,
    /// Inheritable capabilities, where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap_inheritable: Option<Hex>,
    /// Session leader, in the initial pid namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<u32>,
    /// Namespaces by their inode numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Namespaces>,
    /// How many times this process has executed an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_count: Option<u32>,
    /// The path as it was given to exec, where `file` has another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<&'a str>,
    /// What was asked to run (a script), where the kernel ran `file` for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<&'a str>,
    /// The interpreter as the script's first line names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<&'a str>,
    /// Cgroup path, where no container is made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<&'a str>,
    /// Whether the executable's mode bits changed the user at this exec.
    #[serde(skip_serializing_if = "is_false")]
    pub set_uid: bool,
    /// Whether the executable's mode bits changed the group at this exec.
    #[serde(skip_serializing_if = "is_false")]
    pub set_gid: bool,
    /// Whether the kernel marked the exec as one that gains privileges (`AT_SECURE`).
    #[serde(skip_serializing_if = "is_false")]
    pub secure_exec: bool,
    /// Whether the ancestors are not known, because the parent was not: events about it were lost.
    #[serde(skip_serializing_if = "is_false")]
    pub ancestry_missing: bool,
    /// Whether the process was not seen to begin: the event about it was lost.
    #[serde(skip_serializing_if = "is_false")]
    pub launch_missing: bool,
    /// Whether a descriptor was executed (`execveat` without a path).
    #[serde(skip_serializing_if = "is_false")]
    pub by_descriptor: bool,
    /// Whether the process was read from `/proc` and not seen at its exec.
    #[serde(skip_serializing_if = "is_false")]
    pub from_proc: bool,
    /// The signal that ended the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// Whether it dumped core.
    #[serde(skip_serializing_if = "is_false")]
    pub core_dumped: bool,
    /// How long the process lived, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_ns: Option<u64>,
}

impl<'a> ProcessAttributes<'a> {
    /// Attributes that begin with what a command line needs beyond its text.
    #[must_use]
    pub fn of_command(command: &CommandLine<'a>) -> Self {
        Self { argv: command.argv, argv_cut: command.cut, argv_len: command.true_len, ..Self::default() }
    }
}

/// Namespaces by the inode numbers that `/proc/PID/ns` shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Namespaces {
    /// Pid namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Mount namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mnt: Option<u32>,
    /// Network namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<u32>,
    /// User namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// Cgroup namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<u32>,
}
