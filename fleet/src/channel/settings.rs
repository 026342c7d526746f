//! How a channel is reached. Every limit is a setting, so that tests need not wait.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::directory::DirectoryTransport;
use super::error::ChannelError;
use super::http::HttpTransport;
use super::transport::Transport;
use super::url::without_credentials;

/// How a channel is reached.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelSettings {
    /// `https://…`, `http://…` or `file:///…`, the directory that holds `timestamp.json`.
    pub url: String,
    /// PEM certificates that are trusted for TLS beside those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// `http://[user:password@]host:port`, or `none` for no proxy whatever the environment says. Without it, the
    /// variables `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy` count.
    #[serde(default)]
    pub proxy: Option<String>,
    /// For the connection, name lookup included.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// For a whole request of metadata, or of another small file.
    #[serde(default = "request_timeout_ms")]
    pub request_timeout_ms: u64,
    /// For the download of a release, resumed parts not counted.
    #[serde(default = "download_timeout_ms")]
    pub download_timeout_ms: u64,
    /// The lowest rate, kept in each [`ChannelSettings::rate_window_ms`] of waiting.
    #[serde(default = "min_bytes_per_s")]
    pub min_bytes_per_s: u64,
    /// The time over which the rate is measured, and so the longest silence.
    #[serde(default = "rate_window_ms")]
    pub rate_window_ms: u64,
}

const fn connect_timeout_ms() -> u64 {
    10_000
}
const fn request_timeout_ms() -> u64 {
    60_000
}
const fn download_timeout_ms() -> u64 {
    4 * 3_600_000
}
const fn min_bytes_per_s() -> u64 {
    1024
}
const fn rate_window_ms() -> u64 {
    20_000
}

/// As it may be logged: url and proxy may hold a password.
impl fmt::Debug for ChannelSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelSettings")
            .field("url", &self.shown_url())
            .field("ca_file", &self.ca_file)
            .field("proxy", &self.proxy.as_deref().map(without_credentials))
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("request_timeout_ms", &self.request_timeout_ms)
            .field("download_timeout_ms", &self.download_timeout_ms)
            .field("min_bytes_per_s", &self.min_bytes_per_s)
            .field("rate_window_ms", &self.rate_window_ms)
            .finish()
    }
}

/// Files up to this length are small: metadata and the like.
pub(super) const SMALL_BYTES: u64 = 8 << 20;

impl ChannelSettings {
    /// The defaults for a url.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_file: None,
            proxy: None,
            connect_timeout_ms: connect_timeout_ms(),
            request_timeout_ms: request_timeout_ms(),
            download_timeout_ms: download_timeout_ms(),
            min_bytes_per_s: min_bytes_per_s(),
            rate_window_ms: rate_window_ms(),
        }
    }

    /// The transport that the url asks for.
    ///
    /// # Errors
    /// [`ChannelError::Settings`].
    pub fn transport(&self) -> Result<Box<dyn Transport>, ChannelError> {
        for (key, value) in [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("request_timeout_ms", self.request_timeout_ms),
            ("download_timeout_ms", self.download_timeout_ms),
            ("rate_window_ms", self.rate_window_ms),
        ] {
            if value == 0 {
                return Err(ChannelError::Settings { key, message: "0 leaves no time at all".to_owned() });
            }
        }
        if let Some(path) = self.url.strip_prefix("file://") {
            return Ok(Box::new(DirectoryTransport::new(path)?));
        }
        Ok(Box::new(HttpTransport::new(self)?))
    }

    /// The url as it may be shown and logged: without user and password.
    #[must_use]
    pub fn shown_url(&self) -> String {
        without_credentials(&self.url)
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// The deadline of a request of a small file.
    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// The deadline of any other request.
    pub(super) fn download_timeout(&self) -> Duration {
        Duration::from_millis(self.download_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_shown_without_credentials() {
        let settings = ChannelSettings {
            proxy: Some("http://user:secret@proxy:3128".to_owned()),
            ..ChannelSettings::new("https://user:secret@x.example/")
        };
        assert!(!format!("{settings:?}").contains("secret"), "{settings:?}");
    }
}
