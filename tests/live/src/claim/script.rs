//! Scripts that are started by their `#!` line: which one, by which interpreter, and what stands in it.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::claims;
use crate::event::Event;
use crate::program::{Behaviour, Program, put, sha256};
use crate::stage::Stage;
use crate::suite::{Check, Claim, check};
use crate::trouble::{Doing, Result, wrong};

pub const CLAIMS: &[Claim] = claims![
    a_script_is_told_with_interpreter_path_content_and_hash,
    a_script_of_100_kib_is_cut_with_its_true_size_and_whole_hash,
    bytes_behind_the_first_line_are_kept_as_base64,
    of_a_script_run_by_a_script_the_one_that_was_asked_for_is_told,
    a_script_run_by_env_is_told_once_with_its_content,
    a_script_that_exists_only_in_another_root_is_told_with_its_content,
    a_script_executed_by_descriptor_is_told_with_its_content,
    a_script_deleted_while_it_runs_has_its_content_or_a_reason,
    a_script_replaced_after_its_end_never_has_the_content_of_the_new_one,
    an_empty_script_is_told_with_what_there_is,
    a_program_is_no_script,
];

/// Content that is kept in an event, by default.
const KEPT: usize = 64 * 1024;

/// A script on disk.
struct Script {
    path: PathBuf,
    content: Vec<u8>,
    interpreter: Program,
    token: String,
}

impl Script {
    fn write(stage: &Stage, behind: &[u8]) -> Result<Self> {
        let interpreter = stage.program(Behaviour::Sleep(stage.nap(), 0))?;
        let mut content = format!("#!{}\n", interpreter.text()).into_bytes();
        content.extend_from_slice(behind);
        let path = stage.room()?.join("job.sh");
        put(&path, &content, 0o755)?;
        Ok(Self { path, content, interpreter, token: stage.token() })
    }

    fn text(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// What holds of every script: the interpreter runs, the script is named and hashed.
    fn told(&self, run: &crate::recording::Recording) -> Result<Event> {
        let exec = run.exec(&self.token)?;
        exec.has("process.file.path", self.interpreter.text())?.is_of(&self.interpreter.sha256)?;
        let script = run.script_of(&exec)?;
        script.has("script.file.size", self.content.len())?;
        script
            .has("script.hashes.0.value", sha256(&self.content))?
            .has("actor.process.pid", exec.number("process.pid")?)?;
        Ok(script)
    }
}

fn a_script_is_told_with_interpreter_path_content_and_hash(stage: &Stage) -> Result<Check> {
    let it = Script::write(stage, "echo 雀 \x1b[2J\n\x07exit 0\n".as_bytes())?;
    stage.run(&it.path, &[&it.token, "two words"])?;
    check(move |run| {
        let script = it.told(run)?;
        script.has("script.file.path", it.text())?.lacks("script.script_content.is_truncated")?;
        script.has("script.script_content.value", String::from_utf8_lossy(&it.content))?;
        script.lacks("unmapped.script_encoding")?;
        let exec = run.exec(&it.token)?;
        exec.has("process.xattributes.script", it.text())?.has("process.name", "job.sh")?;
        let argv = serde_json::json!([it.interpreter.text(), it.text(), it.token, "two words"]);
        exec.has("process.xattributes.argv", argv).map(drop)
    })
}

fn a_script_of_100_kib_is_cut_with_its_true_size_and_whole_hash(stage: &Stage) -> Result<Check> {
    let it = Script::write(stage, "# what this does is a long story\n".repeat(3200).as_bytes())?;
    stage.run(&it.path, &[&it.token])?;
    check(move |run| {
        let script = it.told(run)?;
        script.has("script.script_content.is_truncated", true)?;
        script.has("script.script_content.untruncated_size", it.content.len())?;
        let kept = it.content.get(..KEPT).unwrap_or_default();
        script.has("script.script_content.value", String::from_utf8_lossy(kept)).map(drop)
    })
}

fn bytes_behind_the_first_line_are_kept_as_base64(stage: &Stage) -> Result<Check> {
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let it = Script::write(stage, &bytes)?;
    stage.run(&it.path, &[&it.token])?;
    check(move |run| {
        let script = it.told(run)?;
        script.has("unmapped.script_encoding", "base64")?;
        script.has("script.script_content.value", STANDARD.encode(&it.content)).map(drop)
    })
}

fn of_a_script_run_by_a_script_the_one_that_was_asked_for_is_told(stage: &Stage) -> Result<Check> {
    let inner = Script::write(stage, b"# runs others\n")?;
    let content = format!("#!{}\n# is run by another\n", inner.text()).into_bytes();
    let path = stage.room()?.join("outer.sh");
    put(&path, &content, 0o755)?;
    stage.run(&path, &[&inner.token])?;
    check(move |run| {
        let exec = run.exec(&inner.token)?;
        exec.is_of(&inner.interpreter.sha256)?.has("process.xattributes.script", path.to_string_lossy())?;
        let script = run.script_of(&exec)?;
        script.has("script.file.path", path.to_string_lossy())?;
        script.has("script.hashes.0.value", sha256(&content))?;
        script.has("script.script_content.value", String::from_utf8_lossy(&content)).map(drop)
    })
}

fn a_script_run_by_env_is_told_once_with_its_content(stage: &Stage) -> Result<Check> {
    const ENV: &str = "/usr/bin/env";
    if !std::path::Path::new(ENV).exists() {
        return crate::trouble::not_here(format!("there is no {ENV}"));
    }
    let token = stage.token();
    let content = format!("#!{ENV} sh\n: {token}\nexit 5\n");
    let path = stage.room()?.join("job");
    put(&path, content.as_bytes(), 0o755)?;
    let deed = stage.run(&path, &[&token])?;
    check(move |run| {
        if deed.end() != (Some(5), None) {
            return wrong(format!("the script ended with {}: {}", deed.status, deed.complaint));
        }
        let mut execs = run.execs_of(deed.pid);
        execs.sort_by_key(|exec| exec.at("process.xattributes.exec_count").as_u64());
        let [env, shell] = execs.as_slice() else { return wrong(format!("{} execs, not 2", execs.len())) };
        env.has("process.xattributes.script", path.to_string_lossy())?;
        shell.lacks("process.xattributes.script")?.has("process.uid", env.text("process.uid")?)?;
        let script = run.script_of(env)?;
        script.has("script.script_content.value", content.as_str())?;
        script.has("script.hashes.0.value", sha256(content.as_bytes()))?.has("script.type_id", 6).map(drop)
    })
}

fn a_script_that_exists_only_in_another_root_is_told_with_its_content(stage: &Stage) -> Result<Check> {
    let (interpreter, token) = (stage.program(Behaviour::Sleep(stage.nap(), 0))?, stage.token());
    let content = format!("#!/bin/interpreter\n# {token}\n");
    let original = stage.room()?.join("job.sh");
    put(&original, content.as_bytes(), 0o755)?;
    let root = stage.room()?;
    let inside = |path: &str| format!("{}/{path}", root.display());
    let (script, program) = (inside("app/job.sh"), inside("bin/interpreter"));
    let (root, original) = (inside(""), original.to_string_lossy().into_owned());
    let prepare = ["unshare", "mnt", "tmpfs", &root, "copy", &original, &script];
    let more = ["copy", &interpreter.text(), &program, "pivot", &root, "exec", "/app/job.sh", &token];
    stage.act(&[&prepare[..], &more].concat())?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.file.path", "/bin/interpreter")?.is_of(&interpreter.sha256)?;
        let script = run.script_of(&exec)?;
        script.has("script.file.path", "/app/job.sh")?;
        script.has("script.hashes.0.value", sha256(content.as_bytes()))?;
        script.has("script.script_content.value", content).map(drop)
    })
}

