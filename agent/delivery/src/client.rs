//! One connection to one backend: a POST at a time, with every limit set.

use std::{
    io::{Read, Write},
    time::Duration,
};

use flate2::{Compression as Level, write::GzEncoder};
use jiff::Timestamp;
use linnet_fleet::channel::{Lookup, Unusable, proxy, retry_after, tls_config};
use linnet_settings::peer::{Compression, Peer};
use ureq::{Agent, Timeout, config::Config, http::header, unversioned::transport::DefaultConnector};
use zeroize::Zeroizing;

use crate::{
    backend::Answer,
    secret::{self, SecretError},
    transport::{certificate_hint, own_certificate},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Servers close what is silent for a minute or more.
const MAX_IDLE: Duration = Duration::from_secs(30);
const MAX_HEADER_BYTES: usize = 32 << 10;
/// A bulk answer has some hundred bytes for each event.
const MAX_ANSWER_BYTES: u64 = 16 << 20;
/// The fastest: a sensor's processor time is dearer than a few percent of the wire.
const GZIP_LEVEL: u32 = 1;

/// Why there is no connection to be had with these settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// A secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Certificates.
    #[error("tls.{0}")]
    Tls(Unusable),
    /// The proxy.
    #[error(transparent)]
    Proxy(Unusable),
}

/// A client of one backend.
pub(crate) struct Client {
    agent: Agent,
    url: String,
    content_type: &'static str,
    compression: Compression,
    header: Option<(String, Zeroizing<String>)>,
    packed: Vec<u8>,
}

impl Client {
    pub fn new(peer: Peer<'_>, url: String, content_type: &'static str) -> Result<Self, ClientError> {
        let proxy = proxy(peer.proxy).map_err(ClientError::Proxy)?;
        let mut config = Config::builder()
            .http_status_as_error(false)
            // A redirect would take secrets and events to where nobody sent them.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(MAX_HEADER_BYTES)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(MAX_IDLE)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(Duration::from_secs(peer.timeout_s.into())))
            .user_agent(concat!("linnet/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .proxy(proxy);
        if url.starts_with("https:") {
            let files = secret::located_tls(peer.tls)?;
            let tls =
                tls_config(files.ca_file.as_deref(), own_certificate(&files)).map_err(ClientError::Tls)?;
            config = config.https_only(true).tls_config(tls);
        }
        let header = peer.auth.map(secret::header).transpose()?;
        Ok(Self {
            agent: Agent::with_parts(config.build(), DefaultConnector::default(), Lookup),
            url,
            content_type,
            compression: peer.compression,
            header,
            packed: Vec::new(),
        })
    }

    /// Posts a body, and gives the answer with the bytes that went over the wire as body.
    pub fn post(&mut self, body: &[u8]) -> Result<(Answer, u64), NoAnswer> {
        let mut request = self.agent.post(&self.url).header(header::CONTENT_TYPE, self.content_type);
        if let Some((name, value)) = &self.header {
            request = request.header(name, value.as_str());
        }
        let body = match self.compression {
            Compression::None => body,
            Compression::Gzip => {
                self.packed.clear();
                let mut encoder = GzEncoder::new(&mut self.packed, Level::new(GZIP_LEVEL));
                encoder
                    .write_all(body)
                    .and_then(|()| encoder.finish().map(drop))
                    .map_err(|error| NoAnswer { why: error.to_string(), was_connected: false })?;
                request = request.header(header::CONTENT_ENCODING, "gzip");
                &self.packed
            }
        };
        let sent = body.len() as u64;
        let response = request.send(body).map_err(|error| NoAnswer::of(&error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), Timestamp::now());
        let mut said = Vec::new();
        let read = response.into_body().into_reader().take(MAX_ANSWER_BYTES + 1).read_to_end(&mut said);
        let whole = match read {
            Ok(_) if said.len() as u64 > MAX_ANSWER_BYTES => Err("it is too long to be one".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(explain(&ureq::Error::from(error))),
        };
        match whole {
            // A body that breaks off after a good status leaves open what was taken: the answer is the whole of it.
            Err(why) if (200..300).contains(&status) => {
                Err(NoAnswer { why: format!("answered {status}, and broke off: {why}"), was_connected: true })
            }
            // Of a bad one the status says what there is to know.
            _ => Ok((Answer { status, retry_after, body: said }, sent)),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    pub why: String,
    /// The connection stood, so it may be what was sent that it broke off of.
    pub was_connected: bool,
}

impl NoAnswer {
    fn of(error: &ureq::Error) -> Self {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let was_connected = match error {
            ureq::Error::Io(error) => {
                matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
            }
            ureq::Error::Timeout(timeout) => !matches!(timeout, Timeout::Resolve | Timeout::Connect),
            ureq::Error::Protocol(_) => true,
            _ => false,
        };
        Self { why: explain(error), was_connected }
    }
}

/// What went wrong, and what an operator can do about it.
fn explain(error: &ureq::Error) -> String {
    let text = error.to_string();
    let hint = certificate_hint(&text);
    let hint = if !hint.is_empty() {
        hint
    } else if matches!(error, ureq::Error::HostNotFound) {
        ": is the name right, and does this host have name lookup?"
    } else if matches!(error, ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
    {
        ": nothing listens there: is the port right, and does the server run?"
    } else {
        ""
    };
    format!("{text}{hint}")
}
