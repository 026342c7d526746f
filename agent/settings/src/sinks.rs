//! Sinks over the network, and the spool that stands before them.

use std::path::PathBuf;

use linnet_fleet::settings_section;
use serde::{Deserialize, Serialize};

use crate::{
    bounds::{Range, range},
    peer::{Auth, Compression, Peer, Tls},
    syslog::{Facility, SyslogAddress},
    values::MIB,
};

settings_section! {
    /// What waits on disk for sinks over the network. There is none without such a sink.
    Spool {
        /// Its directory.
        directory: PathBuf = PathBuf::from("/var/lib/linnet/agent/spool"),
        /// Most bytes of all that waits; the oldest is dropped first.
        max_bytes: u64 = 256 * MIB,
        /// Age in seconds at which what waits is dropped.
        max_age_s: u32 = 7 * 86_400,
    }
}

settings_section! {
    /// One sink over the network.
    NetworkSink {
        /// Whether it is used.
        enabled: bool = true,
        /// What the other side understands.
        kind: SinkKind = SinkKind::Http,
        /// Where to: `https://host[:port]/path`; for syslog `syslog+tls://host[:port]`, `syslog+tcp://host[:port]`, `unix:/path`.
        url: String = String::new(),
        /// Events that it gets; `null` for all.
        events: Option<Vec<EventKind>> = None,
        /// How bodies are compressed.
        compression: Compression = Compression::Gzip,
        /// How much goes into one request.
        batch: SinkBatch = SinkBatch::default(),
        /// What proves who this host is.
        auth: Option<Auth> = None,
        /// Certificates.
        tls: Tls = Tls::default(),
        /// `http://[user:password@]host:port`, `none`, or `null` for what the environment says.
        proxy: Option<String> = None,
        /// How long a request may take.
        timeout_s: u32 = 30,
        /// Longest pause between tries.
        retry_max_s: u32 = 60,
        /// Index or data stream (`elasticsearch`).
        index: String = "linnet-events".to_owned(),
        /// What the messages are of (`syslog`).
        facility: Facility = Facility::Local0,
        /// Most bytes of the file that keeps what the other side refuses; as much again of the one before it.
        refused_max_bytes: u64 = 8 * MIB,
    }
}

settings_section! {
    /// How much goes into one request.
    SinkBatch {
        /// Events.
        max_events: u32 = 2000,
        /// Bytes of their lines. A single event may be longer.
        max_bytes: u32 = MIB as u32,
        /// How long the first event waits for others.
        linger_ms: u32 = 1000,
    }
}

/// What the other side understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// A POST of one JSON object a line.
    Http,
    /// `_bulk` of Elasticsearch and OpenSearch.
    Elasticsearch,
    /// Splunk's HTTP Event Collector.
    SplunkHec,
    /// OTLP/HTTP logs in JSON.
    Otlp,
    /// RFC 5424 over TLS, TCP or a unix socket.
    Syslog,
}

impl NetworkSink {
    /// The other side, as far as it is asked over HTTP.
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

/// What an event is of. The numbers stand in the spool's files: they do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum EventKind {
    /// A process was made.
    Fork = 0,
    /// It took an image.
    Exec = 1,
    /// It ended.
    Exit = 2,
    /// A script was started.
    Script = 3,
    /// A plugin's.
    Plugin = 4,
    /// The sensor speaks of itself.
    Sensor = 5,
}

impl EventKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [Self::Fork, Self::Exec, Self::Exit, Self::Script, Self::Plugin, Self::Sensor];

    /// Its name in settings and accounts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Exec => "exec",
            Self::Exit => "exit",
            Self::Script => "script",
            Self::Plugin => "plugin",
            Self::Sensor => "sensor",
        }
    }
}

/// What the key of each sink begins with.
const ANY_SINK: &str = "sinks.NAME";

/// The numbers of a sink.
pub const SINK_RANGES: &[Range] = &[
    range("sinks.NAME.batch.max_events", 1, 100_000),
    range("sinks.NAME.batch.max_bytes", 4096, 16 * MIB),
    range("sinks.NAME.batch.linger_ms", 1, 60_000),
    range("sinks.NAME.timeout_s", 1, 600),
    range("sinks.NAME.retry_max_s", 1, 3600),
    range("sinks.NAME.refused_max_bytes", 0, 1 << 30),
];

/// Sinks at once: each has a thread.
const MAX_SINKS: usize = 8;

pub(crate) fn check_spool(spool: &Spool) -> Result<(), (&'static str, String)> {
    if !spool.directory.is_absolute() {
        return Err(("spool.directory", "give an absolute path".to_owned()));
    }
    Ok(())
}

pub(crate) fn check_sinks<'s>(
    sinks: impl ExactSizeIterator<Item = (&'s String, &'s NetworkSink)>,
) -> Result<(), (&'static str, String)> {
    if sinks.len() > MAX_SINKS {
        return Err(("sinks", format!("at most {MAX_SINKS} sinks")));
    }
    for (name, sink) in sinks {
        check_sink(name, sink).map_err(|(key, why)| ("sinks", format!("{name}{key}: {why}")))?;
    }
    Ok(())
}

fn check_sink(name: &str, sink: &NetworkSink) -> Result<(), (&'static str, String)> {
    if !linnet_plugin_manifest::manifest::is_name(name) {
        return Err(("", "a sink's name has lower-case letters, digits and dashes".to_owned()));
    }
    let peer = sink.peer();
    match sink.kind {
        SinkKind::Syslog => check_syslog(sink)?,
        _ => peer.check_url()?,
    }
    let values = serde_json::to_value(sink).unwrap_or_default();
    for range in SINK_RANGES {
        let key = range.key.strip_prefix(ANY_SINK).unwrap_or(range.key);
        range.check(&values, key.trim_start_matches('.')).map_err(|why| (key, why))?;
    }
    peer.check_files()?;
    let index = sink.index.as_bytes();
    if index.is_empty()
        || !index
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(byte))
    {
        return Err((".index", "lower-case letters, digits, dashes, underscores, points".to_owned()));
    }
    Ok(())
}

/// What such a sink would pass over in silence is refused: it was meant to protect something.
fn check_syslog(sink: &NetworkSink) -> Result<(), (&'static str, String)> {
    let Some(address) = SyslogAddress::parse(&sink.url) else {
        let ways = "give syslog+tls://host[:port], syslog+tcp://host[:port] or unix:/path";
        return Err((".url", ways.to_owned()));
    };
    if sink.auth.is_some() {
        return Err((".auth", "syslog has none: use tls.certificate_file and tls.key_file".to_owned()));
    }
    if sink.proxy.as_deref().is_some_and(|proxy| proxy != "none") {
        return Err((".proxy", "syslog does not go through one: leave it out".to_owned()));
    }
    if !matches!(address, SyslogAddress::Tls { .. }) && sink.tls != Tls::default() {
        return Err((".tls", "only syslog+tls:// is encrypted: change the url, or leave tls out".to_owned()));
    }
    Ok(())
}
