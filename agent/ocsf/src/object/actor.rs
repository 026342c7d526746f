//! Who did it.

use serde::Serialize;

use super::{Process, User};

/// OCSF `actor`. The schema wants at least one of the two.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Actor<'a> {
    /// The acting process; a reference (pid, uid, name) is enough, it was described at its own exec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<&'a Process<'a>>,
    /// The acting user, only where it is not that of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User<'a>>,
}
