//! The steps that a run takes on the disk, from the output of strace.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::below;

/// One step. Paths are below the host's root.
#[derive(Clone, Debug)]
pub enum Step {
    /// A file is there, empty.
    Create(String),
    /// Bytes are at its end; and a digest of them.
    Write(String, Arc<[u8]>, u64),
    /// It has this mode.
    Mode(String, u32),
    /// It has this length.
    Cut(String, usize),
    /// A directory is there.
    Directory(String),
    /// A link is there.
    Link(String, String),
    /// A name has changed.
    Rename(String, String),
    /// A name is gone.
    Remove(String),
    /// The contents of a file, or the names in a directory, are on the disk.
    Sync(String),
}

/// strace, told to write to `log`; the program's arguments are the caller's.
pub fn strace(log: &Path) -> Command {
    let mut command = Command::new("strace");
    let calls = "openat,open,write,fsync,fdatasync,rename,renameat,renameat2,symlink,symlinkat,unlink,unlinkat,rmdir,\
                 mkdir,mkdirat,fchmod,fchmodat,ftruncate";
    // Threads of the updater are followed; programs that it starts are let go, since the agent outlives the run.
    command
        .args([
            "-f",
            "-b",
            "execve",
            "-qq",
            "-y",
            "-xx",
            "-s",
            "300000000",
            "-e",
            &format!("trace={calls}"),
            "-o",
        ])
        .arg(log);
    command
}

/// The steps in a log that were taken below `root`, apart from `run`, which no power loss leaves anything of.
pub fn read(log: &Path, root: &Path) -> anyhow::Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut unfinished: BTreeMap<String, String> = BTreeMap::new();
    let root = fs::canonicalize(root)?;
    for line in BufReader::new(fs::File::open(log)?).lines() {
        let line = line?;
        let Some((pid, call)) = line.split_once(char::is_whitespace) else { continue };
        let call = call.trim_start();
        // A call that another thread's output cuts in two.
        let call = if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            unfinished.insert(pid.to_owned(), begun.to_owned());
            continue;
        } else if let Some((_, rest)) =
            call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            format!("{}{rest}", unfinished.remove(pid).unwrap_or_default())
        } else {
            call.to_owned()
        };
        if let Some(step) = step(&call, &root) {
            steps.push(step);
        }
    }
    Ok(steps)
}

fn step(call: &str, root: &Path) -> Option<Step> {
    let (name, rest) = call.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(") = ")?;
    if result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    let arguments = split(arguments);
    let argument = |at: usize| arguments.get(at).map(String::as_str).unwrap_or_default();
    let kept = |path: PathBuf| below(root, &path).filter(|path| !path.starts_with("run/") && path != "run");
    let path = |at: usize| kept(PathBuf::from(string(argument(at))?));
    let at_path =
        |directory: usize, name: usize| kept(descriptor(argument(directory)).join(string(argument(name))?));
    let open_file = |at: usize| kept(descriptor(argument(at)));
    Some(match name {
        "open" if argument(1).contains("O_CREAT") => Step::Create(path(0)?),
        "openat" if argument(2).contains("O_CREAT") => Step::Create(at_path(0, 1)?),
        "write" => {
            let (path, bytes) = (open_file(0)?, bytes(argument(1))?);
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            Step::Write(path, bytes.into(), hasher.finish())
        }
        "fchmod" => Step::Mode(open_file(0)?, u32::from_str_radix(argument(1), 8).ok()?),
        "ftruncate" => Step::Cut(open_file(0)?, argument(1).parse().ok()?),
        "fsync" | "fdatasync" => Step::Sync(open_file(0)?),
        "mkdir" => Step::Directory(path(0)?),
        "mkdirat" => Step::Directory(at_path(0, 1)?),
        "rename" => Step::Rename(path(0)?, path(1)?),
        "renameat" | "renameat2" => Step::Rename(at_path(0, 1)?, at_path(2, 3)?),
        "symlink" => Step::Link(path(1)?, String::from_utf8(bytes(argument(0))?).ok()?),
        "symlinkat" => Step::Link(at_path(1, 2)?, String::from_utf8(bytes(argument(0))?).ok()?),
        "unlink" | "rmdir" => Step::Remove(path(0)?),
        "unlinkat" => Step::Remove(at_path(0, 1)?),
        _ => return None,
    })
}

/// Arguments at the outermost commas; strings hold no comma, being hexadecimal.
fn split(arguments: &str) -> Vec<String> {
    arguments.split(", ").map(str::to_owned).collect()
}

/// The path that strace shows beside a descriptor: `5<\x2f...>` or `AT_FDCWD<...>`.
fn descriptor(argument: &str) -> PathBuf {
    let inner = argument.split_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or_default();
    let inner = inner.strip_suffix("(deleted)").unwrap_or(inner);
    PathBuf::from(
        decode(inner).map_or_else(|| inner.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned()),
    )
}

fn string(argument: &str) -> Option<String> {
    String::from_utf8(bytes(argument)?).ok()
}

fn bytes(argument: &str) -> Option<Vec<u8>> {
    decode(argument.strip_prefix('"')?.strip_suffix('"')?)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    text.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits.get(..2)?, 16).ok()).collect()
}

/// Says what a step is, in a few words.
pub fn describe(step: &Step) -> String {
    match step {
        Step::Write(path, bytes, _) => format!("write {} bytes to {path}", bytes.len()),
        other => format!("{other:?}"),
    }
}
