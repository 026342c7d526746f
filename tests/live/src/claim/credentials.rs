//! As whom a process runs: users, groups, capabilities, login, terminal.

use std::os::unix::fs::PermissionsExt;

use crate::claims;
use crate::program::{Behaviour, Program};
use crate::stage::Stage;
use crate::suite::{Check, Claim, check};
use crate::trouble::{Doing, Result, not_here, wrong};

pub const CLAIMS: &[Claim] = claims![
    user_and_group_are_the_real_ones,
    a_set_uid_start_is_told_with_the_effective_user,
    a_set_gid_start_is_told_with_the_effective_group,
    root_that_starts_a_set_uid_program_gains_nothing_and_nothing_is_told,
    capabilities_are_those_after_the_exec,
    a_dropped_user_has_no_capabilities,
    login_user_and_session_are_told,
    a_process_that_nobody_logged_in_for_has_no_login_user,
    the_controlling_terminal_is_named,
];

const NOBODY: u32 = 65_534;

fn user_and_group_are_the_real_ones(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.act(&["gid", "54321", "uid", "12345", "exec", &tool.text(), &token])?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.user.uid", "12345")?.has("process.group.uid", "54321")?;
        exec.lacks("process.xattributes.euid")?.lacks("process.xattributes.egid")?;
        exec.lacks("process.xattributes.set_uid")?.lacks("process.xattributes.set_gid").map(drop)
    })
}

/// A program with a mode of its own, in root's possession and a given group's.
fn program_with_mode(stage: &Stage, group: u32, mode: u32) -> Result<Program> {
    let tool = stage.program(Behaviour::Exit(0))?;
    let mount = rustix::fs::statvfs(&tool.path).doing("statvfs")?;
    if mount.f_flag.contains(rustix::fs::StatVfsMountFlags::NOSUID) {
        return not_here(format!(
            "{} is mounted nosuid; name another directory in TMPDIR",
            tool.path.display()
        ));
    }
    std::os::unix::fs::chown(&tool.path, Some(0), Some(group)).doing("chown")?;
    std::fs::set_permissions(&tool.path, std::fs::Permissions::from_mode(mode)).doing("chmod")?;
    Ok(tool)
}

fn as_nobody(stage: &Stage, tool: &Program, token: &str) -> Result {
    let nobody = NOBODY.to_string();
    stage.act(&["gid", &nobody, "uid", &nobody, "exec", &tool.text(), token]).map(drop)
}

fn a_set_uid_start_is_told_with_the_effective_user(stage: &Stage) -> Result<Check> {
    let (tool, token) = (program_with_mode(stage, 0, 0o4755)?, stage.token());
    as_nobody(stage, &tool, &token)?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.xattributes.set_uid", true)?.has("process.user.uid", NOBODY.to_string())?;
        exec.has("process.xattributes.euid", 0)?.lacks("process.xattributes.set_gid")?;
        exec.has("process.file.xattributes.mode", "0104755")?.is_of(&tool.sha256).map(drop)
    })
}

fn a_set_gid_start_is_told_with_the_effective_group(stage: &Stage) -> Result<Check> {
    let (tool, token) = (program_with_mode(stage, 4321, 0o2755)?, stage.token());
    as_nobody(stage, &tool, &token)?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.xattributes.set_gid", true)?.has("process.group.uid", NOBODY.to_string())?;
        exec.has("process.xattributes.egid", 4321)?.lacks("process.xattributes.set_uid").map(drop)
    })
}

fn root_that_starts_a_set_uid_program_gains_nothing_and_nothing_is_told(stage: &Stage) -> Result<Check> {
    let (tool, token) = (program_with_mode(stage, 0, 0o4755)?, stage.token());
    stage.run(&tool.path, &[&token])?;
    check(move |run| run.exec(&token)?.lacks("process.xattributes.set_uid").map(drop))
}

fn capabilities_are_those_after_the_exec(stage: &Stage) -> Result<Check> {
    // CAP_NET_BIND_SERVICE (10) and CAP_SYS_CHROOT (18), as in linux/capability.h.
    let keep: u64 = 1 << 10 | 1 << 18;
    let token = stage.token();
    let itself = stage.itself.to_string_lossy().into_owned();
    let deed = stage.act(&["bounds", &keep.to_string(), "exec", &itself, "act", "say", "name", &token])?;
    let told = u64::from_str_radix(deed.says("capabilities")?, 16).doing("capabilities")?;
    check(move |run| {
        let execs = run.execs_of(deed.pid);
        let Some(exec) = execs.last() else { return wrong("there is no exec") };
        if told != keep {
            return exec.refuse(&format!("the actor has the capabilities {told:#x}, not {keep:#x}"));
        }
        exec.has("process.xattributes.cap_effective", format!("{keep:#x}")).map(drop)
    })
}

fn a_dropped_user_has_no_capabilities(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    as_nobody(stage, &tool, &token)?;
    check(move |run| match run.exec(&token)?.at("process.xattributes.cap_effective").as_str() {
        None | Some("0x0") => Ok(()),
        Some(_) => run.exec(&token)?.refuse("a user without capabilities has some"),
    })
}

fn login_user_and_session_are_told(stage: &Stage) -> Result<Check> {
    let token = stage.token();
    let itself = stage.itself.to_string_lossy().into_owned();
    let deed = stage.act(&["loginuid", "4711", "exec", &itself, "act", "say", "name", &token])?;
    let session = deed.says("sessionid")?.to_owned();
    check(move |run| {
        let execs = run.execs_of(deed.pid);
        let Some(exec) = execs.last() else { return wrong("there is no exec") };
        exec.has("process.auid", 4711)?.has("process.session.uid", session).map(drop)
    })
}

fn a_process_that_nobody_logged_in_for_has_no_login_user(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let own = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    if own.trim() != u32::MAX.to_string() {
        return not_here(format!("the suite itself has the login uid {:?}", own.trim()));
    }
    stage.run(&tool.path, &[&token])?;
    check(move |run| run.exec(&token)?.lacks("process.auid")?.lacks("process.session.uid").map(drop))
}

fn the_controlling_terminal_is_named(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let deed = stage.act(&["terminal", "exec", &tool.text(), &token])?;
    // The kernel calls /dev/pts/3 "pts3".
    let name = deed.says("terminal")?.trim_start_matches("/dev/").replace('/', "");
    check(move |run| run.exec(&token)?.has("process.session.terminal", name).map(drop))
}
