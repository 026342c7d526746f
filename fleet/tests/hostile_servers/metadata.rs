//! What a server can do to the metadata. Each case is a host at version 1, a channel at version 2, and a trick.

use std::time::Duration;

use linnet_fleet::channel::{ChannelError, ExitClass};

use crate::host::World;
use crate::published::{Files, after_days, forged, now};
use crate::server::{Request, Step, answer, good, send, sized};

type Trick = fn(&Request, &Files) -> Option<Vec<Step>>;
type Refused = fn(&ChannelError) -> bool;

macro_rules! on {
    ($path:literal, $steps:expr) => {
        |request, _| (request.path == $path).then(|| $steps)
    };
}

const SLOWLY: Duration = Duration::from_millis(40);
const TIMESTAMP: &str = "timestamp.json";

/// Runs all cases and says how many.
pub fn all() -> usize {
    let tricks = tricks();
    for (name, trick, refused) in &tricks {
        let world = World::new(name).at_version_1();
        world.trick(*trick);
        match world.refresh(now()) {
            Err(error) => assert!(refused(&error), "{name} was refused for another reason: {error}"),
            Ok(_) => panic!("{name} was taken"),
        }
        world.recovers();
    }
    tricks.len() + states()
}

fn class(error: &ChannelError, class: ExitClass) -> bool {
    error.exit_class() == class
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn tricks() -> Vec<(&'static str, Trick, Refused)> {
    let too_long: Refused = |e| matches!(e, ChannelError::TooLong { .. });
    let slow: Refused = |e| matches!(e, ChannelError::Slow { .. });
    let network: Refused = |e| class(e, ExitClass::Network);
    let wrong_answer: Refused = |e| matches!(e, ChannelError::Answer { .. });
    let signature: Refused = |e| class(e, ExitClass::Signature);
    vec![
        (
            "endless bytes",
            on!(
                "timestamp.json",
                vec![send("HTTP/1.1 200 OK\r\n\r\n"), Step::Forever(vec![b'x'; 4096], Duration::ZERO)]
            ),
            too_long,
        ),
        (
            "endless chunks",
            on!(
                "timestamp.json",
                vec![
                    send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                    Step::Forever([b"1000\r\n", &[b'x'; 4096][..], b"\r\n"].concat(), Duration::ZERO)
                ]
            ),
            too_long,
        ),
        (
            "an endless root",
            on!(
                "2.root.json",
                vec![send("HTTP/1.1 200 OK\r\n\r\n"), Step::Forever(vec![b' '; 65536], Duration::ZERO)]
            ),
            too_long,
        ),
        (
            "endless headers",
            on!(
                "timestamp.json",
                vec![
                    send("HTTP/1.1 200 OK\r\n"),
                    Step::Forever(
                        b"X-Padding: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(64),
                        Duration::ZERO
                    )
                ]
            ),
            network,
        ),
        (
            "an endless header line",
            on!(
                "timestamp.json",
                vec![send("HTTP/1.1 200 OK\r\nX: "), Step::Forever(vec![b'y'; 4096], Duration::ZERO)]
            ),
            network,
        ),
        (
            "endless interim answers",
            on!(
                "timestamp.json",
                vec![Step::Forever(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), Duration::from_millis(1))]
            ),
            network,
        ),
        (
            "a length beyond the cap",
            on!("timestamp.json", answer("200 OK", "Content-Length: 99999999999\r\n", "{}")),
            too_long,
        ),
        (
            "a byte at a time",
            on!(
                "timestamp.json",
                vec![
                    send("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
                    Step::Forever(vec![b' '], SLOWLY)
                ]
            ),
            slow,
        ),
        (
            "headers, a byte at a time",
            on!("timestamp.json", vec![send("HTTP/1.1 200 OK\r\nX: "), Step::Forever(vec![b'y'], SLOWLY)]),
            slow,
        ),
        ("silence", on!("timestamp.json", vec![Step::Pause(Duration::from_secs(6))]), slow),
        (
            "silence after the headers",
            on!(
                "timestamp.json",
                vec![
                    send("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
                    Step::Pause(Duration::from_secs(6))
                ]
            ),
            slow,
        ),
        (
            "just fast enough, but without end",
            on!(
                "2.root.json",
                vec![
                    send("HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n"),
                    Step::Forever(vec![b' '; 400], SLOWLY)
                ]
            ),
            slow,
        ),
        ("no answer", on!("timestamp.json", vec![]), network),
        (
            "a truncated body",
            |request, files| {
                (request.path == TIMESTAMP).then(|| {
                    let bytes = good(request, files);
                    vec![send(&bytes[..bytes.len() - 20])]
                })
            },
            network,
        ),
        (
            "a length that is too short",
            |request, files| {
                (request.path == TIMESTAMP)
                    .then(|| answer("200 OK", "Content-Length: 50\r\n", &files[TIMESTAMP]))
            },
            signature,
        ),
        (
            "a length that is no number",
            on!("timestamp.json", answer("200 OK", "Content-Length: -1\r\n", "{}")),
            network,
        ),
        (
            "two lengths",
            on!("timestamp.json", answer("200 OK", "Content-Length: 2\r\nContent-Length: 9\r\n", "{}")),
            |e| class(e, ExitClass::Network) || class(e, ExitClass::Signature),
        ),
        (
            "a chunk that is none",
            on!(
                "timestamp.json",
                answer("200 OK", "Transfer-Encoding: chunked\r\n", "zz\r\nxx\r\n0\r\n\r\n")
            ),
            network,
        ),
        ("another protocol", on!("timestamp.json", vec![send("SSH-2.0-OpenSSH_9.2p1\r\n")]), network),
        (
            "binary noise",
            on!("timestamp.json", vec![send([0xff, 0xfe, 0, 1, 2, 3, 13, 10, 13, 10])]),
            network,
        ),
        (
            "html with 200",
            on!(
                "timestamp.json",
                sized("200 OK", "Content-Type: text/html\r\n", "<!doctype html><title>Log in</title>")
            ),
            signature,
        ),
        ("an empty body", on!("timestamp.json", sized("200 OK", "", "")), signature),
        ("deep brackets", on!("timestamp.json", sized("200 OK", "", "[".repeat(16_000))), signature),
        (
            "an unsigned timestamp",
            |request, files| {
                (request.path == TIMESTAMP).then(|| {
                    let mut document: serde_json::Value = serde_json::from_slice(&files[TIMESTAMP]).unwrap();
                    document["signatures"] = serde_json::json!([]);
                    sized("200 OK", "", document.to_string())
                })
            },
            signature,
        ),
        (
            "a changed timestamp",
            |request, files| {
                (request.path == TIMESTAMP).then(|| {
                    sized("200 OK", "", forged(&files[TIMESTAMP], "expires", "2036-12-01T00:00:00Z"))
                })
            },
            signature,
        ),
        (
            "a root that nobody signed",
            |request, files| {
                (request.path == "2.root.json")
                    .then(|| sized("200 OK", "", forged(&files["1.root.json"], "version", 2)))
            },
            signature,
        ),
        (
            "the old root as the next",
            |request, files| {
                (request.path == "2.root.json").then(|| sized("200 OK", "", &files["1.root.json"]))
            },
            |e| class(e, ExitClass::Rollback),
        ),
        ("html for the next root", on!("2.root.json", sized("200 OK", "", "<html>")), signature),
        (
            "a snapshot of the former state",
            |request, files| {
                (request.path == "2.snapshot.json").then(|| sized("200 OK", "", &files["1.snapshot.json"]))
            },
            |e| class(e, ExitClass::Signature) || class(e, ExitClass::Size),
        ),
        (
            "targets of the former state",
            |request, files| {
                (request.path == "2.targets.json").then(|| sized("200 OK", "", &files["1.targets.json"]))
            },
            |e| class(e, ExitClass::Signature) || class(e, ExitClass::Size),
        ),
        ("a snapshot that is not there yet", on!("2.snapshot.json", sized("404 Not Found", "", "")), |e| {
            matches!(e, ChannelError::Absent { .. })
        }),
        ("targets that are not there yet", on!("2.targets.json", sized("404 Not Found", "", "")), |e| {
            matches!(e, ChannelError::Absent { .. })
        }),
        ("no timestamp", on!("timestamp.json", sized("404 Not Found", "", "")), |e| {
            matches!(e, ChannelError::Absent { .. })
        }),
        (
            "a longer snapshot",
            |request, files| {
                (request.path == "2.snapshot.json")
                    .then(|| sized("200 OK", "", [&files["2.snapshot.json"][..], b" "].concat()))
            },
            too_long,
        ),
        (
            "a redirect in a circle",
            on!("timestamp.json", sized("302 Found", "Location: /timestamp.json\r\n", "")),
            wrong_answer,
        ),
        (
            "a redirect to another host",
            on!("timestamp.json", sized("301 Moved", "Location: http://localhost/timestamp.json\r\n", "")),
            wrong_answer,
        ),
        (
            "a redirect to a file",
            on!("timestamp.json", sized("302 Found", "Location: file:///etc/passwd\r\n", "")),
            wrong_answer,
        ),
        ("a redirect to nowhere", on!("timestamp.json", sized("307 Temporary", "", "")), wrong_answer),
        ("500", on!("timestamp.json", sized("500 Oops", "", "x")), |e| {
            matches!(e, ChannelError::Status { status: 500, .. })
        }),
        ("502 for the root", on!("2.root.json", sized("502 Bad Gateway", "", "<html>")), |e| {
            matches!(e, ChannelError::Status { status: 502, .. })
        }),
        (
            "503 with a huge Retry-After",
            on!("timestamp.json", sized("503 Busy", "Retry-After: 99999999999999999999\r\n", "")),
            |e| {
                e.retry_after().is_some_and(|wait| {
                    linnet_fleet::channel::Backoff::new(Duration::from_secs(1), Duration::from_secs(1))
                        .after_failure(Some(wait), 0)
                        <= Duration::from_secs(24 * 3600)
                })
            },
        ),
        (
            "429 with a date",
            on!(
                "timestamp.json",
                sized("429 Slow Down", "Retry-After: Sun, 22 Nov 2099 08:50:37 GMT\r\n", "")
            ),
            |e| e.retry_after().is_some(),
        ),
        ("401", on!("timestamp.json", sized("401 Who", "", "")), |e| {
            matches!(e, ChannelError::Status { status: 401, .. })
        }),
        ("an unknown status", on!("timestamp.json", sized("299 Fine", "", "{}")), |e| {
            matches!(e, ChannelError::Status { status: 299, .. })
        }),
        ("304 without a condition", on!("2.snapshot.json", answer("304 Not Modified", "", "")), wrong_answer),
        (
            "206 without a range",
            on!("timestamp.json", sized("206 Partial Content", "Content-Range: bytes 0-1/2\r\n", "{}")),
            wrong_answer,
        ),
        (
            "gzip without having asked",
            on!("timestamp.json", sized("200 OK", "Content-Encoding: gzip\r\n", "{}")),
            wrong_answer,
        ),
    ]
}

/// Cases that need more than one bad answer.
fn states() -> usize {
    let mut count = 0;
    let mut case = |name: &str| {
        count += 1;
        World::new(name).at_version_1()
    };

    // The whole former channel, to a host that has seen version 2.
    let mut world = case("old metadata");
    world.refresh(now()).unwrap();
    let mut third = world.channel.files.clone();
    third.insert(TIMESTAMP.to_owned(), world.first_timestamp());
    world.server.state.lock().unwrap().files = third;
    let error = world.refresh(now()).unwrap_err();
    assert!(class(&error, ExitClass::Rollback), "old metadata: {error}");
    world.serve();
    world.recovers();

    // A server that says for ever that nothing changed: quiet until the timestamp ends, then told.
    let world = case("304 for ever");
    world.trick(|request, _| {
        (request.header("If-None-Match").is_some()).then(|| answer("304 Not Modified", "", ""))
    });
    assert!(!world.refresh(now()).unwrap().updated);
    let error = world.refresh(after_days(31)).unwrap_err();
    assert!(class(&error, ExitClass::Expired), "304 for ever: {error}");
    world.recovers();

    // Tags that lie cost traffic and nothing else.
    let world = case("another tag each time");
    let mut number = 0;
    world.trick(move |request, files| {
        number += 1;
        (request.path == TIMESTAMP)
            .then(|| sized("200 OK", &format!("ETag: \"{number}\"\r\n"), &files[TIMESTAMP]))
    });
    assert!(world.refresh(now()).unwrap().updated);
    assert!(!world.refresh(now()).unwrap().updated);
    world.recovers();

    for (name, header) in [
        ("an enormous tag", format!("ETag: \"{}\"\r\n", "x".repeat(8000))),
        ("two tags", "ETag: \"a\"\r\nETag: \"b\"\r\n".to_owned()),
        ("a tag that is no text", "ETag: \u{ff}\u{fe}\r\n".to_owned()),
        ("a date that is none", "Last-Modified: yesterday\r\n".to_owned()),
    ] {
        let world = case(name);
        world.trick(move |request, files| {
            (request.path == TIMESTAMP).then(|| sized("200 OK", &header, &files[TIMESTAMP]))
        });
        assert!(world.refresh(now()).unwrap().updated, "{name}");
        world.refresh(now()).unwrap();
        world.recovers();
    }

    // The clock, a year off.
    let world = case("a clock that is a year ahead");
    let error = world.refresh(after_days(365)).unwrap_err();
    assert!(class(&error, ExitClass::Expired), "{error}");
    assert!(error.to_string().contains("clock"), "{error}");
    world.recovers();
    let world = case("a clock that is a year behind");
    assert!(world.refresh(after_days(-365)).unwrap().updated);
    world.recovers();

    // Redirects that are followed.
    let world = case("a redirect on the same host");
    world.trick(|request, files| {
        if request.path == TIMESTAMP {
            return Some(sized("302 Found", "Location: /moved/timestamp.json\r\n", ""));
        }
        (request.path == "moved/timestamp.json").then(|| sized("200 OK", "", &files[TIMESTAMP]))
    });
    assert!(world.refresh(now()).unwrap().updated);
    world.recovers();

    let world = case("a server that is not there");
    let error = {
        let mut gone = world.settings.clone();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        gone.url = format!("http://127.0.0.1:{port}");
        let mut channel =
            linnet_fleet::channel::Channel::open(&world.metadata(), gone.transport().unwrap()).unwrap();
        channel.refresh(now()).unwrap_err()
    };
    assert!(class(&error, ExitClass::Network), "{error}");
    world.recovers();
    count
}
