//! A proxy between the host and the channel: a real one, and ones that are in the way.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use linnet_fleet::channel::{ChannelError, ExitClass};

use crate::host::World;
use crate::published::now;
use crate::server::{Step, answer, send};
use crate::tls::{Authority, GOOD_YEARS, world as tls_world};

const PASSWORD: &str = "s3cret%20word";
/// `user:s3cret word`, in base64.
const BASIC: &str = "Basic dXNlcjpzM2NyZXQgd29yZA==";

/// Answers to CONNECT in place of a tunnel.
type Refusal = Arc<Vec<Step>>;

/// A proxy that knows CONNECT, as RFC 9110 has it, and nothing else.
struct Proxy {
    port: u16,
    tunnels: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

#[derive(Clone, Default)]
struct Manner {
    /// The credentials that it wants.
    wants: Option<&'static str>,
    refusal: Option<Refusal>,
    /// Each tunnel is cut after so many bytes from the server.
    cut_after: Option<usize>,
}

impl Proxy {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tunnels, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (shared, stopped, seen) = (tunnels.clone(), stop.clone(), asked.clone());
        thread::spawn(move || {
            for connection in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                let (shared, stopped, seen, manner) =
                    (shared.clone(), stopped.clone(), seen.clone(), manner.clone());
                thread::spawn(move || {
                    let _ = serve(connection, &manner, &shared, &seen, &stopped);
                });
            }
        });
        Self { port, tunnels, asked, stop }
    }

    fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}127.0.0.1:{}", self.port)
    }

    fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(
    client: TcpStream,
    manner: &Manner,
    tunnels: &AtomicUsize,
    asked: &Mutex<Vec<String>>,
    stopped: &AtomicBool,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut reader = BufReader::new(client.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let first = lines[0].clone();
    asked.lock().unwrap().push(first.clone());
    let mut client = client;
    if let Some(steps) = &manner.refusal {
        for step in steps.iter() {
            match step {
                Step::Send(bytes) => client.write_all(bytes)?,
                Step::Pause(pause) => thread::sleep(*pause),
                Step::Forever(bytes, pause) => {
                    while !stopped.load(Ordering::Relaxed) {
                        client.write_all(bytes)?;
                        thread::sleep(*pause);
                    }
                }
            }
        }
        return Ok(());
    }
    let given = lines.iter().find_map(|line| line.strip_prefix("Proxy-Authorization: "));
    if manner.wants.is_some() && manner.wants != given {
        return client.write_all(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
        );
    }
    let target = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let Some(Ok(server)) = target.map(TcpStream::connect) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    };
    tunnels.fetch_add(1, Ordering::Relaxed);
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut up, mut to) = (reader, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut up, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut down = io::Read::take(server, manner.cut_after.map_or(u64::MAX, |bytes| bytes as u64));
    io::copy(&mut down, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// Runs all cases and says how many.
pub fn all() -> usize {
    let ours = Authority::new("ours");
    through(&ours) + with_credentials(&ours) + in_the_way(&ours) + not_there() + of_another_kind()
}

fn both(ours: &Authority, name: &str) -> [World; 2] {
    let https =
        tls_world(&format!("proxy: https, {name}"), ours.server("localhost", GOOD_YEARS), &ours.pem());
    [World::new(&format!("proxy: http, {name}")), https]
}

/// All that is asked for comes through the tunnel, large and resumed downloads included.
fn through(ours: &Authority) -> usize {
    for mut world in both(ours, "good") {
        let proxy = Proxy::start(Manner::default());
        world.settings.proxy = Some(proxy.url(""));
        let world = world.at_version_1();
        world.recovers();
        assert!(proxy.tunnels() > 0, "nothing went through the proxy");
        assert!(proxy.asked.lock().unwrap().iter().all(|line| line.starts_with("CONNECT ")));
    }
    for mut world in both(ours, "a tunnel that is cut in the midst of a download") {
        let good = Proxy::start(Manner::default());
        world.settings.proxy = Some(good.url(""));
        let mut world = world.at_version_1();
        let cut = Proxy::start(Manner { cut_after: Some(150_000), ..Manner::default() });
        world.settings.proxy = Some(cut.url(""));
        let error = world.download().unwrap_err();
        assert_eq!(error.exit_class(), ExitClass::Network, "{error}");
        assert!(world.part().exists(), "{}: nothing to resume", world.name);
        world.settings.proxy = Some(good.url(""));
        world.recovers();
    }
    4
}

fn with_credentials(ours: &Authority) -> usize {
    for world in both(ours, "a proxy that wants a password") {
        let proxy = Proxy::start(Manner { wants: Some(BASIC), ..Manner::default() });
        let mut world = world;
        for wrong in ["", "user:wr0ng@"] {
            world.settings.proxy = Some(proxy.url(wrong));
            let error = world.refresh(now()).unwrap_err();
            let says = error.to_string();
            assert_eq!(error.exit_class(), ExitClass::Network, "{says}");
            assert!(says.contains("407") && says.contains("channel.proxy"), "{says}");
            assert!(says.contains(&format!("through the proxy 127.0.0.1:{}", proxy.port)), "{says}");
            assert!(!says.contains("wr0ng") && !format!("{error:?}").contains("wr0ng"), "{error:?}");
        }
        world.settings.proxy = Some(proxy.url(&format!("user:{PASSWORD}@")));
        let transport = world.settings.transport().unwrap();
        let shown = format!("{transport:?} {:?}", world.settings);
        assert!(!shown.contains("s3cret"), "{shown}");
        let world = world.at_version_1();
        world.recovers();
    }
    6
}

/// Whatever a proxy answers, it costs the update and nothing else, and soon.
fn in_the_way(ours: &Authority) -> usize {
    let refusals: Vec<(&str, Vec<Step>, ExitClass)> = vec![
        ("403", answer("403 Forbidden", "Content-Length: 0\r\n", ""), ExitClass::Network),
        ("503 with a page", answer("503 Later", "Content-Length: 6\r\n", "<html>"), ExitClass::Network),
        ("a redirect", answer("302 Found", "Location: http://login.example/\r\n", ""), ExitClass::Network),
        ("another protocol", vec![send("SSH-2.0-OpenSSH_9.2p1\r\n")], ExitClass::Network),
        ("nothing, and hangs up", vec![], ExitClass::Network),
        ("nothing, and waits", vec![Step::Pause(Duration::from_secs(6))], ExitClass::Network),
        (
            "a byte at a time",
            vec![send("HTTP/1.1 200 "), Step::Forever(b"x".to_vec(), Duration::from_millis(40))],
            ExitClass::Network,
        ),
        (
            "headers without end",
            vec![send("HTTP/1.1 200 OK\r\n"), Step::Forever(b"x: y\r\n".repeat(100), Duration::ZERO)],
            ExitClass::Network,
        ),
        ("200, and hangs up", answer("200 OK", "", ""), ExitClass::Network),
        ("200, and then a page of its own", answer("200 OK", "", "<html>login</html>"), ExitClass::Network),
    ];
    let mut count = 0;
    for (name, steps, class) in refusals {
        for mut world in both(ours, name) {
            count += 1;
            let good = Proxy::start(Manner::default());
            world.settings.proxy = Some(good.url(""));
            let mut world = world.at_version_1();
            let bad = Proxy::start(Manner { refusal: Some(Arc::new(steps.clone())), ..Manner::default() });
            world.settings.proxy = Some(bad.url("user:s3cret@"));
            let before = world.stored();
            let error = world.refresh(now()).unwrap_err();
            assert_eq!(error.exit_class(), class, "{}: {error}", world.name);
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{}: {error:?}", world.name);
            assert_eq!(world.stored(), before, "{}", world.name);
            world.settings.proxy = Some(good.url(""));
            world.recovers();
        }
    }
    count
}

/// A refused connection says whose.
fn not_there() -> usize {
    let mut world = World::new("proxy: nobody listens");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    world.settings.proxy = Some(format!("http://user:s3cret@127.0.0.1:{free}"));
    let says = world.refresh(now()).unwrap_err().to_string();
    assert!(
        says.contains(&format!("through the proxy 127.0.0.1:{free}")) && !says.contains("s3cret"),
        "{says}"
    );
    let mut world = World::new("proxy: the url's own password");
    world.settings.url = format!("http://user:s3cret@127.0.0.1:{}", world.server.port);
    world.trick(|_, _| Some(answer("500 Oops", "Content-Length: 0\r\n", "")));
    let error = world.refresh(now()).unwrap_err();
    assert!(matches!(error, ChannelError::Status { status: 500, .. }), "{error}");
    assert!(!error.to_string().contains("s3cret") && error.to_string().contains("…@127.0.0.1"), "{error}");
    2
}

/// One that the client does not speak is refused, and not passed by.
fn of_another_kind() -> usize {
    let kinds =
        ["socks5://127.0.0.1:1080", "socks4a://127.0.0.1:1080", "https://127.0.0.1:3128", "ftp://x", ""];
    for proxy in kinds {
        let mut world = World::new("proxy: of another kind");
        world.settings.proxy = Some(proxy.to_owned());
        let error = world.refresh(now()).unwrap_err();
        assert!(matches!(error, ChannelError::Settings { key: "proxy", .. }), "{proxy}: {error}");
        assert!(world.server.state.lock().unwrap().seen.is_empty(), "{proxy}: it was passed by");
    }
    kinds.len()
}
