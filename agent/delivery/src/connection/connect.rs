//! How a connection to a syslog server comes about, in the time that there is.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    os::unix::net::{UnixDatagram, UnixStream},
    path::Path,
    time::{Duration, Instant},
};

use linnet_fleet::channel::look_up;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustls::{ClientConnection, StreamOwned};

use super::{
    Socket,
    deadline::{send_pending, time_left},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn connect_tcp(host: &str, port: u16, until: Instant) -> Result<TcpStream, String> {
    let mut last = format!("{host}: no address: is the name right, and does this host have name lookup?");
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => time_left(until)
            .and_then(|left| look_up(format!("{host}:{port}"), left))
            .map_err(|error| format!("{host}: {error}"))?,
    };
    for address in addresses {
        let connected = time_left(until).and_then(|left| {
            let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT.min(left))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(last)
}

/// As the C library does: datagrams, and a stream where the socket is one.
pub(super) fn connect_unix(path: &Path, timeout: Duration) -> io::Result<Socket> {
    let datagrams = UnixDatagram::unbound()?;
    match datagrams.connect(path) {
        Ok(()) => {
            datagrams.set_write_timeout(Some(timeout))?;
            Ok(Socket::Datagrams(datagrams))
        }
        Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
            connect_unix_stream(path).map(Socket::UnixStream)
        }
        Err(error) => Err(error),
    }
}

/// The library's `connect` waits without end for a process that stands still and whose backlog is full.
fn connect_unix_stream(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

pub(super) fn shake_hands(
    stream: &mut StreamOwned<ClientConnection, TcpStream>,
    until: Instant,
) -> io::Result<()> {
    let StreamOwned { conn, sock } = stream;
    while conn.is_handshaking() {
        send_pending(conn, sock, until)?;
        if conn.is_handshaking() {
            sock.set_read_timeout(Some(time_left(until)?))?;
            if conn.read_tls(sock)? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed during the handshake"));
            }
            if let Err(error) = conn.process_new_packets() {
                // The other side is told why.
                let _ = send_pending(conn, sock, until);
                return Err(io::Error::other(error));
            }
        }
    }
    send_pending(conn, sock, until)
}
