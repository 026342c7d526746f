//! What a server can do to a large download, and what can lie about from an earlier one.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use linnet_fleet::channel::ChannelError;

use crate::host::World;
use crate::published::{Files, now};
use crate::server::{Request, Step, answer, etag, good, send, sized};

fn is_big(request: &Request) -> bool {
    request.path.ends_with(".big.tar.gz")
}

fn content(files: &Files, request: &Request) -> Vec<u8> {
    files[&request.path].clone()
}

/// Breaks off in the middle.
fn broken(request: &Request, files: &Files) -> Option<Vec<Step>> {
    is_big(request).then(|| {
        let bytes = good(request, files);
        vec![send(&bytes[..bytes.len() / 2])]
    })
}

/// A host whose download broke off, so that a part is there.
fn with_part(name: &str) -> World {
    let world = World::new(name).at_version_1();
    world.trick(broken);
    let error = world.download().unwrap_err();
    assert!(matches!(error, ChannelError::Network { .. }), "{name}: {error}");
    let part = fs::metadata(world.part()).unwrap().len();
    assert!(part > 100_000, "{name}: the part has {part} bytes");
    world.server.state.lock().unwrap().seen.clear();
    world
}

fn ranges(world: &World) -> Vec<Option<String>> {
    let state = world.server.state.lock().unwrap();
    state.seen.iter().filter(|r| is_big(r)).map(|r| r.header("Range").map(str::to_owned)).collect()
}

/// Runs all cases and says how many.
pub fn all() -> usize {
    refused() + resumed() + left_on_disk()
}

fn refused() -> usize {
    type Trick = fn(&Request, &Files) -> Option<Vec<Step>>;
    type Refused = fn(&ChannelError) -> bool;
    let cases: Vec<(&str, Trick, Refused)> = vec![
        (
            "download: endless bytes",
            |r, _| {
                is_big(r).then(|| {
                    vec![send("HTTP/1.1 200 OK\r\n\r\n"), Step::Forever(vec![b'x'; 65536], Duration::ZERO)]
                })
            },
            |e| matches!(e, ChannelError::TooLong { .. }),
        ),
        (
            "download: a byte at a time",
            |r, _| {
                is_big(r).then(|| {
                    vec![
                        send("HTTP/1.1 200 OK\r\n\r\n"),
                        Step::Forever(vec![b'x'], Duration::from_millis(40)),
                    ]
                })
            },
            |e| matches!(e, ChannelError::Slow { .. }),
        ),
        (
            "download: just fast enough, past the deadline",
            |r, _| {
                is_big(r).then(|| {
                    vec![
                        send("HTTP/1.1 200 OK\r\n\r\n"),
                        Step::Forever(vec![b'x'; 400], Duration::from_millis(40)),
                    ]
                })
            },
            |e| matches!(e, ChannelError::Slow { .. }),
        ),
        (
            "download: silence in the middle",
            |r, f| is_big(r).then(|| vec![send(&good(r, f)[..50_000]), Step::Pause(Duration::from_secs(6))]),
            |e| matches!(e, ChannelError::Slow { .. }),
        ),
        (
            "download: another content",
            |r, f| {
                is_big(r)
                    .then(|| sized("200 OK", "", content(f, r).iter().map(|b| b ^ 1).collect::<Vec<_>>()))
            },
            |e| matches!(e, ChannelError::Content { .. }),
        ),
        (
            "download: one bit",
            |r, f| {
                is_big(r).then(|| {
                    let mut bytes = content(f, r);
                    bytes[200_000] ^= 1;
                    sized("200 OK", "", bytes)
                })
            },
            |e| matches!(e, ChannelError::Content { .. }),
        ),
        (
            "download: html",
            |r, _| is_big(r).then(|| sized("200 OK", "", "<html>")),
            |e| matches!(e, ChannelError::Network { .. }),
        ),
        (
            "download: one byte too many, unannounced",
            |r, f| is_big(r).then(|| answer("200 OK", "", [&content(f, r)[..], b"x"].concat())),
            |e| matches!(e, ChannelError::TooLong { .. }),
        ),
        (
            "download: one byte too many, announced",
            |r, f| is_big(r).then(|| sized("200 OK", "", [&content(f, r)[..], b"x"].concat())),
            |e| matches!(e, ChannelError::TooLong { .. }),
        ),
        (
            "download: not there",
            |r, _| is_big(r).then(|| sized("404 Not Found", "", "")),
            |e| matches!(e, ChannelError::Absent { .. }),
        ),
        (
            "download: 206 without a range",
            |r, f| {
                is_big(r).then(|| {
                    sized("206 Partial Content", "Content-Range: bytes 0-299999/300000\r\n", content(f, r))
                })
            },
            |e| matches!(e, ChannelError::Answer { .. }),
        ),
        (
            "download: 503",
            |r, _| is_big(r).then(|| sized("503 Busy", "Retry-After: 7\r\n", "")),
            |e| e.retry_after() == Some(Duration::from_secs(7)),
        ),
    ];
    for (name, trick, refused) in &cases {
        let world = World::new(name).at_version_1();
        world.trick(*trick);
        match world.download() {
            Err(error) => assert!(refused(&error), "{name} was refused for another reason: {error}"),
            Ok(_) => panic!("{name} was taken"),
        }
        assert!(!world.target().exists(), "{name}");
        world.recovers();
    }
    cases.len()
}

