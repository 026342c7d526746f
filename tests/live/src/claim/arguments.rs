//! The command line of an exec: every argument, whatever bytes it has.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::claims;
use crate::program::Behaviour;
use crate::stage::Stage;
use crate::suite::{Check, Claim, check};
use crate::trouble::{Result, wrong};

pub const CLAIMS: &[Claim] = claims![
    plain_arguments_are_one_readable_line,
    spaces_and_empty_arguments_are_told_apart_in_a_list,
    arguments_that_are_not_utf8_are_kept_as_base64,
    control_characters_in_arguments_are_told_but_never_written,
    arguments_over_the_bound_are_cut_with_a_mark_and_the_true_length,
    a_megabyte_of_arguments_is_cut_like_any_other,
    the_first_argument_may_lie_about_the_program,
    a_file_name_with_control_characters_is_told_but_never_written,
];

/// Most bytes of arguments in an event, by default.
const BOUND: usize = 8192;

fn plain_arguments_are_one_readable_line(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.run(&tool.path, &[&token, "--level=3", "/etc/hosts", "雀"])?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.cmd_line", format!("{} {token} --level=3 /etc/hosts 雀", tool.text()))?;
        exec.has("process.name", "tool")?;
        exec.lacks("process.xattributes.argv")?.lacks("process.xattributes.argv_cut").map(drop)
    })
}

fn spaces_and_empty_arguments_are_told_apart_in_a_list(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let arguments = [token.as_str(), "two words", "", "tab\there", "line\nfeed", "", "end"];
    stage.run(&tool.path, &arguments)?;
    let list: Vec<Value> = std::iter::once(tool.text().into()).chain(arguments.map(Value::from)).collect();
    check(move |run| run.exec(&token)?.has("process.xattributes.argv", list).map(drop))
}

fn arguments_that_are_not_utf8_are_kept_as_base64(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let (lone, torn) = (&b"\xff\xfe/x"[..], &b"caf\xc3"[..]);
    stage.run(&tool.path, &[OsStr::new(&token), OsStr::from_bytes(lone), OsStr::from_bytes(torn)])?;
    check(move |run| {
        let bytes = |bytes: &[u8]| json!({"base64": STANDARD.encode(bytes)});
        let exec = run.exec(&token)?;
        exec.has("process.cmd_line", format!("{} {token} \u{fffd}\u{fffd}/x caf\u{fffd}", tool.text()))?;
        exec.has("process.xattributes.argv", json!([tool.text(), token, bytes(lone), bytes(torn)])).map(drop)
    })
}

/// That none of them is written is checked of every run; here, that they come out of the JSON as they went in.
fn control_characters_in_arguments_are_told_but_never_written(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let arguments = [&token, "\x1b[2J\x1b]0;title\x07", "\u{9b}31m\u{85}", "\r\x08\x7f", "\u{202e}gpj.exe"];
    stage.run(&tool.path, &arguments)?;
    let list = json!([tool.text(), arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]]);
    check(move |run| run.exec(&token)?.has("process.xattributes.argv", list).map(drop))
}

fn arguments_over_the_bound_are_cut_with_a_mark_and_the_true_length(stage: &Stage) -> Result<Check> {
    cut(stage, 20, 1000)
}

fn a_megabyte_of_arguments_is_cut_like_any_other(stage: &Stage) -> Result<Check> {
    cut(stage, 10, 100_000)
}

fn cut(stage: &Stage, count: usize, len: usize) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let fillers: Vec<String> = (0..count).map(|number| format!("{number:03}").repeat(len / 3)).collect();
    let arguments: Vec<String> = std::iter::once(token.clone()).chain(fillers).collect();
    stage.run(&tool.path, &arguments)?;
    let line = format!("{} {}", tool.text(), arguments.join(" "));
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.xattributes.argv_cut", true)?;
        // The last argument has a NUL behind it too.
        exec.has("process.xattributes.argv_len", line.len() + 1)?;
        let told = exec.text("process.cmd_line")?;
        if !line.starts_with(told) || told.len() > BOUND || told.len() + 8 < BOUND {
            return exec.refuse(&format!("{} bytes of the command line are not its beginning", told.len()));
        }
        Ok(())
    })
}

fn the_first_argument_may_lie_about_the_program(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.act(&["exec-as", "[kworker/0:1]\x1b[A", &tool.text(), &token])?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.xattributes.argv.0", "[kworker/0:1]\x1b[A")?;
        exec.has("process.file.path", tool.text())?.is_of(&tool.sha256).map(drop)
    })
}

fn a_file_name_with_control_characters_is_told_but_never_written(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let Some(room) = tool.path.parent() else { return wrong("the program is in no directory") };
    let path = room.join("\x1b[31mred\u{9b}0m\nline");
    std::fs::rename(&tool.path, &path).or_else(|error| wrong(error.to_string()))?;
    stage.run(&path, &[&token])?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.file.path", path.to_string_lossy())?.is_of(&tool.sha256)?;
        exec.has("process.file.name", "\x1b[31mred\u{9b}0m\nline").map(drop)
    })
}
