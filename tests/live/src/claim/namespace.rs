//! Namespaces and root directories: which ones, and who the process is in them.

use crate::claims;
use crate::program::Behaviour;
use crate::stage::Stage;
use crate::suite::{Check, Claim, check};
use crate::trouble::{Result, wrong};

pub const CLAIMS: &[Claim] = claims![
    the_first_process_of_a_pid_namespace_has_both_its_numbers,
    a_process_in_the_hosts_pid_namespace_has_one_number,
    namespaces_are_those_that_the_process_is_in,
    a_user_namespace_does_not_hide_the_user_of_the_host,
    the_working_directory_is_told,
    the_root_is_a_working_directory_too,
    a_working_directory_that_is_not_utf8_is_kept_as_base64,
];

fn the_first_process_of_a_pid_namespace_has_both_its_numbers(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(6))?, stage.token());
    let deed = stage.act(&["unshare", "pid", "fork", "exec", &tool.text(), &token])?;
    let child = deed.number("child")?;
    check(move |run| {
        let exec = run.execs(&token).into_iter().find(|exec| exec.at("process.pid") == child);
        let Some(exec) = exec else { return wrong(format!("the exec of {child} is missing")) };
        exec.has("process.namespace_pid", 1)?.has("actor.process.pid", deed.pid)?;
        run.end_of(&exec)?.has("exit_code", 6).map(drop)
    })
}

fn a_process_in_the_hosts_pid_namespace_has_one_number(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.run(&tool.path, &[&token])?;
    check(move |run| run.exec(&token)?.lacks("process.namespace_pid").map(drop))
}

fn namespaces_are_those_that_the_process_is_in(stage: &Stage) -> Result<Check> {
    let token = stage.token();
    let itself = stage.itself.to_string_lossy().into_owned();
    let deed = stage.act(&["unshare", "net,cgroup,mnt", "exec", &itself, "act", "say", "name", &token])?;
    check(move |run| {
        let execs = run.execs_of(deed.pid);
        let [before, after] = execs.as_slice() else { return wrong(format!("{} execs, not 2", execs.len())) };
        for namespace in ["pid", "mnt", "net", "user", "cgroup"] {
            let path = format!("process.xattributes.namespaces.{namespace}");
            after.has(&path, deed.number(namespace)?)?;
            let is_new = !["pid", "user"].contains(&namespace);
            if (before.at(&path) == after.at(&path)) == is_new {
                return after.refuse(&format!("before it, {path} was {}", before.at(&path)));
            }
        }
        Ok(())
    })
}

fn a_user_namespace_does_not_hide_the_user_of_the_host(stage: &Stage) -> Result<Check> {
    let token = stage.token();
    let itself = stage.itself.to_string_lossy().into_owned();
    let deed = stage.act(&["unshare", "user", "exec", &itself, "act", "say", "name", &token])?;
    check(move |run| {
        let execs = run.execs_of(deed.pid);
        let Some(exec) = execs.last() else { return wrong("there is no exec") };
        exec.has("process.user.uid", "0")?;
        exec.has("process.xattributes.namespaces.user", deed.number("user")?).map(drop)
    })
}

fn the_working_directory_is_told(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let room = stage.room()?.to_string_lossy().into_owned();
    stage.act(&["cd", &room, "exec", &tool.text(), &token])?;
    check(move |run| run.exec(&token)?.has("process.working_directory", room).map(drop))
}

fn the_root_is_a_working_directory_too(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.act(&["cd", "/", "exec", &tool.text(), &token])?;
    check(move |run| run.exec(&token)?.has("process.working_directory", "/").map(drop))
}

fn a_working_directory_that_is_not_utf8_is_kept_as_base64(stage: &Stage) -> Result<Check> {
    use base64::Engine;
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let room = stage.room()?.join(OsStr::from_bytes(b"caf\xe9"));
    std::fs::create_dir(&room).or_else(|error| wrong(error.to_string()))?;
    let steps: [OsString; 5] =
        ["cd".into(), room.clone().into(), "exec".into(), tool.path.into(), token.clone().into()];
    stage.act(&steps)?;
    let raw = base64::engine::general_purpose::STANDARD.encode(room.as_os_str().as_bytes());
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.working_directory", room.to_string_lossy())?;
        exec.has("process.xattributes.working_directory_raw", raw).map(drop)
    })
}
