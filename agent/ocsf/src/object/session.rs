//! The login session and terminal of a process.

use serde::Serialize;

use crate::number::Decimal;

/// OCSF `session`.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Session<'a> {
    /// The audit session id; leave out 4294967295, with which the kernel says that there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Decimal>,
    /// The controlling terminal as the kernel names it, such as `pts0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal: Option<&'a str>,
}
