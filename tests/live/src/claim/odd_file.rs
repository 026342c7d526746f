//! Executables that are not simply there: in memory, deleted, by descriptor, huge, replaced while they run.

use std::fs::{self, OpenOptions};

use crate::claims;
use crate::program::{Behaviour, Program, image, put};
use crate::stage::Stage;
use crate::suite::{Check, Claim, check};
use crate::trouble::{Doing, Result, wrong};

pub const CLAIMS: &[Claim] = claims![
    a_program_in_memory_is_marked_and_hashed,
    a_program_in_memory_that_ends_at_once_has_its_hash_or_a_reason,
    a_deleted_program_is_marked_and_hashed,
    a_deleted_program_that_ends_at_once_has_its_hash_or_a_reason,
    an_exec_of_a_descriptor_is_marked,
    an_exec_relative_to_a_descriptor_has_the_right_file,
    a_program_of_ten_gigabytes_is_not_read,
    a_program_replaced_while_it_runs_has_the_hash_of_what_runs,
    a_program_replaced_after_its_end_never_has_the_hash_of_the_new_one,
    a_program_overwritten_after_its_end_never_has_the_hash_of_the_new_one,
    a_program_deleted_after_its_end_has_its_hash_or_a_reason,
];

fn napping(stage: &Stage) -> Result<(Program, String)> {
    Ok((stage.program(Behaviour::Sleep(stage.nap(), 0))?, stage.token()))
}

fn a_program_in_memory_is_marked_and_hashed(stage: &Stage) -> Result<Check> {
    let (tool, token) = napping(stage)?;
    stage.act(&["exec-memfd", &tool.text(), &token])?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.file.xattributes.memfd", true)?.has("process.xattributes.by_descriptor", true)?;
        exec.is_of(&tool.sha256)?;
        let path = exec.text("process.file.path")?;
        if path.contains("memfd:harmless") {
            Ok(())
        } else {
            exec.refuse("the path does not tell the memfd's name")
        }
    })
}

fn a_program_in_memory_that_ends_at_once_has_its_hash_or_a_reason(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.act(&["exec-memfd", &tool.text(), &token])?;
    Ok(Box::new(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.file.xattributes.memfd", true)?;
        Ok(exec.is_of_or_says_why(&tool.sha256)?.unwrap_or("hashed").to_owned())
    }))
}

fn a_deleted_program_is_marked_and_hashed(stage: &Stage) -> Result<Check> {
    let (tool, token) = napping(stage)?;
    stage.act(&["exec-deleted", &tool.text(), &token])?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.file.is_deleted", true)?.is_of(&tool.sha256)?;
        exec.lacks("process.file.xattributes.memfd")?;
        exec.has("process.file.path", tool.text()).map(drop)
    })
}

fn a_deleted_program_that_ends_at_once_has_its_hash_or_a_reason(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.act(&["exec-deleted", &tool.text(), &token])?;
    Ok(Box::new(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.file.is_deleted", true)?;
        Ok(exec.is_of_or_says_why(&tool.sha256)?.unwrap_or("hashed").to_owned())
    }))
}

fn an_exec_of_a_descriptor_is_marked(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let plain = stage.token();
    stage.act(&["exec-fd", &tool.text(), &token])?;
    stage.act(&["exec", &tool.text(), &plain])?;
    check(move |run| {
        run.exec(&plain)?.lacks("process.xattributes.by_descriptor")?;
        let exec = run.exec(&token)?;
        exec.has("process.xattributes.by_descriptor", true)?.has("process.file.path", tool.text())?;
        exec.is_of(&tool.sha256).map(drop)
    })
}

fn an_exec_relative_to_a_descriptor_has_the_right_file(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let directory = tool.path.parent().unwrap_or(&tool.path).to_string_lossy().into_owned();
    stage.act(&["exec-at", &directory, "tool", &token])?;
    check(move |run| run.exec(&token)?.has("process.file.path", tool.text())?.is_of(&tool.sha256).map(drop))
}

fn a_program_of_ten_gigabytes_is_not_read(stage: &Stage) -> Result<Check> {
    const LEN: u64 = 10 << 30;
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let file = OpenOptions::new().write(true).open(&tool.path).doing("open")?;
    file.set_len(LEN)
        .or_else(|error| crate::trouble::not_here(format!("a sparse file of 10 GB: {error}")))?;
    drop(file);
    stage.run_well(&tool.path, &[&token])?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.file.size", LEN)?.lacks("process.file.hashes")?;
        exec.has("process.file.xattributes.hash_missing", "too_large").map(drop)
    })
}

/// Writes another program beside one and renames it over it.
fn replace(tool: &Program, salt: &str) -> Result {
    let other = tool.path.with_file_name("other");
    put(&other, &image(Behaviour::Exit(1), salt), 0o755)?;
    fs::rename(&other, &tool.path).doing("rename")
}

fn a_program_replaced_while_it_runs_has_the_hash_of_what_runs(stage: &Stage) -> Result<Check> {
    let (mut deeds, mut children) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let (tool, token) = napping(stage)?;
        children.push(stage.start(&tool.path, &[&token])?);
        replace(&tool, &token)?;
        deeds.push((tool.sha256, token));
    }
    for child in children {
        stage.finish(child)?;
    }
    check(move |run| {
        for (sha256, token) in deeds {
            run.exec(&token)?.is_of(&sha256)?;
        }
        Ok(())
    })
}

/// Two ticks of the coarsest clock (HZ=100) that ctime is taken from.
const TWO_TICKS: std::time::Duration = std::time::Duration::from_millis(20);

/// Tries something with many short-lived programs right after each has ended, and counts what became of the hashes.
fn after_the_end(stage: &Stage, then: fn(&Program, &str) -> Result) -> Result<Check> {
    let mut deeds = Vec::new();
    for _ in 0..stage.fewer(50) {
        let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
        // Before 6.13 ctime moves in ticks: a file written, executed and written again within one of them cannot be told apart.
        std::thread::sleep(TWO_TICKS);
        stage.run_well(&tool.path, &[&token])?;
        then(&tool, &token)?;
        deeds.push((tool.sha256, token));
    }
    Ok(Box::new(move |run| {
        let (mut hashed, mut reasons) = (0, std::collections::BTreeMap::<String, u32>::new());
        for (sha256, token) in deeds {
            let exec = run.exec(&token)?;
            match exec.is_of_or_says_why(&sha256)? {
                None => hashed += 1,
                Some(reason) => *reasons.entry(reason.to_owned()).or_default() += 1,
            }
        }
        Ok(format!("{hashed} hashed, the others {reasons:?}"))
    }))
}

fn a_program_replaced_after_its_end_never_has_the_hash_of_the_new_one(stage: &Stage) -> Result<Check> {
    after_the_end(stage, replace)
}

fn a_program_overwritten_after_its_end_never_has_the_hash_of_the_new_one(stage: &Stage) -> Result<Check> {
    after_the_end(stage, |tool, salt| {
        let other = image(Behaviour::Exit(1), salt);
        let len = fs::metadata(&tool.path).doing("stat")?.len();
        if len != other.len() as u64 {
            return wrong("the two programs differ in size");
        }
        fs::write(&tool.path, other).doing("overwrite")
    })
}

fn a_program_deleted_after_its_end_has_its_hash_or_a_reason(stage: &Stage) -> Result<Check> {
    after_the_end(stage, |tool, _| fs::remove_file(&tool.path).doing("unlink"))
}