/// The second request of a download that broke off: it must come out, or go on from the start within the same call.
fn resumed() -> usize {
    type Trick = fn(&Request, &Files) -> Option<Vec<Step>>;
    let cases: Vec<(&str, Trick, usize)> = vec![
        ("resume: a good server", |_, _| None, 1),
        ("resume: the range is ignored", |r, f| is_big(r).then(|| sized("200 OK", "", content(f, r))), 1),
        (
            "resume: another range",
            |r, f| {
                (is_big(r) && r.header("Range").is_some()).then(|| {
                    sized(
                        "206 Partial Content",
                        "Content-Range: bytes 10-299999/300000\r\n",
                        &content(f, r)[10..],
                    )
                })
            },
            2,
        ),
        (
            "resume: no range in the answer",
            |r, f| {
                (is_big(r) && r.header("Range").is_some())
                    .then(|| sized("206 Partial Content", "", &content(f, r)[10..]))
            },
            2,
        ),
        (
            "resume: a range that ends early",
            |r, f| {
                (is_big(r) && r.header("Range").is_some()).then(|| {
                    let from: usize = r.header("Range").unwrap()[6..].trim_end_matches('-').parse().unwrap();
                    sized(
                        "206 Partial Content",
                        &format!("Content-Range: bytes {from}-{}/300000\r\n", from + 9),
                        &content(f, r)[from..from + 10],
                    )
                })
            },
            2,
        ),
        (
            "resume: another content",
            |r, _| {
                (is_big(r) && r.header("Range").is_some()).then(|| {
                    let from: usize = r.header("Range").unwrap()[6..].trim_end_matches('-').parse().unwrap();
                    sized(
                        "206 Partial Content",
                        &format!("Content-Range: bytes {from}-299999/300000\r\n"),
                        vec![7; 300_000 - from],
                    )
                })
            },
            2,
        ),
        (
            "resume: more than is left",
            |r, f| {
                (is_big(r) && r.header("Range").is_some()).then(|| {
                    let from: usize = r.header("Range").unwrap()[6..].trim_end_matches('-').parse().unwrap();
                    answer(
                        "206 Partial Content",
                        &format!("Content-Range: bytes {from}-299999/300000\r\n"),
                        &content(f, r)[..],
                    )
                })
            },
            2,
        ),
        (
            "resume: 416",
            |r, _| {
                (is_big(r) && r.header("Range").is_some())
                    .then(|| sized("416 Range", "Content-Range: bytes */300000\r\n", ""))
            },
            2,
        ),
    ];
    for (name, trick, requests) in &cases {
        let world = with_part(name);
        world.trick(*trick);
        let got = world.download().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(got == world.big(), "{name}");
        let ranges = ranges(&world);
        assert_eq!(ranges.len(), *requests, "{name}: {ranges:?}");
        assert!(ranges[0].is_some(), "{name}: the part was not asked to be resumed");
        assert!(ranges[1..].iter().all(Option::is_none), "{name}: {ranges:?}");
        world.recovers();
    }

    // It goes on where it broke off, as often as it breaks, and every byte comes once.
    let world = World::new("resume: again and again").at_version_1();
    world.trick(broken);
    let mut tries = 0;
    let got = loop {
        tries += 1;
        match world.download() {
            Ok(got) => break got,
            Err(error) if tries < 40 => assert!(matches!(error, ChannelError::Network { .. }), "{error}"),
            Err(error) => {
                assert!(tries < 80, "it never ends: {error}");
                world.server.set_trick(None);
            }
        }
    };
    assert!(got == world.big() && tries > 3);
    world.recovers();

    // The file changed on the server between the two: the tag tells it, or the digest does.
    let mut world = with_part("resume: another release meanwhile");
    world.channel.publish(crate::host::BIG, vec![9; 280_000]);
    // The former content is no longer the newest.
    world.channel.files.retain(|path, bytes| !path.ends_with(".big.tar.gz") || bytes.len() == 280_000);
    world.serve();
    world.server.set_trick(None);
    assert!(world.download().unwrap() == vec![9; 280_000]);
    assert_eq!(ranges(&world), [None], "a part of another file was resumed");
    world.recovers();
    cases.len() + 2
}

