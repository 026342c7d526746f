//! Name lookup with a deadline, on a host that may have no thread to spare.
//!
//! The C library's lookup knows no deadline, so it runs on a thread of its own. The client's own resolver does the same, but ends the
//! program where no thread is to be had: a fork bomb on the host would take the sensor with it. Here that is an error like any other,
//! and the request is tried again.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// The longest that a lookup may take, where a request has no deadline.
const LONGEST: Duration = Duration::from_secs(60);
/// What a lookup needs, with room to spare.
const STACK_BYTES: usize = 256 << 10;
/// Addresses of one name that are tried.
const MOST: usize = 16;

/// Looks names up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lookup;

impl Resolver for Lookup {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host_and_port = uri
            .scheme()
            .zip(uri.authority())
            .and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority))
            .ok_or_else(|| Error::BadUri(uri.to_string()))?;
        // Most proxies and collectors of a test, and many of a fleet, are numbers.
        let addresses = match host_and_port.parse::<SocketAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                look_up(host_and_port, (*timeout.after).min(LONGEST)).map_err(|error| match error.kind() {
                    io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
                    io::ErrorKind::NotFound => Error::HostNotFound,
                    _ => Error::Io(error),
                })?
            }
        };
        let mut found = self.empty();
        addresses.into_iter().take(MOST).for_each(|address| found.push(address));
        if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
    }
}

/// The addresses of `host:port`.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] when it takes longer than that; what the C library says, or that there is no thread to be had.
pub fn look_up(host_and_port: String, patience: Duration) -> io::Result<Vec<SocketAddr>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    // It ends by itself when the lookup does, also when nobody waits for it any more.
    let look = move || drop(sender.send(host_and_port.to_socket_addrs().map(Vec::from_iter)));
    thread::Builder::new().name("linnet-lookup".to_owned()).stack_size(STACK_BYTES).spawn(look)?;
    match receiver.recv_timeout(patience) {
        Ok(found) => found,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(io::ErrorKind::NotFound.into()),
    }
}

#[cfg(test)]
mod tests {
    use ureq::Timeout;

    use super::*;

    fn look(uri: &str, after: Duration) -> Result<Vec<SocketAddr>, Error> {
        let timeout = NextTimeout { after: after.into(), reason: Timeout::Resolve, ..NextTimeout::default() };
        let found = Lookup.resolve(&uri.parse().expect("a uri"), &Config::default(), timeout)?;
        Ok(found.iter().copied().collect())
    }

    #[test]
    fn numbers_and_names_are_found_with_the_port_of_the_scheme() {
        let second = Duration::from_secs(30);
        assert_eq!(look("https://127.0.0.1/x", second).expect("a number"), [([127, 0, 0, 1], 443).into()]);
        assert_eq!(
            look("http://[::1]:9/x", second).expect("a number"),
            ["[::1]:9".parse().expect("address")]
        );
        let named = look("http://localhost:8080/", second).expect("a name");
        assert!(!named.is_empty() && named.iter().all(|one| one.ip().is_loopback() && one.port() == 8080));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        assert!(matches!(look("/path", Duration::from_secs(30)), Err(Error::BadUri(_))));
    }
}
