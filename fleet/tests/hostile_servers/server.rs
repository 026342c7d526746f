//! A small web server on loopback that can be told to behave badly for one path.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use linnet_keys::Sha256Digest;

use crate::published::Files;

/// What a client asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Without its leading slash.
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// One step of a bad answer. After the last the connection is closed.
#[derive(Clone)]
pub enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    /// These bytes again and again, with this pause, until the client hangs up.
    Forever(Vec<u8>, Duration),
}

pub fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(bytes.as_ref().to_vec())
}

/// An answer with these headers and body, and nothing added.
pub fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<Step> {
    vec![send(format!("HTTP/1.1 {status}\r\n{headers}\r\n")), send(body)]
}

/// As [`answer`], with the body's length.
pub fn sized(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<Step> {
    let length = body.as_ref().len();
    answer(status, &format!("Content-Length: {length}\r\n{headers}"), body)
}

/// A bad answer to a request, or `None` for the good one.
pub type Trick = Box<dyn FnMut(&Request, &Files) -> Option<Vec<Step>> + Send>;

#[derive(Default)]
pub struct State {
    pub files: Files,
    pub trick: Option<Trick>,
    pub seen: Vec<Request>,
}

pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Puts TLS, or nothing, on a connection.
pub type Accept = Box<dyn Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync>;

pub struct Server {
    pub port: u16,
    pub state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub fn plain() -> Self {
        Self::start(Box::new(|stream| Some(Box::new(stream))))
    }

    pub fn start(accept: Accept) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, stop) = (Arc::new(Mutex::new(State::default())), Arc::new(AtomicBool::new(false)));
        let (shared, stopped, accept) = (state.clone(), stop.clone(), Arc::new(accept));
        thread::spawn(move || {
            for connection in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                connection.set_nodelay(true).unwrap();
                let (shared, accept, stopped) = (shared.clone(), accept.clone(), stopped.clone());
                thread::spawn(move || {
                    if let Some(stream) = accept(connection) {
                        let _ = serve(stream, &shared, &stopped);
                    }
                });
            }
        });
        Self { port, state, stop }
    }

    pub fn set_trick(&self, trick: Option<Trick>) {
        self.state.lock().unwrap().trick = trick;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(stream: Box<dyn Stream>, state: &Mutex<State>, stopped: &AtomicBool) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let Some(request) = read_request(&mut stream)? else { return Ok(()) };
        let (bad, files) = {
            let mut state = state.lock().unwrap();
            state.seen.push(request.clone());
            let files = state.files.clone();
            (state.trick.as_mut().and_then(|trick| trick(&request, &files)), files)
        };
        let Some(steps) = bad else {
            stream.get_mut().write_all(&good(&request, &files))?;
            stream.get_mut().flush()?;
            continue;
        };
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    stream.get_mut().write_all(&bytes)?;
                    stream.get_mut().flush()?;
                }
                Step::Pause(pause) => thread::sleep(pause),
                Step::Forever(bytes, pause) => {
                    while !stopped.load(Ordering::Relaxed) {
                        stream.get_mut().write_all(&bytes)?;
                        stream.get_mut().flush()?;
                        thread::sleep(pause);
                    }
                }
            }
        }
        return Ok(());
    }
}

fn read_request(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let path = lines[0].split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    let headers = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Ok(Some(Request { path, headers }))
}

pub fn etag(content: &[u8]) -> String {
    format!("\"{}\"", &Sha256Digest::of(content).to_string()[..16])
}

/// What a good server answers, conditions and ranges included.
pub fn good(request: &Request, files: &Files) -> Vec<u8> {
    let Some(content) = files.get(&request.path) else {
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
    };
    let tag = etag(content);
    if request.header("If-None-Match") == Some(&tag) {
        return format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n\r\n").into_bytes();
    }
    let from = request
        .header("Range")
        .filter(|_| request.header("If-Range") == Some(&tag))
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok())
        .filter(|from| *from < content.len());
    let (status, range, body) = match from {
        Some(from) => {
            let total = content.len();
            (
                "206 Partial Content",
                format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1),
                &content[from..],
            )
        }
        None => ("200 OK", String::new(), &content[..]),
    };
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nETag: {tag}\r\n{range}Content-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
