//! The attacker: what a hostile or broken plugin does, by the word `act` of its settings.
#![expect(unsafe_code, reason = "it tries what no safe code does")]

use std::fs;
use std::io::{BufRead, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

fn say(line: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = out
        .write_all(line.to_string().as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
}

fn event(unmapped: Value) -> Value {
    json!({ "event": { "class_uid": 2004, "activity_id": 1, "severity_id": 1,
        "finding_info": { "uid": "attack", "title": "attack" }, "unmapped": unmapped } })
}

fn line() -> Value {
    let mut text = String::new();
    let _ = std::io::stdin().lock().read_line(&mut text);
    serde_json::from_str(&text).unwrap_or_default()
}

/// Answers pings until the input ends.
fn behave() -> ExitCode {
    loop {
        let line = line();
        if line.is_null() {
            return ExitCode::SUCCESS;
        }
        if let Some(ping) = line.get("ping") {
            say(&json!({ "pong": ping }));
        }
        if let Some(word) = line.pointer("/settings/word") {
            say(&event(json!({ "word": word })));
        }
    }
}

pub fn run() -> ExitCode {
    let first = line();
    let settings = &first["settings"];
    let act = settings["act"].as_str().unwrap_or_default();
    if act != "unready" {
        say(&json!({ "ready": {} }));
    }
    match act {
        "good" => {
            for number in 0..settings["events"].as_u64().unwrap_or(0) {
                say(&event(json!({ "number": number })));
            }
        }
        "count" => {
            let count = first["state"].as_u64().unwrap_or(0);
            say(&event(json!({ "count": count })));
            say(&json!({ "state": count + 1 }));
        }
        "crash" => {
            eprintln!("the sky is falling");
            std::process::abort();
        }
        "hang" | "unready" => loop {
            std::thread::sleep(Duration::from_secs(60));
        },
        "stubborn" => {
            // SAFETY: SIG_IGN is a valid disposition, and no handler runs.
            unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
            say(&event(json!({})));
            // Its end of input does not move it either.
            let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
            loop {
                std::thread::sleep(Duration::from_secs(60));
            }
        }
        "fork" => return fork_bomb(),
        "threads" => {
            let mut made = 0;
            let sleeper = || std::thread::sleep(Duration::from_secs(60));
            while made < 10_000 && std::thread::Builder::new().stack_size(64 * 1024).spawn(sleeper).is_ok() {
                made += 1;
            }
            say(&event(json!({ "made": made })));
        }
        "memory" => {
            let mut held: Vec<Vec<u8>> = Vec::new();
            loop {
                held.push(vec![1; 1 << 20]);
            }
        }
        "flood" => loop {
            say(&event(json!({ "filling": "x".repeat(1000) })));
        },
        "endless" => loop {
            let _ = std::io::stdout().write_all(&[b'x'; 65536]);
        },
        "garbage" => loop {
            let _ = std::io::stdout().write_all(b"\x00\xff\x1b[2J{{{\n[]\n{\"event\":7}\n");
        },
        "read" => say(&event(read_all())),
        "write" => say(&event(write_all(&first))),
        "network" => {
            let address = settings["address"].as_str().unwrap_or_default();
            let outcome = std::net::TcpStream::connect(address);
            say(&event(
                json!({ "connect": outcome.map_or_else(|error| error.to_string(), |_| "done".to_owned()) }),
            ));
        }
        "trace" => say(&event(trace(settings["pid"].as_i64().unwrap_or(0)))),
        "who" => {
            let descriptors: Vec<i32> = (0..1000)
                // SAFETY: asks about a number; changes nothing.
                .filter(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } >= 0)
                .collect();
            say(&event(json!({ "descriptors": descriptors, "environment": std::env::vars_os().count() })));
        }
        "class" => {
            say(&json!({ "event": { "class_uid": 1007, "activity_id": 1, "severity_id": 1 } }));
            say(&json!({ "event": { "activity_id": 1, "severity_id": 1 } }));
            say(&json!({ "event": { "class_uid": 2004, "activity_id": 1, "severity_id": 1, "device": {} } }));
            say(&event(json!({})));
        }
        _ => return ExitCode::FAILURE,
    }
    behave()
}

fn fork_bomb() -> ExitCode {
    let mut made = 0;
    for _ in 0..1000 {
        // SAFETY: this process has one thread; the child only sleeps.
        match unsafe { libc::fork() } {
            0 => loop {
                std::thread::sleep(Duration::from_secs(60));
            },
            child if child > 0 => made += 1,
            _ => {}
        }
    }
    say(&event(json!({ "made": made })));
    behave()
}

fn outcome<T>(result: std::io::Result<T>) -> Value {
    result.map_or_else(|error| error.to_string(), |_| "done".to_owned()).into()
}

fn read_all() -> Value {
    let mut seen = serde_json::Map::new();
    for path in super::SECRETS {
        let read = if fs::metadata(path).is_ok_and(|found| found.is_dir()) {
            fs::read_dir(path).map(|_| ())
        } else {
            fs::File::open(path).and_then(|mut file| file.read(&mut [0]).map(|_| ()))
        };
        seen.insert(
            path.to_owned(),
            read.map_or_else(|error| error.to_string(), |()| "read".to_owned()).into(),
        );
    }
    Value::Object(seen)
}

fn write_all(first: &Value) -> Value {
    let _ = first;
    let own = std::env::current_dir().unwrap_or_default();
    json!({
        "temporary file": outcome(fs::write("/var/tmp/linnet-attack", "x")),
        "shared memory": outcome(fs::write("/dev/shm/linnet-attack", "x")),
        "own directory": outcome(fs::write(own.join("mine"), "x")),
        "own program": outcome(fs::OpenOptions::new().write(true).open("/proc/self/exe")),
        "cgroup": outcome(fs::OpenOptions::new().write(true).open("/sys/fs/cgroup/cgroup.procs")
            .or_else(|_| fs::OpenOptions::new().write(true).open("/sys/fs/cgroup/memory/cgroup.procs"))),
        "link": outcome(std::os::unix::fs::symlink("/etc/passwd", "/var/tmp/linnet-attack-link")),
        "directory": outcome(fs::create_dir("/var/tmp/linnet-attack-directory")),
        "core pattern": outcome(fs::OpenOptions::new().write(true).open("/proc/sys/kernel/core_pattern")),
    })
}

fn trace(pid: i64) -> Value {
    let pid = i32::try_from(pid).unwrap_or(0);
    let done = |result: i64| {
        if result >= 0 { "done".to_owned() } else { std::io::Error::last_os_error().to_string() }
    };
    let byte = [0_u8; 1];
    let local = libc::iovec { iov_base: byte.as_ptr().cast_mut().cast(), iov_len: 1 };
    // SAFETY: system calls that are meant to be refused; none of them gets memory that it could harm.
    unsafe {
        json!({
            "kill": done(i64::from(libc::kill(pid, 0))),
            "ptrace": done(libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0)),
            "process_vm_writev": done(libc::process_vm_writev(pid, &raw const local, 1, &raw const local, 1, 0) as i64),
            "write memory": outcome(fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/mem"))),
            "readlink exe": outcome(fs::read_link(format!("/proc/{pid}/exe"))),
            "setuid": done(i64::from(libc::setuid(0))),
            "unshare": done(i64::from(libc::unshare(libc::CLONE_NEWUSER))),
            "mount": done(i64::from(libc::mount(c"none".as_ptr(), c"/var/tmp".as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null()))),
            "bpf": done(libc::syscall(libc::SYS_bpf, 0, 0, 0)),
        })
    }
}
