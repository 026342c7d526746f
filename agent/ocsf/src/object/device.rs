//! The host.

use serde::{Serialize, Serializer};

/// OCSF `device`. Does not change while the sensor runs: see [`Prelude`](crate::prelude::Prelude).
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Device<'a> {
    /// The host's stable id.
    pub uid: &'a str,
    /// The host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<&'a str>,
    /// What it is.
    #[serde(rename = "type_id")]
    pub kind: DeviceKind,
    /// Its system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<Os<'a>>,
    /// When it was booted, in milliseconds since the epoch.
    #[serde(rename = "boot_time", skip_serializing_if = "Option::is_none")]
    pub boot_time_ms: Option<i64>,
    /// The kernel's boot id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_uid: Option<&'a str>,
}

/// OCSF `device.type_id`, as far as a sensor can tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// Not known.
    #[default]
    Unknown,
    /// A server.
    Server,
    /// A virtual machine.
    Virtual,
}

impl Serialize for DeviceKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match self {
            Self::Unknown => 0,
            Self::Server => 1,
            Self::Virtual => 6,
        })
    }
}

/// OCSF `os`, always Linux (`type_id` 200).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Os<'a> {
    /// `NAME` of os-release, or `Linux`.
    pub name: &'a str,
    type_id: u16,
    /// `VERSION_ID` of os-release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
    /// The kernel's release as `uname -r` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_release: Option<&'a str>,
}

impl<'a> Os<'a> {
    /// A Linux of this name.
    #[must_use]
    pub fn linux(name: &'a str, version: Option<&'a str>, kernel_release: Option<&'a str>) -> Self {
        Self { name, type_id: 200, version, kernel_release }
    }
}
