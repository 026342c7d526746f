//! A strict HTTP/1.1 server with a script: it reads each request whole, checks it, and answers, or misbehaves, as told.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;

/// What to do with a request.
pub enum Act {
    /// Answer with this status, further headers, and body.
    Answer(u16, &'static str, String),
    /// Answer well, later.
    Late(Duration),
    /// Close without an answer.
    Close,
    /// Begin an answer with this status and close before its body is whole.
    CloseMidway(u16),
}

/// A request as it came, decoded.
pub struct Request {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub lines: Vec<Value>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What the server has seen.
#[derive(Default)]
pub struct Seen {
    pub requests: Vec<(Instant, usize)>,
    pub connections: usize,
    /// Uids of events in requests that were answered with 2xx.
    pub taken: Vec<String>,
}

type Script = dyn Fn(usize, &Request) -> Act + Send + Sync;

pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Seen>>,
}

impl Server {
    pub fn start(script: impl Fn(usize, &Request) -> Act + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), None, script)
    }

    pub fn on(
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        script: impl Fn(usize, &Request) -> Act + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (shared, script): (_, Arc<Script>) = (Arc::clone(&seen), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                shared.lock().unwrap().connections += 1;
                let (shared, script, tls) = (Arc::clone(&shared), Arc::clone(&script), tls.clone());
                std::thread::spawn(move || serve(stream, tls, &shared, &*script));
            }
        });
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    pub fn taken(&self) -> Vec<String> {
        self.seen.lock().unwrap().taken.clone()
    }
}

fn serve(stream: TcpStream, tls: Option<Arc<rustls::ServerConfig>>, seen: &Mutex<Seen>, script: &Script) {
    let result = match tls {
        None => converse(&mut BufReader::new(stream), seen, script),
        Some(config) => {
            let connection = rustls::ServerConnection::new(config).unwrap();
            converse(&mut BufReader::new(rustls::StreamOwned::new(connection, stream)), seen, script)
        }
    };
    // The other side may go at any time.
    drop(result);
}

fn converse<S: Read + Write>(
    stream: &mut BufReader<S>,
    seen: &Mutex<Seen>,
    script: &Script,
) -> io::Result<()> {
    while let Some(request) = read_request(stream)? {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.requests.push((Instant::now(), request.lines.len()));
            seen.requests.len() - 1
        };
        let (status, headers, body) = match script(number, &request) {
            Act::Answer(status, headers, body) => (status, headers, body),
            Act::Late(time) => {
                std::thread::sleep(time);
                (200, "", String::new())
            }
            Act::Close => return Ok(()),
            Act::CloseMidway(status) => {
                write!(stream.get_mut(), "HTTP/1.1 {status} Whatever\r\ncontent-length: 1000\r\n\r\n{{")?;
                return stream.get_mut().flush();
            }
        };
        if (200..300).contains(&status) {
            let events = request.lines.iter().flat_map(events);
            let uids = events.filter_map(|event| Some(event.pointer("/metadata/uid")?.as_str()?.to_owned()));
            seen.lock().unwrap().taken.extend(uids);
        }
        let answer =
            format!("HTTP/1.1 {status} Whatever\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
        stream.get_mut().write_all(answer.as_bytes())?;
        stream.get_mut().flush()?;
    }
    Ok(())
}

/// The events of a line, whatever they are wrapped in.
fn events(line: &Value) -> Vec<Value> {
    if let Some(resources) = line.get("resourceLogs") {
        let scopes =
            resources.as_array().unwrap().iter().flat_map(|one| one["scopeLogs"].as_array().unwrap());
        let records = scopes.flat_map(|one| one["logRecords"].as_array().unwrap());
        let body = |record: &Value| record["body"]["stringValue"].as_str().unwrap().to_owned();
        return records.map(|record| serde_json::from_str(&body(record)).unwrap()).collect();
    }
    vec![line.get("event").unwrap_or(line).clone()]
}

fn read_request(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.strip_prefix("POST ").and_then(|rest| rest.strip_suffix(" HTTP/1.1\r\n"));
    let path = path.filter(|path| path.starts_with('/')).unwrap_or_else(|| panic!("{line:?}")).to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let request = Request { path, headers, lines: Vec::new() };
    let len: usize = request.header("content-length").expect("a length is said").parse().unwrap();
    let mut body = vec![0; len];
    stream.read_exact(&mut body)?;
    if request.header("content-encoding") == Some("gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
        body = plain;
    }
    assert_eq!(body.last(), Some(&b'\n'), "a body ends with a line feed");
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    Ok(Some(Request { lines, ..request }))
}
