//! How a thing is observed, and why so.

use serde::{Deserialize, Serialize};

/// The hook that was chosen for one thing to observe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// What is observed: `exec`, `fork`, `exit`.
    pub event: String,
    /// The hook in use, `none` where nothing was granted.
    pub chosen: String,
    /// Why this one.
    pub why: String,
    /// Better hooks that this kernel refused, best first.
    pub refused: Vec<RefusedHook>,
}

/// A hook that the kernel refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusedHook {
    /// The hook.
    pub hook: String,
    /// What the kernel said.
    pub error: String,
}
