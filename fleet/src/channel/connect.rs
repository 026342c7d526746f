//! What every connection of Linnet's takes from settings in the same way, whoever's settings they are: the proxy, and
//! (in [`super::tls`]) certificates.

use ureq::{Proxy, ProxyProtocol};

use super::error::ChannelError;

/// A setting that no connection can be made with. Whose it is, and so what stands before its key, is known to the caller.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {message}")]
pub struct Unusable {
    /// The key's last part.
    pub key: &'static str,
    /// What is wrong with it, and what to do.
    pub message: String,
}

impl Unusable {
    pub(super) fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key, message: message.into() }
    }
}

impl From<Unusable> for ChannelError {
    fn from(unusable: Unusable) -> Self {
        Self::Settings { key: unusable.key, message: unusable.message }
    }
}

/// The proxy that is asked for: `http://[user:password@]host:port`, `none`, or without a word what the environment says.
///
/// # Errors
/// For anything else. The client would pass over a proxy of another kind, and go past it without a word; one of the
/// environment, too.
pub fn proxy(asked: Option<&str>) -> Result<Option<Proxy>, Unusable> {
    let refused = || Unusable::new("proxy", "give http://[user:password@]host:port, or none");
    let proxy = match asked {
        None => Proxy::try_from_env(),
        Some("none") => None,
        Some(proxy) => Some(Proxy::new(proxy).map_err(|_| refused())?),
    };
    match proxy {
        Some(proxy) if proxy.protocol() != ProxyProtocol::Http => Err(refused()),
        proxy => Ok(proxy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_over_http_is_taken() {
        assert_eq!(proxy(Some("none")).unwrap(), None);
        let taken = proxy(Some("http://user:secret@proxy:3128")).unwrap().unwrap();
        assert_eq!((taken.host(), taken.port()), ("proxy", 3128));
        for wrong in ["socks5://proxy:1080", "https://proxy:3128", "", "http://", "proxy:\u{0}"] {
            let error = proxy(Some(wrong)).unwrap_err().to_string();
            assert!(error.starts_with("proxy: give http://"), "{wrong}: {error}");
        }
    }
}
