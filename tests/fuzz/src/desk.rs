//! The one type of the store's desk that its choice is made by.

use linnet_keys::release::Version;

/// What the settings ask for.
pub struct Request {
    /// The version that they name.
    pub version: Option<Version>,
    /// Digest of the plugin's settings.
    pub settings_sha256: String,
}
