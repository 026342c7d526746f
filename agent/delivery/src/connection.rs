//! A connection to a syslog server, which never answers: over TLS, TCP, or a unix socket.
//!
//! Invariants:
//! - a batch counts as delivered when nothing of it is unsent any more ([`unsent_bytes`]) and the connection still stands: over TCP
//!   the other side's kernel has acknowledged it, over a unix socket its process has read it. Until then it is sent again, whole.
//!   A datagram socket says the same when its reader dies, so there an empty datagram asks whether it lives;
//! - before a batch it is looked whether the other side has gone: the first write into a connection that was closed succeeds;
//! - in TLS 1.3 a server judges the client's certificate when the client's handshake is over. So the first batch of a connection
//!   counts when the server has had time to refuse, and has not ([`REFUSAL`]); one that ends the connection in order has not;
//! - every wait ends with the sink's timeout.
//!
//! It must not take more for delivered than that: what a server does with what it got is not to be known from here.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::{UnixDatagram, UnixStream},
    sync::Arc,
    time::{Duration, Instant},
};

use linnet_fleet::channel::{Unusable, tls_client_config};
use linnet_settings::{sinks::NetworkSink, syslog::SyslogAddress};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use crate::{
    backend::{Item, Verdict},
    secret::{SecretError, located_tls},
    syslog::messages,
    transport::{certificate_hint, own_certificate},
    unsent::unsent_bytes,
};

mod connect;
mod deadline;

use connect::{connect_tcp, connect_unix, shake_hands};
use deadline::{send_pending, write_by};

/// Pauses between two looks at what is unsent, each twice as long as the one before.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(32);
/// How long a server may take to refuse a client whose handshake is over.
const REFUSAL: Duration = Duration::from_millis(500);
/// The other side has closed the connection in order (`close_notify`).
const GOODBYE: io::ErrorKind = io::ErrorKind::ConnectionAborted;
/// A server that talks has no say here; so much of it is read away at a time.
const MAX_READS: usize = 16;

/// Why there is no connection to be had with these settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("tls.{0}")]
    Tls(Unusable),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("url: give syslog+tls://host[:port], syslog+tcp://host[:port] or unix:/path")]
    Address,
    #[error("url: {0:?} is no name that a certificate could be for")]
    Name(String),
}

/// Where to, and over what.
enum Way {
    Tls { host: String, port: u16, name: ServerName<'static>, config: Arc<ClientConfig> },
    Tcp { host: String, port: u16 },
    Unix(std::path::PathBuf),
}

/// The connection, or the intent to have one.
pub(crate) struct Connection {
    way: Way,
    timeout: Duration,
    socket: Option<Socket>,
}

enum Socket {
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Tcp(TcpStream),
    UnixStream(UnixStream),
    Datagrams(UnixDatagram),
}

impl Connection {
    pub fn new(sink: &NetworkSink) -> Result<Self, ConnectionError> {
        let way = match SyslogAddress::parse(&sink.url).ok_or(ConnectionError::Address)? {
            SyslogAddress::Tls { host, port } => {
                let files = located_tls(&sink.tls)?;
                let config = tls_client_config(files.ca_file.as_deref(), own_certificate(&files))
                    .map_err(ConnectionError::Tls)?;
                let name =
                    ServerName::try_from(host.clone()).map_err(|_| ConnectionError::Name(host.clone()))?;
                Way::Tls { host, port, name, config }
            }
            SyslogAddress::Tcp { host, port } => Way::Tcp { host, port },
            SyslogAddress::Unix(path) => Way::Unix(path),
        };
        Ok(Self { way, timeout: Duration::from_secs(sink.timeout_s.into()), socket: None })
    }

    /// Sends a body of messages with their lengths, and waits until nothing of it is unsent.
    pub fn send(&mut self, body: &[u8], events: usize) -> Result<(Verdict, u64), String> {
        // Whatever goes wrong, the next try has a new connection.
        let kept = self.socket.take().and_then(|mut socket| socket.is_open().ok().map(|()| socket));
        let is_new = kept.is_none();
        let mut socket = kept.map_or_else(|| self.connect(Instant::now() + self.timeout), Ok)?;
        let verdict =
            socket.write(body, events, Instant::now() + self.timeout).map_err(|error| explain(&error))?;
        let mut stands =
            settle(&mut socket, Instant::now() + self.timeout).map_err(|error| explain(&error))?;
        if stands && is_new && matches!(socket, Socket::Tls(_)) {
            std::thread::sleep(REFUSAL);
            stands = socket.stands().map_err(|error| explain(&error))?;
        }
        self.socket = stands.then_some(socket);
        Ok((verdict, body.len() as u64))
    }

