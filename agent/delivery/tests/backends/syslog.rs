//! Syslog: servers that go away, do not read, or are somebody else. What rsyslog makes of it is a matter of `tests/delivery`.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::net::{UnixDatagram, UnixListener},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use crate::{Stage, own_tls, tls};

/// The uids of messages, in the order in which they came.
type Taken = Arc<Mutex<Vec<String>>>;

/// Checks a message and notes its event's uid, which the structured data tells, too.
fn take(message: &str, taken: &Taken) {
    let head = "<134>1 2026-11-22T00:16:16.803Z host-1.example.org linnet - ";
    let rest = message.strip_prefix(head).unwrap_or_else(|| panic!("{message}"));
    let (kind, rest) = rest.split_once(" [linnet@32473 uid=\"").unwrap();
    assert!(["fork", "exec", "exit"].contains(&kind));
    let (uid, event) = rest.split_once("\"] ").unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    assert_eq!(event["metadata"]["uid"], uid);
    taken.lock().unwrap().push(uid.to_owned());
}

/// An empty one asks whether anybody is there.
fn take_datagram(message: &[u8], taken: &Taken) {
    if !message.is_empty() {
        take(std::str::from_utf8(message).unwrap(), taken);
    }
}

/// Reads messages behind their lengths, so many at most.
fn read_counted(stream: impl Read, most: usize, taken: &Taken) {
    let mut stream = BufReader::new(stream);
    for _ in 0..most {
        let mut len = Vec::new();
        let read = stream.read_until(b' ', &mut len);
        if !matches!(read, Ok(1..)) {
            return;
        }
        let len: usize = std::str::from_utf8(&len).unwrap().trim_end().parse().unwrap();
        let mut message = vec![0; len];
        if stream.read_exact(&mut message).is_err() {
            return;
        }
        take(&String::from_utf8(message).unwrap(), taken);
    }
}

fn sink(url: &str) -> Value {
    json!({"url": url, "kind": "syslog"})
}

fn wanted(events: std::ops::Range<u64>) -> Vec<String> {
    events.map(|number| format!("aa-{number:x}")).collect()
}

/// A server that reads from any number of connections over TLS: its url, and what it has read.
fn serve_tls(config: Arc<rustls::ServerConfig>) -> (String, Taken) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("syslog+tls://localhost:{}", listener.local_addr().unwrap().port());
    let taken = Taken::default();
    let theirs = Arc::clone(&taken);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            read_counted(rustls::StreamOwned::new(connection, stream.unwrap()), usize::MAX, &theirs);
        }
    });
    (url, taken)
}

/// What comes in by this socket.
fn read_datagrams(socket: UnixDatagram) -> Taken {
    let taken = Taken::default();
    let theirs = Arc::clone(&taken);
    std::thread::spawn(move || {
        let mut message = vec![0; 1 << 20];
        while let Ok(len) = socket.recv(&mut message) {
            take_datagram(&message[..len], &theirs);
        }
    });
    taken
}

/// What came, when it came more than once, once.
fn different(taken: &Taken) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    taken.lock().unwrap().iter().filter(|uid| seen.insert((*uid).clone())).cloned().collect()
}

#[test]
fn a_server_that_closes_between_batches_loses_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("syslog+tcp://{}", listener.local_addr().unwrap());
    let taken = Taken::default();
    let theirs = Arc::clone(&taken);
    // Each connection is closed after ten messages, as a server does that is restarted again and again.
    std::thread::spawn(move || {
        listener.incoming().for_each(|stream| read_counted(stream.unwrap(), 10, &theirs));
    });
    let mut stage = Stage::new(&sink(&url));
    for round in 1..=5 {
        stage.append(10);
        stage.drained();
        stage.until("they are read", |_| different(&taken).len() >= round * 10);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(stage.drained().delivered.total(), 50);
    // What was read and not acknowledged before it closed comes again.
    assert_eq!(different(&taken), wanted(0..50), "each, in order");
}

/// Ended in order, after each batch: nobody was refused.
#[test]
fn a_server_that_says_goodbye_after_each_batch_over_tls_gets_each_once() {
    let (config, ca, ..) = tls("localhost", false);
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, ca).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("syslog+tls://localhost:{}", listener.local_addr().unwrap().port());
    let taken = Taken::default();
    let theirs = Arc::clone(&taken);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            read_counted(&mut stream, 1, &theirs);
            stream.conn.send_close_notify();
            let _ = stream.flush();
            // As one that waits for the answer to its goodbye.
            let _ = stream.read(&mut [0; 64]);
        }
    });
    let mut sink = sink(&url);
    sink["tls"] = json!({"ca_file": ca_file});
    sink["batch"] = json!({"max_events": 1});
    let mut stage = Stage::within(directory, &sink);
    stage.append(3);
    assert_eq!(stage.drained().delivered.total(), 3);
    assert_eq!(*taken.lock().unwrap(), wanted(0..3));
}

#[test]
fn what_the_other_process_has_not_read_is_not_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stream");
    let listener = UnixListener::bind(&path).unwrap();
    let mut stage = Stage::new(&sink(&format!("unix:{}", path.display())));
    stage.append(30);
    let (unread, _) = listener.accept().unwrap();
    stage.until("it was told", |stage| {
        stage.report().last_error.is_some_and(|why| why.contains("does not read"))
    });
    assert_eq!(stage.account().0.delivered.total(), 0);
    drop(unread);
    let taken = Taken::default();
    let theirs = Arc::clone(&taken);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let lines = BufReader::new(stream.unwrap()).lines();
            lines.map_while(Result::ok).for_each(|line| take(&line, &theirs));
        }
    });
    assert_eq!(stage.drained().delivered.total(), 30);
    stage.until("they are read", |_| different(&taken) == wanted(0..30));
}