fn a_script_executed_by_descriptor_is_told_with_its_content(stage: &Stage) -> Result<Check> {
    let it = Script::write(stage, b"# by descriptor\n")?;
    stage.act(&["exec-fd", &it.text(), &it.token])?;
    check(move |run| {
        let script = it.told(run)?;
        script.has("script.file.path", it.text())?;
        script.has("script.script_content.value", String::from_utf8_lossy(&it.content))?;
        run.exec(&it.token)?.has("process.xattributes.by_descriptor", true).map(drop)
    })
}

/// Its content and hash, or the reason why there are none; never another's.
fn content_or_reason(script: &Event, content: &[u8]) -> Result<String> {
    if script.at("script.hashes").is_null() {
        return script.text("script.file.xattributes.hash_missing").map(str::to_owned);
    }
    script.has("script.hashes.0.value", sha256(content))?;
    script.has("script.script_content.value", String::from_utf8_lossy(content))?;
    Ok("told".to_owned())
}

fn a_script_deleted_while_it_runs_has_its_content_or_a_reason(stage: &Stage) -> Result<Check> {
    let it = Script::write(stage, b"# soon gone\n")?;
    let child = stage.start(&it.path, &[&it.token])?;
    std::fs::remove_file(&it.path).doing("unlink")?;
    stage.finish(child)?;
    Ok(Box::new(move |run| content_or_reason(&run.script_of(&run.exec(&it.token)?)?, &it.content)))
}

fn a_script_replaced_after_its_end_never_has_the_content_of_the_new_one(stage: &Stage) -> Result<Check> {
    let interpreter = stage.program(Behaviour::Exit(0))?;
    let room = stage.room()?;
    let mut deeds = Vec::new();
    for number in 0..stage.fewer(30) {
        let token = stage.token();
        let (path, other) = (room.join(format!("{number}.sh")), room.join("other"));
        let content = format!("#!{}\n# {token} old\n", interpreter.text());
        put(&path, content.as_bytes(), 0o755)?;
        stage.run_well(&path, &[&token])?;
        put(&other, content.replace("old", "new").as_bytes(), 0o755)?;
        std::fs::rename(&other, &path).doing("rename")?;
        deeds.push((token, content));
    }
    Ok(Box::new(move |run| {
        let mut outcomes = std::collections::BTreeMap::<String, u32>::new();
        for (token, content) in deeds {
            let script = run.script_of(&run.exec(&token)?)?;
            *outcomes.entry(content_or_reason(&script, content.as_bytes())?).or_default() += 1;
        }
        Ok(format!("{outcomes:?}"))
    }))
}

fn an_empty_script_is_told_with_what_there_is(stage: &Stage) -> Result<Check> {
    let it = Script::write(stage, b"")?;
    stage.run(&it.path, &[&it.token])?;
    check(move |run| it.told(run).map(drop))
}

fn a_program_is_no_script(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.run(&tool.path, &[&token])?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.lacks("process.xattributes.script")?;
        match run.scripts_of(&exec)?.first() {
            None => Ok(()),
            Some(script) => script.refuse("there is a script event of a program"),
        }
    })
}