    fn connect(&self, until: Instant) -> Result<Socket, String> {
        match &self.way {
            Way::Unix(path) => {
                connect_unix(path, self.timeout).map_err(|e| format!("{}: {e}", path.display()))
            }
            Way::Tcp { host, port } => connect_tcp(host, *port, until).map(Socket::Tcp),
            Way::Tls { host, port, name, config } => {
                let tcp = connect_tcp(host, *port, until)?;
                let tls =
                    ClientConnection::new(Arc::clone(config), name.clone()).map_err(|e| e.to_string())?;
                let mut stream = StreamOwned::new(tls, tcp);
                shake_hands(&mut stream, until).map_err(|error| explain(&error))?;
                Ok(Socket::Tls(Box::new(stream)))
            }
        }
    }
}

impl Drop for Connection {
    /// Tells the other side of the end, so that it does not take it for an attack.
    fn drop(&mut self) {
        if let Some(Socket::Tls(stream)) = &mut self.socket {
            stream.conn.send_close_notify();
            let _ = stream.sock.set_nonblocking(true);
            let _ = stream.conn.write_tls(&mut stream.sock);
        }
    }
}

/// Until nothing is unsent; whether the connection still stands then. One that ends before that is an error, and so is one that breaks
/// off just then: what a reset threw away counts as sent.
fn settle(socket: &mut Socket, until: Instant) -> io::Result<bool> {
    let mut pause = FIRST_LOOK;
    loop {
        let unsent = socket.unsent()?;
        let stands = socket.stands()?;
        if unsent == 0 || !stands && socket.unsent()? == 0 {
            return socket.confirm().map(|()| stands);
        }
        if !stands {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "closed by the other side"));
        }
        if Instant::now() >= until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{unsent} bytes are not taken")));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LAST_LOOK);
    }
}

impl Socket {
    fn write(&mut self, body: &[u8], events: usize, until: Instant) -> io::Result<Verdict> {
        match self {
            Self::Tls(stream) => {
                let StreamOwned { conn, sock } = &mut **stream;
                write_by(until, body, |rest, _| {
                    let taken = conn.writer().write(rest)?;
                    send_pending(conn, sock, until).map(|()| taken)
                })?;
            }
            Self::Tcp(stream) => write_by(until, body, |rest, left| {
                stream.set_write_timeout(Some(left))?;
                stream.write(rest)
            })?,
            Self::UnixStream(stream) => {
                // What reads from such a socket looks for line feeds, and an event has none.
                let mut lines = Vec::with_capacity(body.len());
                for message in messages(body) {
                    lines.extend_from_slice(message);
                    lines.push(b'\n');
                }
                write_by(until, &lines, |rest, left| {
                    stream.set_write_timeout(Some(left))?;
                    stream.write(rest)
                })?;
            }
            Self::Datagrams(socket) => return write_datagrams(socket, body, events),
        }
        Ok(Verdict::Accepted)
    }

    fn unsent(&self) -> io::Result<u64> {
        match self {
            Self::Tls(stream) => unsent_bytes(&stream.sock),
            Self::Tcp(stream) => unsent_bytes(stream),
            Self::UnixStream(stream) => unsent_bytes(stream),
            Self::Datagrams(socket) => unsent_bytes(socket),
        }
    }

    /// A datagram socket is not told that its peer has gone, and what that one had not read counts as taken. Only a write finds
    /// out; an empty one is no message to a syslog server.
    fn confirm(&self) -> io::Result<()> {
        match self {
            Self::Datagrams(socket) => socket.send(&[]).map(drop),
            Self::Tls(_) | Self::Tcp(_) | Self::UnixStream(_) => Ok(()),
        }
    }

    /// Whether the connection is open, or was ended in order. Who refuses a client says so by an alert, or hangs up; who has all of it
    /// and is done says goodbye.
    fn stands(&mut self) -> io::Result<bool> {
        match self.is_open() {
            Err(error) if error.kind() == GOODBYE => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// An error if the other side has gone. What it says is read and forgotten.
    fn is_open(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => {
                let StreamOwned { conn, sock } = &mut **stream;
                sock.set_nonblocking(true)?;
                let result = drain(|| {
                    let read = conn.read_tls(sock)?;
                    let state = conn.process_new_packets().map_err(io::Error::other)?;
                    if state.peer_has_closed() {
                        return Err(io::Error::new(GOODBYE, "closed by the other side"));
                    }
                    let mut plain = vec![0; state.plaintext_bytes_to_read().min(4096)];
                    let _ = conn.reader().read(&mut plain);
                    Ok(read)
                });
                sock.set_nonblocking(false)?;
                result
            }
            Self::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                let result = drain(|| stream.read(&mut [0; 512]));
                stream.set_nonblocking(false)?;
                result
            }
            Self::UnixStream(stream) => {
                stream.set_nonblocking(true)?;
                let result = drain(|| stream.read(&mut [0; 512]));
                stream.set_nonblocking(false)?;
                result
            }
            Self::Datagrams(socket) => socket.take_error()?.map_or(Ok(()), Err),
        }
    }
}

/// Reads until there is nothing more, with a bound.
fn drain(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<()> {
    for _ in 0..MAX_READS {
        match read() {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::ConnectionReset, "closed by the other side")),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Each message is a datagram; one that is too long for any is refused by itself.
fn write_datagrams(socket: &UnixDatagram, body: &[u8], events: usize) -> io::Result<Verdict> {
    let mut items = Vec::with_capacity(events);
    for message in messages(body) {
        items.push(match socket.send(message) {
            Ok(_) => Item::Accepted,
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                Item::Refused(format!("{} bytes are too long for a datagram", message.len()))
            }
            Err(error) => return Err(error),
        });
    }
    let all = items.iter().all(|item| *item == Item::Accepted);
    Ok(if all { Verdict::Accepted } else { Verdict::Each(items) })
}

/// What went wrong, and what an operator can do about it.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!("the server does not read: {error}"),
        _ => {
            let text = error.to_string();
            format!("{text}{}", certificate_hint(&text))
        }
    }
}