fn left_on_disk() -> usize {
    type Change = fn(&World);
    let cases: Vec<(&str, Change)> = vec![
        ("part: other bytes", |w| fs::write(w.part(), vec![1; 100_000]).unwrap()),
        ("part: one bit", |w| {
            let mut bytes = fs::read(w.part()).unwrap();
            bytes[5] ^= 1;
            fs::write(w.part(), bytes).unwrap();
        }),
        ("part: longer than the whole", |w| fs::write(w.part(), vec![1; 400_000]).unwrap()),
        ("part: as long as the whole, but other", |w| fs::write(w.part(), vec![1; 300_000]).unwrap()),
        ("part: whole already", |w| fs::write(w.part(), w.big()).unwrap()),
        ("part: empty", |w| fs::write(w.part(), "").unwrap()),
        ("part: nothing known of it", |w| fs::remove_file(w.part().with_extension("part.info")).unwrap()),
        ("part: garbage known of it", |w| {
            fs::write(w.part().with_extension("part.info"), "{\"schema").unwrap();
        }),
        ("part: known by a later version", |w| {
            fs::write(
                w.part().with_extension("part.info"),
                r#"{"schema_version":9,"target":"","validators":{}}"#,
            )
            .unwrap();
        }),
        ("part: a link", |w| {
            let outside = w.metadata().join("../outside");
            fs::write(&outside, "untouched").unwrap();
            fs::remove_file(w.part()).unwrap();
            symlink(outside, w.part()).unwrap();
        }),
        ("target: another file stands there", |w| fs::write(w.target(), vec![2; 300_000]).unwrap()),
        ("target: a link stands there", |w| {
            let outside = w.metadata().join("../outside");
            fs::write(&outside, "untouched").unwrap();
            symlink(outside, w.target()).unwrap();
        }),
    ];
    for (name, change) in &cases {
        let world = with_part(name);
        world.server.set_trick(None);
        change(&world);
        if world.target().exists() {
            // What stands there is not ours; the harness would take it for a wrong download.
            let mut channel = world.open().unwrap();
            let target = channel.target(crate::host::BIG, now()).unwrap();
            channel.download(&target, &world.target()).unwrap();
        }
        let got = world.download().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(got == world.big(), "{name}");
        if let Ok(outside) = fs::read(world.metadata().join("../outside")) {
            assert_eq!(outside, b"untouched", "{name}");
        }
        world.recovers();
    }

    // Once it is there and whole, nothing of it is asked for again.
    let world = World::new("target: there already").at_version_1();
    world.download().unwrap();
    world.server.state.lock().unwrap().seen.clear();
    world.download().unwrap();
    assert!(ranges(&world).is_empty());

    // A server's tag is only a hint: a part of it is resumed by the tag that the server gave then.
    let world = with_part("part: the tag that came with it is asked for");
    world.server.set_trick(None);
    world.download().unwrap();
    let asked = world.server.state.lock().unwrap().seen.iter().find(|r| is_big(r)).unwrap().clone();
    assert_eq!(asked.header("If-Range"), Some(etag(&world.big()).as_str()));
    cases.len() + 2
}