#[test]
fn a_datagram_that_is_too_long_is_refused_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    let taken = read_datagrams(socket);
    let mut stage = Stage::new(&sink(&format!("unix:{}", path.display())));
    stage.append(20);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let long = format!("{{\"time\":1795306576803,\"long\":\"{}\"}}\n", "x".repeat(400_000));
    stage.spool.append(&[1], long.as_bytes(), now.as_millis() as i64).unwrap();
    stage.append(20);
    let account = stage.drained();
    assert_eq!((account.delivered.total(), account.refused.total(), account.lost()), (40, 1, 0));
    assert!(stage.refused()[0]["why"].as_str().unwrap().contains("too long for a datagram"));
    stage.until("they are read", |_| *taken.lock().unwrap() == wanted(0..40));
}

#[test]
fn syslog_over_tls_shows_the_own_certificate_and_sends_each_message_once() {
    let (config, ca, certificate, key) = tls("localhost", true);
    let directory = tempfile::tempdir().unwrap();
    let tls = own_tls(directory.path(), &ca, &certificate, &key);
    let (url, taken) = serve_tls(config);
    let mut sink = sink(&url);
    sink["tls"] = tls;
    sink["batch"] = json!({"linger_ms": 20, "max_events": 50});
    let mut stage = Stage::within(directory, &sink);
    stage.append(1000);
    assert_eq!(stage.drained().delivered.total(), 1000);
    stage.until("they are read", |_| taken.lock().unwrap().len() >= 1000);
    assert_eq!(*taken.lock().unwrap(), wanted(0..1000));
    assert!(stage.report().failures == 0 && stage.report().sent_bytes > 0);
}

#[test]
fn a_syslog_server_with_a_certificate_of_somebody_else_gets_nothing() {
    let (config, ca, ..) = tls("elsewhere.example.org", false);
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, ca).unwrap();
    let (url, taken) = serve_tls(config);
    let mut sink = sink(&url);
    sink["tls"] = json!({"ca_file": ca_file});
    let mut stage = Stage::within(directory, &sink);
    stage.append(10);
    stage.until("it was refused", |stage| stage.report().last_error.is_some());
    let why = stage.report().last_error.unwrap();
    assert!(why.contains("certificate"), "{why}");
    assert_eq!((stage.account().1.total(), taken.lock().unwrap().len()), (10, 0));
}

#[test]
fn what_a_server_gets_of_a_client_that_it_refuses_is_not_delivered() {
    let (config, ca, certificate, key) = tls("localhost", true);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let shown = own_tls(&path, &ca, &certificate, &key);
    let (url, taken) = serve_tls(config);
    let mut sink = sink(&url);
    // Of another authority: the client's handshake is over before the server has looked at it.
    let (.., other_certificate, other_key) = tls("localhost", true);
    own_tls(&path, &ca, &other_certificate, &other_key);
    sink["tls"] = shown;
    let mut stage = Stage::within(directory, &sink);
    stage.append(10);
    stage.until("it was refused again and again", |stage| stage.report().failures > 2);
    let why = stage.report().last_error.unwrap();
    assert!(why.contains("tls.certificate_file"), "{why}");
    assert_eq!((stage.account().1.total(), taken.lock().unwrap().len()), (10, 0));
    own_tls(&path, &ca, &certificate, &key);
    assert_eq!(stage.drained().delivered.total(), 10);
    stage.until("they are read", |_| different(&taken) == wanted(0..10));
}

#[test]
fn a_process_that_stands_still_is_not_waited_for_without_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stream");
    let listener = UnixListener::bind(&path).unwrap();
    // Its backlog is full: a connection that waited for room would wait as long as the listener does nothing.
    rustix::net::listen(&listener, 0).unwrap();
    let waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let mut stage = Stage::new(&sink(&format!("unix:{}", path.display())));
    stage.append(10);
    stage.until("it was told", |stage| stage.report().failures > 1);
    assert_eq!(stage.account().1.total(), 10);
    drop((waiting, listener));
}

#[test]
fn a_server_that_is_away_is_told_and_gets_everything_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut stage = Stage::new(&sink(&format!("unix:{}", path.display())));
    stage.append(300);
    stage.until("it counts as down", |stage| stage.report().is_down);
    let socket = UnixDatagram::bind(&path).unwrap();
    let taken = read_datagrams(socket);
    assert_eq!(stage.drained().delivered.total(), 300);
    stage.until("they are read", |_| different(&taken) == wanted(0..300));
}

#[test]
fn datagrams_that_went_down_with_a_server_unread_are_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let first = UnixDatagram::bind(&path).unwrap();
    let mut stage = Stage::new(&sink(&format!("unix:{}", path.display())));
    stage.append(5);
    let mut message = vec![0; 1 << 16];
    assert!(first.recv(&mut message).unwrap() > 0, "the rest is in its queue");
    std::fs::remove_file(&path).unwrap();
    drop(first);
    stage.until("it was told", |stage| stage.report().last_error.is_some());
    assert_eq!(stage.account().0.delivered.total(), 0);
    let second = UnixDatagram::bind(&path).unwrap();
    let taken = Taken::default();
    let theirs = Arc::clone(&taken);
    std::thread::spawn(move || {
        while let Ok(len) = second.recv(&mut message) {
            take_datagram(&message[..len], &theirs);
        }
    });
    assert_eq!(stage.drained().delivered.total(), 5);
    stage.until("they are read", |_| different(&taken) == wanted(0..5));
}
