//! Starts that are refused: the exit code says what kind of fault it is, the message says what to do.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::agent::{Agent, Room};
use crate::program::put;
use crate::stage::Stage;
use crate::suite::Case;
use crate::trouble::{Doing, Result, wrong};

pub const CASES: &[Case] = &[
    Case::AloneOnHost("an_unknown_key_is_refused_by_its_path", unknown_key),
    Case::AloneOnHost("a_wrong_type_and_a_wrong_value_are_refused_by_their_paths", wrong_values),
    Case::AloneOnHost("settings_that_are_no_json_or_not_there_are_refused_by_file", no_settings),
    Case::AloneOnHost("check_config_says_the_same_and_accepts_what_is_right", check_config),
    Case::AloneOnHost("a_command_whose_reader_has_gone_ends_well_and_a_full_disk_is_told", unread_command),
    Case::Alone("a_user_who_is_not_root_is_told_so", not_root),
    Case::Alone("root_that_may_not_load_programs_is_told_so", without_capabilities),
    Case::Alone("required_limits_that_cannot_be_enforced_are_refused", limits_required),
    Case::Alone("btf_that_is_not_there_is_refused_by_file", no_btf),
    Case::Alone("btf_that_is_garbage_is_refused_by_file", garbage_btf),
    Case::AloneOnHost("an_output_path_that_cannot_be_written_is_refused_by_path", unwritable),
    Case::Alone("a_second_agent_is_refused_and_told_of_the_first", second_agent),
];

/// Codes of the agent's `run`.
const USAGE: i32 = 2;
const UNSUPPORTED: i32 = 3;
const LOCKED: i32 = 12;

/// Runs a command that is to be refused with a code, and a message that holds all these words.
fn refused(mut command: Command, code: Option<i32>, words: &[&str]) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Output { status, stdout, stderr } = command.output().doing("run the agent")?;
    let message = String::from_utf8_lossy(&stderr).trim().to_owned();
    if code.map_or(status.code().is_none_or(|code| code == 0), |code| status.code() != Some(code)) {
        return wrong(format!("it ended with {status}, not {code:?}: {message}"));
    }
    if let Some(word) = words.iter().find(|word| !message.contains(**word)) {
        return wrong(format!("the message does not say {word}: {message:?}"));
    }
    if message.lines().count() > 5 || message.contains("panicked") {
        return wrong(format!("the message is none for an operator: {message}"));
    }
    let mut parts: Vec<&str> =
        message.split([':', ';']).map(str::trim).filter(|part| part.len() > 12).collect();
    parts.sort_unstable();
    if let Some([twice, _]) = parts.array_windows::<2>().find(|[one, next]| one == next) {
        return wrong(format!("the message says {twice:?} twice: {message}"));
    }
    if !stdout.is_empty() {
        return wrong(format!("something is on the standard output: {}", String::from_utf8_lossy(&stdout)));
    }
    Ok(message.lines().last().unwrap_or_default().to_owned())
}

fn with(stage: &Stage, changes: &Value, code: i32, words: &[&str]) -> Result<String> {
    let room = Room::new(stage)?;
    refused(room.command(stage, changes, &[])?, Some(code), words)
}

fn unknown_key(stage: &Stage) -> Result<String> {
    with(stage, &json!({"hash": {"max_file_byte": 1}}), USAGE, &["hash.max_file_byte", "linnet.json"])?;
    with(stage, &json!({"output": {"file": {"pat": "/x"}}}), USAGE, &["output.file.pat"])?;
    with(stage, &json!({"colour": "red"}), USAGE, &["colour"])
}

fn wrong_values(stage: &Stage) -> Result<String> {
    with(stage, &json!({"ring": {"bytes": "8 MB"}}), USAGE, &["ring.bytes"])?;
    with(stage, &json!({"ring": {"bytes": 100_000}}), USAGE, &["ring.bytes"])?;
    with(stage, &json!({"argv_max_bytes": 0}), USAGE, &["argv_max_bytes"])?;
    with(stage, &json!({"limits": {"cpu_permille": -5}}), USAGE, &["limits.cpu_permille"])?;
    with(stage, &json!({"output": {"file": {"path": "events"}}}), USAGE, &["output.file.path"])
}

fn no_settings(stage: &Stage) -> Result<String> {
    let room = stage.room()?;
    let missing = room.join("missing.json");
    let agent = |path: &std::path::Path| {
        stage.command(&stage.agent, &["run".as_ref(), "--settings".as_ref(), path.as_os_str()])
    };
    refused(agent(&missing), Some(USAGE), &["missing.json"])?;
    for (name, content) in
        [("empty.json", &b""[..]), ("torn.json", b"{\"hash\": {"), ("bytes.json", b"\xff\xfe{}")]
    {
        put(&room.join(name), content, 0o644)?;
        refused(agent(&room.join(name)), Some(USAGE), &[name])?;
    }
    put(&room.join("huge.json"), " ".repeat(3 << 20).as_bytes(), 0o644)?;
    refused(agent(&room.join("huge.json")), Some(USAGE), &["huge.json"])
}

