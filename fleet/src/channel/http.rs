//! A channel behind a web server: one GET at a time, HTTP/1.1, with every limit set.

use std::fmt;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use ureq::config::Config;
use ureq::http::{StatusCode, Uri, header};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector, TcpConnector};
use ureq::{Agent, Proxy};

use super::connect;
use super::error::ChannelError;
use super::lookup::Lookup;
use super::paced::{Pace, PacedConnector};
use super::reply;
use super::settings::{ChannelSettings, SMALL_BYTES};
use super::tls;
use super::transport::{Body, Get, Reply, Transport, Validators};
use super::url::without_credentials;

const MAX_REDIRECTS: usize = 3;
const MAX_HEADER_BYTES: usize = 32 << 10;
const BUFFER_BYTES: usize = 128 << 10;
const MAX_IDLE: Duration = Duration::from_secs(15);

/// Fetches from a web server.
#[derive(Debug)]
pub struct HttpTransport {
    /// Two, because a deadline has to be an agent's own: given with a request, it makes the client build its TLS
    /// configuration anew each time, all authorities included, and forget every session that could be resumed.
    metadata: Agent,
    downloads: Agent,
    /// Without a slash at its end.
    base: Base,
    proxy: Option<Proxy>,
}

/// The channel's url. What is asked for may hold a password, so messages have the other one.
struct Base {
    asked: String,
    shown: String,
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl HttpTransport {
    /// A client for the url of the settings. The environment's proxy is read here, once.
    ///
    /// # Errors
    /// [`ChannelError::Settings`].
    pub fn new(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        let refused = |key, message: &str| ChannelError::Settings { key, message: message.to_owned() };
        let base = settings.url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|_| refused("url", "is no url: give https://host/path"))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        if !matches!(scheme, "http" | "https") || uri.host().is_none() {
            return Err(refused("url", "give https://host/path, http://host/path or file:///directory"));
        }
        if uri.query().is_some() || base.contains('#') {
            return Err(refused("url", "names a directory: it has no query and no fragment"));
        }
        let proxy = connect::proxy(settings.proxy.as_deref())?;
        let tls = match scheme {
            "https" => Some(tls::config(settings.ca_file.as_deref(), None)?),
            _ => None,
        };
        let agent = |deadline: Duration| {
            let config = Config::builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .max_response_header_size(MAX_HEADER_BYTES)
                .input_buffer_size(BUFFER_BYTES)
                .max_idle_connections(1)
                .max_idle_connections_per_host(1)
                .max_idle_age(MAX_IDLE)
                .timeout_resolve(Some(settings.connect_timeout()))
                .timeout_connect(Some(settings.connect_timeout()))
                .user_agent(concat!("linnet/", env!("CARGO_PKG_VERSION")))
                // A body is hashed as it comes: nothing on the way may encode it.
                .accept_encoding("identity")
                .timeout_global(Some(deadline))
                .proxy(proxy.clone());
            let config = match &tls {
                Some(tls) => config.https_only(true).tls_config(tls.clone()),
                None => config,
            };
            let pace = Pace {
                min_bytes_per_s: settings.min_bytes_per_s,
                window: Duration::from_millis(settings.rate_window_ms),
            };
            let connector =
                ().chain(ConnectProxyConnector::default())
                    .chain(TcpConnector::default())
                    .chain(PacedConnector(pace))
                    .chain(RustlsConnector::default());
            Agent::with_parts(config.build(), connector, Lookup)
        };
        let (metadata, downloads) = (agent(settings.request_timeout()), agent(settings.download_timeout()));
        let shown = without_credentials(&base);
        Ok(Self { metadata, downloads, base: Base { asked: base, shown }, proxy })
    }

    fn ask(
        &self,
        url: &str,
        uri: &Uri,
        get: &Get<'_>,
    ) -> Result<ureq::http::Response<ureq::Body>, ChannelError> {
        let agent = if get.max_bytes <= SMALL_BYTES { &self.metadata } else { &self.downloads };
        let mut request = agent.get(uri);
        if let Some(validators) = get.unless {
            if let Some(etag) = &validators.etag {
                request = request.header(header::IF_NONE_MATCH, etag);
            } else if let Some(date) = &validators.last_modified {
                request = request.header(header::IF_MODIFIED_SINCE, date);
            }
        }
        if let Some((from, validator)) = range(get) {
            request =
                request.header(header::RANGE, format!("bytes={from}-")).header(header::IF_RANGE, validator);
        }
        request.call().map_err(|error| network_error(url.to_owned(), &error, &self.via(uri)))
    }

