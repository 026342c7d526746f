//! Where a syslog sink sends to, and as which facility.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The port of syslog over TLS (RFC 5425).
const TLS_PORT: u16 = 6514;
/// The port of syslog over TCP (RFC 6587).
const TCP_PORT: u16 = 601;

/// RFC 5424's facilities, without those of parts of an operating system that Linnet is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Facility {
    User = 1,
    Daemon = 3,
    Auth = 4,
    Authpriv = 10,
    Local0 = 16,
    Local1 = 17,
    Local2 = 18,
    Local3 = 19,
    Local4 = 20,
    Local5 = 21,
    Local6 = 22,
    Local7 = 23,
}

impl Facility {
    /// Their names in settings.
    pub const NAMES: [&'static str; 12] = [
        "user", "daemon", "auth", "authpriv", "local0", "local1", "local2", "local3", "local4", "local5",
        "local6", "local7",
    ];
}

/// Where to, by the url of the sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// `syslog+tls://host[:port]`.
    Tls {
        /// Name or address, without brackets.
        host: String,
        /// 6514 where none is given.
        port: u16,
    },
    /// `syslog+tcp://host[:port]`.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// 601 where none is given.
        port: u16,
    },
    /// `unix:/path`.
    Unix(PathBuf),
}

impl SyslogAddress {
    /// Reads the url of a sink; None if it is none of the three.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        if let Some(path) = url.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return path.is_absolute().then_some(Self::Unix(path));
        }
        let (scheme, authority) = url.split_once("://")?;
        let default = if scheme == "syslog+tls" { TLS_PORT } else { TCP_PORT };
        let (host, port) = split(authority.strip_suffix('/').unwrap_or(authority), default)?;
        match scheme {
            "syslog+tls" => Some(Self::Tls { host, port }),
            "syslog+tcp" => Some(Self::Tcp { host, port }),
            _ => None,
        }
    }
}

/// `host`, `host:port`, `[address]` or `[address]:port`.
fn split(authority: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
            (host.parse::<std::net::Ipv6Addr>().ok()?.to_string(), port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (authority.to_owned(), None),
        },
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    let port = port.map_or(Some(default), |port| port.parse().ok().filter(|port| *port != 0))?;
    (!host.is_empty() && host.bytes().all(is_name)).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_three_and_nothing_else() {
        let tls = |host: &str, port| Some(SyslogAddress::Tls { host: host.to_owned(), port });
        assert_eq!(SyslogAddress::parse("syslog+tls://logs.example.org"), tls("logs.example.org", 6514));
        assert_eq!(SyslogAddress::parse("syslog+tls://[::1]:99/"), tls("::1", 99));
        let tcp = SyslogAddress::Tcp { host: "127.0.0.1".to_owned(), port: 601 };
        assert_eq!(SyslogAddress::parse("syslog+tcp://127.0.0.1"), Some(tcp));
        assert_eq!(
            SyslogAddress::parse("unix:/dev/log"),
            Some(SyslogAddress::Unix(PathBuf::from("/dev/log")))
        );
        for wrong in [
            "",
            "unix:",
            "unix:dev/log",
            "syslog://a",
            "https://a",
            "syslog+tls://",
            "syslog+tls://:1",
            "syslog+tls://a:0",
            "syslog+tls://a:66666",
            "syslog+tls://a/b",
            "syslog+tls://u@a",
            "syslog+tls://[a]",
            "syslog+tcp://::1",
        ] {
            assert_eq!(SyslogAddress::parse(wrong), None, "{wrong}");
        }
    }
    #[test]
    fn what_syslog_would_pass_over_in_silence_is_refused() {
        let parsed = |rest: &str| {
            let json = format!(r#"{{"sinks": {{"siem": {{"kind": "syslog", {rest}}}}}}}"#);
            crate::parse(std::path::Path::new("x"), json.as_bytes()).map_err(|error| error.to_string())
        };
        let tls = r#""url": "syslog+tls://h", "tls": {"ca_file": "/ca.pem"}, "facility": "authpriv", "proxy": "none""#;
        assert_eq!(parsed(tls).unwrap().sinks["siem"].facility, Facility::Authpriv);
        for (rest, message) in [
            (r#""url": "https://h/""#, "siem.url: give syslog+tls://"),
            (r#""url": "syslog+tls://h", "auth": {"bearer": {"file": "/t"}}"#, "siem.auth: syslog has none"),
            (
                r#""url": "syslog+tls://h", "proxy": "http://p:3128""#,
                "siem.proxy: syslog does not go through one",
            ),
            (r#""url": "syslog+tcp://h", "tls": {"ca_file": "/ca.pem"}"#, "siem.tls: only syslog+tls://"),
            (r#""url": "unix:/dev/log", "facility": "kern""#, "facility"),
        ] {
            let error = parsed(rest).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        for name in Facility::NAMES {
            assert!(parsed(&format!(r#""url": "unix:/dev/log", "facility": "{name}""#)).is_ok(), "{name}");
        }
    }
}
