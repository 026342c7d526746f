//! The fleet's settings on this host, in the health document: what is followed, what was refused, how the channel is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The fleet's settings on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remote {
    /// The document that is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<DocumentId>,
    /// Whether it is on trial still: the sensor has to live on with it for a while.
    pub on_trial: bool,
    /// The last document that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedDocument>,
    /// What the fleet asks for and does not get here, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How the channel is.
    pub channel: ChannelHealth,
}

/// A document of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DocumentId {
    /// Its version.
    pub version: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// A document that is not followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusedDocument {
    /// Its version, where it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Why, with the key.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// How the channel is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelHealth {
    /// Where it is.
    pub url: String,
    /// Polls that were answered, those with nothing new included.
    pub polls: u64,
    /// When the last poll was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<Timestamp>,
    /// Polls in a row that went wrong.
    pub failures: u32,
    /// Why the last one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Why the last one could not tell which plugins there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins_error: Option<String>,
}