fn check_config(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let check = |changes: &Value| -> Result<Command> {
        let path = room.settings(changes)?.to_owned();
        Ok(stage.command(&stage.agent, &["check-config".as_ref(), path.as_os_str()]))
    };
    let accepted = check(&json!({}))?.output().doing("check-config")?;
    if accepted.status.code() != Some(0) {
        return wrong(format!(
            "right settings: {}: {}",
            accepted.status,
            String::from_utf8_lossy(&accepted.stderr)
        ));
    }
    refused(check(&json!({"hash": {"max_file_byte": 1}}))?, Some(USAGE), &["hash.max_file_byte"])
}

/// As in `linnet-agent config | head -1`; and into a file for which there is no room.
fn unread_command(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let path = room.settings(&json!({}))?.to_owned();
    let config = || {
        stage.command(
            &stage.agent,
            &["config".as_ref(), "--effective".as_ref(), "--settings".as_ref(), path.as_os_str()],
        )
    };
    let (reader, writer) = io::pipe().doing("make a pipe")?;
    drop(reader);
    let Output { status, stderr, .. } = config()
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .doing("config into a pipe that nobody reads")?;
    if status.code() != Some(0) || !stderr.is_empty() {
        return wrong(format!("without a reader: {status}: {}", String::from_utf8_lossy(&stderr)));
    }
    let full = OpenOptions::new().write(true).open("/dev/full").doing("open /dev/full")?;
    let mut command = config();
    command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped());
    let Output { status, stderr, .. } = command.output().doing("config onto a full disk")?;
    let message = String::from_utf8_lossy(&stderr).trim().to_owned();
    if status.code() == Some(0) || !message.contains("standard output: No space left") {
        return wrong(format!("onto a full disk: {status}: {message}"));
    }
    Ok(message)
}

fn not_root(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let mut command = room.command(stage, &json!({}), &[])?;
    std::os::unix::fs::chown(&room.dir, Some(65_534), Some(65_534)).doing("chown")?;
    command.uid(65_534).gid(65_534);
    refused(command, Some(UNSUPPORTED), &["root"])
}

/// Root, as in many containers, without CAP_SYS_ADMIN (21), CAP_PERFMON (38) and CAP_BPF (39).
fn without_capabilities(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let settings = room.settings(&json!({}))?.to_string_lossy().into_owned();
    let keep = !(1_u64 << 21 | 1 << 38 | 1 << 39);
    let agent = stage.agent.to_string_lossy().into_owned();
    let steps = ["act", "bounds", &keep.to_string(), "exec", &agent, "run", "--settings", &settings];
    refused(stage.command(&stage.itself, &steps), Some(UNSUPPORTED), &["linnet-agent"])
}

/// In a mount namespace without any cgroup hierarchy.
fn limits_required(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let settings = json!({"limits": {"enabled": true, "required": true}});
    let settings = room.settings(&settings)?.to_string_lossy().into_owned();
    let agent = stage.agent.to_string_lossy().into_owned();
    let hide = [
        "act",
        "unshare",
        "mnt",
        "unmount",
        "/sys/fs/cgroup",
        "exec",
        &agent,
        "run",
        "--settings",
        &settings,
    ];
    refused(stage.command(&stage.itself, &hide), None, &["limits"])
}

fn no_btf(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let command = room.command(stage, &json!({}), &["--btf", "/nonexistent/btf"])?;
    refused(command, Some(UNSUPPORTED), &["/nonexistent/btf"])
}

fn garbage_btf(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let mut said = String::new();
    for (number, content) in
        [&b"garbage"[..], b"", &[0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 255, 255]].into_iter().enumerate()
    {
        let path = room.dir.join(format!("{number}.btf"));
        put(&path, content, 0o644)?;
        let path = path.to_string_lossy().into_owned();
        let command = room.command(stage, &json!({}), &["--btf", &path])?;
        said = refused(command, Some(UNSUPPORTED), &[&path])?;
    }
    Ok(said)
}

fn unwritable(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let in_a_file = room.dir.join("file/events.ndjson");
    put(&room.dir.join("file"), b"", 0o644)?;
    let mut said = String::new();
    for path in ["/proc/linnet/events.ndjson", &in_a_file.to_string_lossy(), &room.dir.to_string_lossy()] {
        let command = room.command(stage, &json!({"output": {"file": {"path": path}}}), &[])?;
        said = refused(command, None, &[path])?;
    }
    Ok(said)
}

fn second_agent(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({}))?;
    let pid = agent.pid().to_string();
    let said = refused(agent.room.command(stage, &json!({}), &[])?, Some(LOCKED), &[&pid])?;
    let run = agent.stop()?;
    crate::wholeness::check(&run, crate::wholeness::Expect::All)?;
    Ok(said)
}
