//! Where metrics are told: to who asks on a unix socket or a loopback port, never on the network; and to a collector that the host's
//! own file names.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use linnet_fleet::settings_section;
use serde::{Deserialize, Serialize};

use crate::peer::{Auth, Compression, Peer, Tls, Wrong};

settings_section! {
    /// A collector that metrics are sent to, by OTLP/HTTP in JSON.
    OtlpMetrics {
        /// Where to: `https://host[:port]`, to which `/v1/metrics` is added, or `https://host[:port]/path`.
        url: String = String::new(),
        /// How often. The first time is drawn by chance within it, so that a fleet does not come at once.
        interval_s: u32 = 60,
        /// How bodies are compressed.
        compression: Compression = Compression::Gzip,
        /// What proves who this host is.
        auth: Option<Auth> = None,
        /// Certificates.
        tls: Tls = Tls::default(),
        /// `http://[user:password@]host:port`, `none`, or `null` for what the environment says.
        proxy: Option<String> = None,
        /// How long a request may take.
        timeout_s: u32 = 10,
    }
}

impl OtlpMetrics {
    /// The collector.
    #[must_use]
    pub fn peer(&self) -> Peer<'_> {
        Peer {
            url: &self.url,
            compression: self.compression,
            auth: self.auth.as_ref(),
            tls: &self.tls,
            proxy: self.proxy.as_deref(),
            timeout_s: self.timeout_s,
        }
    }
}

pub(crate) fn check(otlp: Option<&OtlpMetrics>) -> Result<(), (&'static str, String)> {
    let of_key = |(key, why): Wrong| ("metrics.otlp", format!("{}: {why}", key.trim_start_matches('.')));
    let Some(otlp) = otlp else { return Ok(()) };
    otlp.peer().check_url().map_err(of_key)?;
    otlp.peer().check_files().map_err(of_key)
}

/// Longest path of a unix socket (`sun_path`, with its end).
const MAX_SOCKET_PATH: usize = 107;

/// An address that only this host can reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MetricsAddress {
    /// A port of a loopback address; 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl FromStr for MetricsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Path::new(path);
            if !path.is_absolute() || path.as_os_str().len() > MAX_SOCKET_PATH {
                return Err(format!(
                    "{text:?}: give an absolute path of {MAX_SOCKET_PATH} bytes at most after \"unix:\""
                ));
            }
            return Ok(Self::Unix(path.to_owned()));
        }
        let address: SocketAddr = text
            .parse()
            .map_err(|_| format!("{text:?}: give \"unix:/path\", \"127.0.0.1:port\" or \"[::1]:port\""))?;
        let is_loopback = match address.ip() {
            IpAddr::V4(v4) => v4.is_loopback(),
            IpAddr::V6(v6) => v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
        };
        if !is_loopback {
            return Err(format!(
                "{text:?}: metrics are for this host only: give a loopback address, or a unix socket"
            ));
        }
        Ok(Self::Tcp(address))
    }
}

impl TryFrom<String> for MetricsAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<MetricsAddress> for String {
    fn from(address: MetricsAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_host_are_taken() {
        for text in ["127.0.0.1:9464", "127.8.9.1:0", "[::1]:9464", "unix:/run/linnet/metrics.sock"] {
            let address: MetricsAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "",
            "9464",
            "localhost:9464",
            "0.0.0.0:9464",
            "192.0.2.1:9464",
            "[::]:9464",
            "[2001:db8::1]:9",
            "127.0.0.1",
            "127.0.0.1:99999",
            "unix:",
            "unix:run/x",
            "/run/x",
        ] {
            assert!(text.parse::<MetricsAddress>().is_err(), "{text:?}");
        }
        let long = format!("unix:/{}", "a".repeat(MAX_SOCKET_PATH));
        assert!(long.parse::<MetricsAddress>().is_err());
    }
}
