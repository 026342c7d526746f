use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Instant,
};

use linnet_fleet::health::State;

use super::*;

fn tcp() -> Server {
    let any = MetricsAddress::Tcp("127.0.0.1:0".parse().unwrap());
    Server::start(&any).unwrap()
}

fn shows(server: &Server) {
    server.show(Arc::new(Health { version: "9.9.9".into(), state: State::Running, ..Health::default() }));
}

fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_scraper_gets_the_numbers_and_others_an_error() {
    let server = tcp();
    let ask = |request: &str| ask(&mut TcpStream::connect(server.address()).unwrap(), request.as_bytes());
    assert!(ask("GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 503 "));
    shows(&server);
    let answer = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(CONTENT_TYPE), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    assert!(body.contains("linnet_agent_info{version=\"9.9.9\",kernel_release=\"\"} 1\n"), "{body}");
    let head = ask("HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.ends_with("\r\n\r\n") && head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(ask("DELETE /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(ask(&"x".repeat(MAX_HEAD_BYTES + 100)).starts_with("HTTP/1.1 431 "));
}

#[test]
fn clients_that_say_nothing_are_bounded_and_are_closed_in_the_end() {
    let server = tcp();
    shows(&server);
    let mut silent: Vec<TcpStream> =
        (0..MAX_CONNECTIONS).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    // One more is closed without an answer; by a reset, if it had said something already.
    let from = Instant::now();
    let mut more = TcpStream::connect(server.address()).unwrap();
    let _ = more.write_all(b"GET /metrics HTTP/1.1\r\n\r\n");
    let mut answer = String::new();
    let _ = more.read_to_string(&mut answer);
    assert_eq!(answer, "");
    assert!(from.elapsed() < DEADLINE / 2);
    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    assert!(from.elapsed() >= DEADLINE / 2 && from.elapsed() < DEADLINE * 3);
    let answer = ask(&mut TcpStream::connect(server.address()).unwrap(), b"GET /metrics HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_socket_is_for_the_agent_s_user_and_takes_the_place_of_a_dead_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a listener that is gone leaves its socket");
    let address = MetricsAddress::Unix(path.clone());
    let server = Server::start(&address).unwrap();
    shows(&server);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
    let answer = ask(&mut UnixStream::connect(&path).unwrap(), b"GET /metrics HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "));
    drop(server);
    assert!(!path.exists());
    fs::write(&path, "precious").unwrap();
    let refused = Server::start(&address).err().unwrap().to_string();
    assert!(refused.contains("something else than a socket"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}
