//! What carries a body to a backend: requests over HTTP, or a connection to a syslog server.

use std::path::Path;

use linnet_settings::{
    peer::Tls,
    sinks::{NetworkSink, SinkKind},
};

use crate::{
    backend::{Backend, Verdict},
    client::{Client, NoAnswer},
    connection::Connection,
};

/// What to do about a certificate that is not accepted; nothing where an error is about something else.
pub(crate) fn certificate_hint(error: &str) -> &'static str {
    let error = error.to_lowercase();
    if error.contains("fatal alert") {
        ": the server refuses: does it want another tls.certificate_file, or one at all?"
    } else if error.contains("certificate") {
        ": is tls.ca_file the authority that signed it, the name right, and the clock?"
    } else {
        ""
    }
}

/// The files of this host's certificate and key, if it shows one.
pub(crate) fn own_certificate(tls: &Tls) -> Option<(&Path, &Path)> {
    tls.certificate_file.as_deref().zip(tls.key_file.as_deref())
}

/// The way to one backend.
pub(crate) enum Transport {
    Http(Box<Client>),
    Syslog(Connection),
}

impl Transport {
    /// Reads secrets and certificates; connects to nothing yet.
    pub fn new(sink: &NetworkSink, backend: &Backend) -> Result<Self, String> {
        match sink.kind {
            SinkKind::Syslog => Connection::new(sink).map(Self::Syslog).map_err(|error| error.to_string()),
            _ => Client::new(sink.peer(), backend.url(&sink.url), backend.content_type())
                .map(|client| Self::Http(Box::new(client)))
                .map_err(|error| error.to_string()),
        }
    }

    /// Sends a body of so many events: what became of them, and the bytes that were sent.
    ///
    /// # Errors
    /// What it means that there was no answer: to try again, with this transport made anew.
    pub fn send(&mut self, backend: &Backend, body: &[u8], events: usize) -> Result<(Verdict, u64), Verdict> {
        match self {
            Self::Http(client) => match client.post(body) {
                Ok((answer, sent)) => Ok((backend.judge(&answer, events), sent)),
                Err(NoAnswer { why, was_connected: true }) => Err(Verdict::Failed(why)),
                Err(NoAnswer { why, .. }) => Err(Verdict::Later { why, after: None }),
            },
            Self::Syslog(connection) => {
                connection.send(body, events).map_err(|why| Verdict::Later { why, after: None })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_there_is_told_by_its_key_and_its_file() {
        for (kind, url) in
            [(SinkKind::Http, "https://siem:8080/"), (SinkKind::Syslog, "syslog+tls://siem:6514")]
        {
            let tls = Tls { ca_file: Some("/nowhere/ca.pem".into()), ..Tls::default() };
            let sink = NetworkSink { kind, url: url.to_owned(), tls, ..NetworkSink::default() };
            let error = Transport::new(&sink, &Backend::new(&sink)).err().unwrap();
            assert!(error.starts_with(r#"tls.ca_file: read "/nowhere/ca.pem": No such file"#), "{error}");
        }
    }

    #[test]
    fn a_certificate_may_be_a_credential() {
        for (kind, url) in
            [(SinkKind::Http, "https://siem:8080/"), (SinkKind::Syslog, "syslog+tls://siem:6514")]
        {
            let tls = Tls { ca_file: Some("credential:siem-ca".into()), ..Tls::default() };
            let sink = NetworkSink { kind, url: url.to_owned(), tls, ..NetworkSink::default() };
            let error = Transport::new(&sink, &Backend::new(&sink)).err().unwrap();
            // The test has none: it was looked for there.
            assert!(error.contains("siem-ca") && error.contains("$CREDENTIALS_DIRECTORY"), "{error}");
        }
    }

    #[test]
    fn a_proxy_that_would_be_passed_over_is_refused() {
        let sink = NetworkSink { proxy: Some("socks5://p:1".to_owned()), ..NetworkSink::default() };
        let error = Transport::new(&sink, &Backend::new(&sink)).err().unwrap();
        assert!(error.starts_with("proxy: give http://"), "{error}");
    }
}
