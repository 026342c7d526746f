//! The responder: one thread, asleep until somebody asks, with a bound on everything a client can do.
//!
//! It holds the last health document and renders it anew for each answer. At most [`MAX_CONNECTIONS`] are open, each for [`DEADLINE`] at most; a
//! further one is closed at once. Nothing that a client does reaches the sensor's own thread.

use std::{
    cell::Cell,
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use linnet_fleet::health::Health;
use linnet_settings::MetricsAddress;
use smol::{
    LocalExecutor, Timer,
    future::FutureExt,
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, unix::UnixListener},
};

use super::{
    catalog,
    exposition::CONTENT_TYPE,
    request::{Answer, MAX_HEAD_BYTES, answer},
};

/// Connections at once.
pub const MAX_CONNECTIONS: usize = 8;
/// How long a client may take for everything.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// After an accept that failed, for want of descriptors say.
const PAUSE: Duration = Duration::from_secs(1);
/// Who may connect to the socket: the agent's user and group.
const SOCKET_MODE: u32 = 0o660;

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
#[error("metrics.listen: {address}: {source}")]
pub struct ServerError {
    address: String,
    source: io::Error,
}

/// What the thread answers from.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Option<Arc<Health>>>>);

/// The listening responder. Its thread lives as long as the process.
pub struct Server {
    shown: Shown,
    address: String,
    socket: Option<PathBuf>,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Server {
    /// Listens, and starts the thread.
    ///
    /// # Errors
    /// When the address can't be had, or no thread.
    pub fn start(address: &MetricsAddress) -> Result<Self, ServerError> {
        let failed = |source| ServerError { address: address.to_string(), source };
        let (listener, bound, socket) = match address {
            MetricsAddress::Tcp(tcp) => {
                let listener = std::net::TcpListener::bind(tcp).map_err(failed)?;
                let bound: SocketAddr = listener.local_addr().map_err(failed)?;
                let listener = smol::Async::new(listener).map_err(failed)?;
                (Listener::Tcp(listener.into()), bound.to_string(), None)
            }
            MetricsAddress::Unix(path) => {
                let listener = listen_at(path).map_err(failed)?;
                let listener = smol::Async::new(listener).map_err(failed)?;
                (Listener::Unix(listener.into()), address.to_string(), Some(path.clone()))
            }
        };
        let shown = Shown::default();
        let answers = shown.clone();
        std::thread::Builder::new()
            .name("linnet-metrics".to_owned())
            .stack_size(256 << 10)
            .spawn(move || {
                let executor = Rc::new(LocalExecutor::new());
                smol::block_on(executor.run(serve(&executor, &listener, &answers)));
            })
            .map_err(failed)?;
        Ok(Self { shown, address: bound, socket })
    }

    /// Where it listens; with the port that the kernel chose, if it was asked to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Shows this from now on.
    pub fn show(&self, health: Arc<Health>) {
        *self.shown.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(health);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(path) = &self.socket {
            // One that stays is taken away by the next start.
            let _ = fs::remove_file(path);
        }
    }
}

/// Listens on a unix socket, in place of one that a killed agent left. There is one agent, which holds the lock.
fn listen_at(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("something else than a socket is there: remove it")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener)
}

async fn serve(executor: &Rc<LocalExecutor<'_>>, listener: &Listener, shown: &Shown) {
    let open = Rc::new(Cell::new(0_usize));
    loop {
        let accepted = match listener {
            Listener::Tcp(tcp) => tcp.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
            Listener::Unix(unix) => unix.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        };
        match accepted {
            Ok(stream) if open.get() < MAX_CONNECTIONS => {
                open.set(open.get() + 1);
                let (open, shown) = (Rc::clone(&open), shown.clone());
                executor
                    .spawn(async move {
                        let ended = match stream {
                            Stream::Tcp(stream) => converse(stream, &shown).await,
                            Stream::Unix(stream) => converse(stream, &shown).await,
                        };
                        if let Err(error) = ended {
                            log::debug!("metrics: {error}");
                        }
                        open.set(open.get() - 1);
                    })
                    .detach();
            }
            Ok(_) => log::debug!("metrics: {MAX_CONNECTIONS} connections are open, one more is closed"),
            Err(error) => {
                log::warn!("metrics: {error}");
                Timer::after(PAUSE).await;
            }
        }
    }
}

enum Stream {
    Tcp(smol::net::TcpStream),
    Unix(smol::net::unix::UnixStream),
}

/// One request, one answer, within the deadline.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, shown: &Shown) -> io::Result<()> {
    let late = async {
        Timer::after(DEADLINE).await;
        Err(io::Error::new(io::ErrorKind::TimedOut, "a client took too long"))
    };
    talk(stream, shown).or(late).await
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, shown: &Shown) -> io::Result<()> {
    let mut head = [0; MAX_HEAD_BYTES];
    let mut len = 0;
    let answer = loop {
        let free = head.get_mut(len..).unwrap_or_default();
        let count = stream.read(free).await?;
        len += count;
        match answer(head.get(..len).unwrap_or_default()) {
            Answer::ReadOn if count == 0 => return Ok(()),
            Answer::ReadOn => {}
            answer => break answer,
        }
    };
    let (status, body, with_body) = match answer {
        Answer::Metrics { with_body } => {
            let health = shown.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match health {
                Some(health) => ("200 OK", catalog::render(&health), with_body),
                None => ("503 Service Unavailable", "the sensor is starting\n".to_owned(), true),
            }
        }
        Answer::Error(status) => (status, format!("{status}: GET /metrics\n"), true),
        Answer::ReadOn => return Ok(()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {}\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if with_body {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.close().await?;
    // What the client still sends is read to its end, or else the kernel cuts off the answer with a reset; within the deadline.
    let mut rest = [0; 512];
    let mut most = MAX_HEAD_BYTES;
    while most > 0 {
        match stream.read(&mut rest).await? {
            0 => break,
            count => most = most.saturating_sub(count),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
