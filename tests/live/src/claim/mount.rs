//! Executables that lie elsewhere than they seem: other roots, mount namespaces, overlays, bind mounts.

use std::fs;
use std::path::{Path, PathBuf};

use crate::claims;
use crate::program::{Behaviour, Program};
use crate::stage::Stage;
use crate::suite::{Check, Claim, check};
use crate::trouble::{Doing, Result};

pub const CLAIMS: &[Claim] = claims![
    a_program_that_exists_only_in_another_root_is_hashed,
    a_program_of_another_root_that_ends_at_once_has_its_hash_or_a_reason,
    a_program_of_the_same_path_in_another_root_is_not_mistaken,
    a_program_in_a_changed_root_is_hashed,
    a_program_on_an_overlay_is_hashed,
    a_program_copied_up_on_an_overlay_is_hashed,
    a_program_behind_a_bind_mount_is_told_by_the_path_it_has_there,
    a_bind_mounted_file_is_hashed,
    a_program_under_a_mount_that_hides_it_is_not_mistaken,
];

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A directory of its own for each name.
fn directories<const N: usize>(stage: &Stage) -> Result<[PathBuf; N]> {
    let room = stage.room()?;
    let directories = std::array::from_fn(|number| room.join(number.to_string()));
    for directory in &directories {
        fs::create_dir(directory).doing("make a directory")?;
    }
    Ok(directories)
}

/// Runs a program in a mount namespace with a tmpfs as its root, where it lies at `/app/tool`.
fn in_another_root(stage: &Stage, tool: &Program, token: &str) -> Result {
    let [root] = directories(stage)?;
    let copy = text(&root.join("app/tool"));
    let root = text(&root);
    let prepare = ["unshare", "mnt", "tmpfs", &root, "copy", &tool.text(), &copy];
    stage.act(&[&prepare[..], &["pivot", &root, "exec", "/app/tool", token]].concat()).map(drop)
}

fn a_program_that_exists_only_in_another_root_is_hashed(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Sleep(stage.nap(), 0))?, stage.token());
    in_another_root(stage, &tool, &token)?;
    check(move |run| run.exec(&token)?.has("process.file.path", "/app/tool")?.is_of(&tool.sha256).map(drop))
}

fn a_program_of_another_root_that_ends_at_once_has_its_hash_or_a_reason(stage: &Stage) -> Result<Check> {
    let mut deeds = Vec::new();
    for _ in 0..stage.fewer(20) {
        let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
        in_another_root(stage, &tool, &token)?;
        deeds.push((tool.sha256, token));
    }
    Ok(Box::new(move |run| {
        let (count, mut hashed) = (deeds.len(), 0);
        for (sha256, token) in deeds {
            let exec = run.exec(&token)?;
            exec.has("process.file.path", "/app/tool")?;
            hashed += u32::from(exec.is_of_or_says_why(&sha256)?.is_none());
        }
        Ok(format!("{hashed} of {count} hashed"))
    }))
}

/// The path exists on the host too, with another content.
fn a_program_of_the_same_path_in_another_root_is_not_mistaken(stage: &Stage) -> Result<Check> {
    let (inside, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let outside = stage.program(Behaviour::Exit(0))?;
    let [root] = directories(stage)?;
    let copy = root.join(outside.path.strip_prefix("/").unwrap_or(&outside.path));
    let (root, copy) = (text(&root), text(&copy));
    let prepare = ["unshare", "mnt", "tmpfs", &root, "copy", &inside.text(), &copy];
    stage.act(&[&prepare[..], &["pivot", &root, "exec", &outside.text(), &token]].concat())?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.file.path", outside.text())?.is_of_or_says_why(&inside.sha256).map(drop)
    })
}

fn a_program_in_a_changed_root_is_hashed(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let root = stage.room()?;
    let copy = text(&root.join("app/tool"));
    stage.act(&["copy", &tool.text(), &copy, "chroot", &text(&root), "exec", "/app/tool", &token])?;
    check(move |run| {
        let exec = run.exec(&token)?;
        if !exec.text("process.file.path")?.ends_with("/app/tool") {
            return exec.refuse("the path does not end with /app/tool");
        }
        exec.is_of(&tool.sha256).map(drop)
    })
}

fn overlay(stage: &Stage, tool: &Program, token: &str, more: &[&str]) -> Result<String> {
    let [lower, upper, work, merged] = directories(stage)?;
    fs::copy(&tool.path, lower.join("tool")).doing("copy")?;
    let merged_tool = text(&merged.join("tool"));
    let (lower, upper, work, merged) = (text(&lower), text(&upper), text(&work), text(&merged));
    let mut steps = vec!["unshare", "mnt", "overlay", &lower, &upper, &work, &merged];
    let more: Vec<String> = more.iter().map(|step| step.replace("MERGED", &merged)).collect();
    steps.extend(more.iter().map(String::as_str));
    steps.extend(["exec", &merged_tool, token]);
    stage.act(&steps)?;
    Ok(merged_tool)
}

fn a_program_on_an_overlay_is_hashed(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Sleep(stage.nap(), 0))?, stage.token());
    let path = overlay(stage, &tool, &token, &[])?;
    check(move |run| run.exec(&token)?.has("process.file.path", path)?.is_of(&tool.sha256).map(drop))
}

fn a_program_copied_up_on_an_overlay_is_hashed(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Sleep(stage.nap(), 0))?, stage.token());
    let newer = stage.program(Behaviour::Sleep(stage.nap(), 0))?;
    // Copied over the lower layer's file, which the upper layer then covers.
    let path = overlay(stage, &tool, &token, &["copy", &newer.text(), "MERGED/tool"])?;
    check(move |run| run.exec(&token)?.has("process.file.path", path)?.is_of(&newer.sha256).map(drop))
}

fn a_program_behind_a_bind_mount_is_told_by_the_path_it_has_there(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Sleep(stage.nap(), 0))?, stage.token());
    let [there] = directories(stage)?;
    let from = text(tool.path.parent().unwrap_or(&tool.path));
    let path = text(&there.join("tool"));
    stage.act(&["unshare", "mnt", "bind", &from, &text(&there), "exec", &path, &token])?;
    check(move |run| run.exec(&token)?.has("process.file.path", path)?.is_of(&tool.sha256).map(drop))
}

fn a_bind_mounted_file_is_hashed(stage: &Stage) -> Result<Check> {
    let (tool, token) = (stage.program(Behaviour::Sleep(stage.nap(), 0))?, stage.token());
    let other = stage.program(Behaviour::Exit(1))?;
    let path = other.text();
    stage.act(&["unshare", "mnt", "bind", &tool.text(), &path, "exec", &path, &token])?;
    check(move |run| run.exec(&token)?.has("process.file.path", path)?.is_of(&tool.sha256).map(drop))
}

/// The host sees another file at the same path than the process did.
fn a_program_under_a_mount_that_hides_it_is_not_mistaken(stage: &Stage) -> Result<Check> {
    let (inside, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let outside = stage.program(Behaviour::Exit(0))?;
    let directory = text(outside.path.parent().unwrap_or(&outside.path));
    let path = outside.text();
    let steps = ["unshare", "mnt", "tmpfs", &directory, "copy", &inside.text(), &path, "exec", &path, &token];
    stage.act(&steps)?;
    check(move |run| run.exec(&token)?.is_of_or_says_why(&inside.sha256).map(drop))
}