    /// The proxy that this request goes through, for messages.
    fn via(&self, uri: &Uri) -> String {
        let used = self.proxy.as_ref().filter(|proxy| !proxy.is_no_proxy(uri));
        used.map_or_else(String::new, |proxy| {
            format!(" (through the proxy {}:{})", proxy.host(), proxy.port())
        })
    }
}

/// Without a validator that `If-Range` may hold, a part may be of another state of the file: then all of it is asked.
fn range<'g>(get: &Get<'g>) -> Option<(u64, &'g str)> {
    let (from, validators) = get.from?;
    Some((from, validators.for_range()?)).filter(|(from, _)| *from > 0)
}

impl Transport for HttpTransport {
    fn get(&self, get: &Get<'_>) -> Result<Reply, ChannelError> {
        let url = self.url(get.path);
        let answer = |what: String| ChannelError::Answer { url: url.clone(), what };
        let mut uri: Uri = format!("{}/{}", self.base.asked, get.path)
            .parse()
            .map_err(|_| answer("is no url".to_owned()))?;
        let mut redirects = 0;
        let response = loop {
            let response = self.ask(&url, &uri, get)?;
            match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => {
                    redirects += 1;
                    if redirects > MAX_REDIRECTS {
                        return Err(answer(format!("more than {MAX_REDIRECTS} redirects")));
                    }
                    uri = reply::redirect(&uri, response.headers()).map_err(answer)?;
                }
                _ => break response,
            }
        };
        let headers = response.headers();
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => match range(get) {
                Some((from, _)) if reply::range_begins(headers, from) => from,
                Some(_) => return Err(answer("another range than was asked for".to_owned())),
                None => return Err(answer("a part, where the whole was asked for".to_owned())),
            },
            StatusCode::NOT_MODIFIED if get.unless.is_some_and(|v| !v.is_empty()) => {
                return Ok(Reply::NotModified);
            }
            StatusCode::NOT_MODIFIED => {
                return Err(answer("304, though no condition was asked for".to_owned()));
            }
            // Object stores answer 403 for what is not there to those who may not list.
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => return Ok(Reply::Absent),
            status => {
                let retry_after = reply::retry_after(headers, Timestamp::now());
                return Err(ChannelError::Status { url, status: status.as_u16(), retry_after });
            }
        };
        if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(answer("encoded, though that was not asked for".to_owned()));
        }
        let validators: Validators = reply::validators(headers);
        let body = response.into_body();
        if body.content_length().is_some_and(|length| length > get.max_bytes) {
            return Err(ChannelError::TooLong { url, cap: get.max_bytes });
        }
        Ok(Reply::Found(Body { reader: Box::new(body.into_reader()), start, validators }))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base.shown)
    }
}

fn network_error(url: String, error: &ureq::Error, via: &str) -> ChannelError {
    match error {
        ureq::Error::Timeout(which) => {
            ChannelError::Slow { url, message: format!("no time left (to {which}){via}") }
        }
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            ChannelError::Slow { url, message: format!("{error}{via}") }
        }
        // These two quote the url, and with it what must not be shown.
        ureq::Error::BadUri(_) => ChannelError::Network { url, message: format!("bad url{via}") },
        ureq::Error::RequireHttpsOnly(_) => ChannelError::Network { url, message: format!("not https{via}") },
        other => ChannelError::Network { url, message: format!("{error}{via}{}", hint(other)) },
    }
}

/// What an operator can do about it.
fn hint(error: &ureq::Error) -> &'static str {
    use rustls::CertificateError as Certificate;
    let tls = match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        ureq::Error::ConnectProxyFailed(why) if why.contains("407") => {
            return ": it wants a user and a password: give both in channel.proxy";
        }
        ureq::Error::ConnectProxyFailed(_) => {
            return ": does it allow CONNECT to the channel's host and port?";
        }
        ureq::Error::HostNotFound => return ": is the name right, and does this host have name lookup?",
        _ => None,
    };
    let Some(rustls::Error::InvalidCertificate(certificate)) = tls else { return "" };
    match certificate {
        // The same name with another key looks like a bad signature.
        Certificate::UnknownIssuer | Certificate::BadSignature => {
            ": name the authority that signed it as ca_file"
        }
        Certificate::Expired
        | Certificate::ExpiredContext { .. }
        | Certificate::NotValidYet
        | Certificate::NotValidYetContext { .. } => ": is the clock of this host right?",
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            ": it is another host's, or the url names it otherwise"
        }
        _ => "",
    }
}
