//! Where metrics are told: on a unix socket or a loopback port, never to the network.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

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
