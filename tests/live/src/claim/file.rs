//! The executable of an exec, in the ordinary case: what it is, and the hash of what ran.

use std::os::unix::fs::MetadataExt;

use crate::claims;
use crate::program::Behaviour;
use crate::stage::Stage;
use crate::suite::{Check, Claim, check};
use crate::trouble::{Doing, Result, wrong};

pub const CLAIMS: &[Claim] = claims![
    an_executable_is_told_as_stat_tells_it,
    every_program_has_its_own_hash,
    a_program_that_runs_often_has_the_same_hash_every_time,
    a_rewritten_program_has_its_new_hash,
    a_program_started_by_a_symbolic_link_is_the_one_behind_it,
    a_path_that_is_not_utf8_is_kept_as_base64,
    a_very_long_path_is_cut_with_a_mark_and_the_hash_is_right,
    a_program_in_a_deep_directory_has_its_whole_path,
    an_exec_that_fails_is_not_told,
];

fn an_executable_is_told_as_stat_tells_it(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    std::os::unix::fs::chown(&tool.path, Some(77), Some(88)).doing("chown")?;
    stage.run(&tool.path, &[&token])?;
    let stat = std::fs::metadata(&tool.path).doing("stat")?;
    check(move |run| {
        let exec = run.exec(&token)?;
        let (major, minor) = (rustix::fs::major(stat.dev()), rustix::fs::minor(stat.dev()));
        exec.is_of(&tool.sha256)?.has("process.file.path", tool.text())?.has("process.file.name", "tool")?;
        exec.has("process.file.uid", stat.ino().to_string())?.has("process.file.size", stat.size())?;
        exec.has("process.file.owner.uid", "77")?.has("process.file.xattributes.gid", 88)?;
        exec.has("process.file.modified_time", stat.mtime() * 1000 + stat.mtime_nsec() / 1_000_000)?;
        exec.has("process.file.xattributes.dev", format!("{major}:{minor}"))?;
        exec.has("process.file.xattributes.ctime", format!("{}.{:09}", stat.ctime(), stat.ctime_nsec()))?;
        exec.has("process.file.xattributes.mode", "0100755")?;
        exec.lacks("process.file.is_deleted")?.lacks("process.file.xattributes.memfd").map(drop)
    })
}

fn every_program_has_its_own_hash(stage: &Stage) -> Result<Check> {
    let mut deeds = Vec::new();
    for _ in 0..stage.fewer(50) {
        let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
        stage.run(&tool.path, &[&token])?;
        deeds.push((tool, token));
    }
    check(move |run| {
        for (tool, token) in deeds {
            run.exec(&token)?.is_of(&tool.sha256)?;
        }
        Ok(())
    })
}

fn a_program_that_runs_often_has_the_same_hash_every_time(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let count = usize::try_from(stage.fewer(200)).unwrap_or(20);
    for _ in 0..count {
        stage.run(&tool.path, &[&token])?;
    }
    Ok(Box::new(move |run| {
        let execs = run.execs(&token);
        if execs.len() != count {
            return wrong(format!("{} execs, not {count}", execs.len()));
        }
        let mut from_cache = 0;
        for exec in &execs {
            exec.is_of(&tool.sha256)?;
            from_cache += usize::from(exec.at("process.file.xattributes.hash_road") == "cache");
        }
        Ok(format!("{from_cache} of {count} from the cache"))
    }))
}

fn a_rewritten_program_has_its_new_hash(stage: &Stage) -> Result<Check> {
    let room = stage.room()?;
    let mut deeds = Vec::new();
    for code in 0..10 {
        // Written over the old one: the same inode, the same size.
        let token = stage.token();
        let tool = crate::program::Program::write(room.join("tool"), Behaviour::Exit(code), &token)?;
        stage.run(&tool.path, &[&token])?;
        deeds.push((tool.sha256, token));
        // The kernel's clock for files may have ticks of 10 ms; two writes in one tick are one state to everybody.
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    check(move |run| {
        for (sha256, token) in deeds {
            let exec = run.exec(&token)?;
            // An executable that is overwritten when it has ended may be gone before it was read.
            exec.is_of_or_says_why(&sha256)?;
        }
        Ok(())
    })
}

fn a_program_started_by_a_symbolic_link_is_the_one_behind_it(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let link = stage.room()?.join("alias");
    std::os::unix::fs::symlink(&tool.path, &link).doing("symlink")?;
    stage.run(&link, &[&token])?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.file.path", tool.text())?.is_of(&tool.sha256)?;
        exec.has("process.cmd_line", format!("{} {token}", link.display()))?
            .has("process.name", "alias")
            .map(drop)
    })
}

fn a_path_that_is_not_utf8_is_kept_as_base64(stage: &Stage) -> Result<Check> {
    use base64::Engine;
    use std::os::unix::ffi::OsStrExt;
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let path = tool.path.with_file_name(std::ffi::OsStr::from_bytes(b"t\xf6\xf6l"));
    std::fs::rename(&tool.path, &path).doing("rename")?;
    stage.run(&path, &[&token])?;
    let raw = base64::engine::general_purpose::STANDARD.encode(path.as_os_str().as_bytes());
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.file.path", path.to_string_lossy())?;
        exec.has("process.file.xattributes.path_raw", raw)?.is_of(&tool.sha256).map(drop)
    })
}

/// Runs a program so many directories of 50 bytes below its room.
fn below(stage: &Stage, levels: usize) -> Result<(crate::program::Program, String)> {
    let mut directory = stage.room()?;
    for level in 0..levels {
        directory.push(format!("{level:0>49}"));
    }
    std::fs::create_dir_all(&directory).doing("make directories")?;
    let token = stage.token();
    let nap = Behaviour::Sleep(stage.nap(), 0);
    let tool = crate::program::Program::write(directory.join("tool"), nap, &token)?;
    stage.run(&tool.path, &[&token])?;
    Ok((tool, token))
}

fn a_very_long_path_is_cut_with_a_mark_and_the_hash_is_right(stage: &Stage) -> Result<Check> {
    let (tool, token) = below(stage, 60)?;
    check(move |run| {
        let exec = run.exec(&token)?;
        let told = exec.text("process.file.path")?;
        let tail = told.strip_prefix('…').unwrap_or("not cut");
        if tail.len() < 500 || !tool.text().ends_with(tail) {
            return exec.refuse("the path is not marked as cut, or what is left is not its end");
        }
        exec.is_of(&tool.sha256).map(drop)
    })
}

fn a_program_in_a_deep_directory_has_its_whole_path(stage: &Stage) -> Result<Check> {
    let (tool, token) = below(stage, 15)?;
    check(move |run| run.exec(&token)?.has("process.file.path", tool.text())?.is_of(&tool.sha256).map(drop))
}

fn an_exec_that_fails_is_not_told(stage: &Stage) -> Result<Check> {
    let token = stage.token();
    let path = stage.room()?.join("garbage");
    crate::program::put(&path, b"\x7fELF, or so it says", 0o755)?;
    let actor = stage.start_act(&["exec", &path.to_string_lossy(), &token])?;
    let deed = stage.finish(actor)?;
    check(move |run| {
        if deed.status.code() != Some(crate::act::WRONG) {
            return wrong(format!("the exec of garbage ended with {}", deed.status));
        }
        match run.execs_of(deed.pid).as_slice() {
            [_] => run.exit_of(deed.pid).map(drop),
            execs => wrong(format!("{} execs are told, where only the actor's own was", execs.len())),
        }
    })
}
