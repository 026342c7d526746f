//! A disk as names and contents, and the states that it may be in when the power goes.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::record::{Step, describe};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Node {
    /// A file: which, so that a write finds it after a rename.
    File(usize),
    Directory,
    Link(String),
}

/// A file's content, in the pieces that were written: each is shared by all disks that hold it.
#[derive(Clone, Debug)]
struct Content {
    pieces: Vec<Arc<[u8]>>,
    mode: u32,
    /// Follows the bytes, so that telling two disks apart does not read them all.
    digest: u64,
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    names: BTreeMap<String, Node>,
    files: Vec<Content>,
}

/// Which steps a power loss left on the disk.
#[derive(Clone, Debug)]
pub struct Left {
    /// The step after which the power went, in words.
    pub after: String,
    /// How many steps were taken.
    end: usize,
    /// Those of them that are not on the disk.
    out: BTreeSet<usize>,
    /// Writes that made their file longer, and whose bytes are zeros.
    blank: BTreeSet<usize>,
}

/// Whether a step is on the disk for certain, by the steps up to where the power goes.
struct Pending {
    /// The numbers of the steps that changed names and are not synced.
    names: Vec<usize>,
    /// The numbers of the steps that changed contents and are not synced.
    contents: Vec<usize>,
}

impl Disk {
    /// The disk below a directory.
    pub fn read(base: &Path) -> anyhow::Result<Self> {
        let mut disk = Self::default();
        disk.read_below(base, "")?;
        Ok(disk)
    }

    fn read_below(&mut self, base: &Path, below: &str) -> anyhow::Result<()> {
        for entry in fs::read_dir(base.join(below))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let kind = entry.file_type()?;
            if path == "run" {
                continue;
            } else if kind.is_dir() {
                self.names.insert(path.clone(), Node::Directory);
                self.read_below(base, &path)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path())?.to_string_lossy().into_owned();
                self.names.insert(path, Node::Link(target));
            } else {
                let mode = entry.metadata()?.permissions().mode() & 0o7777;
                let bytes = fs::read(entry.path())?;
                let digest = hash(&bytes);
                let file = self.add(Content { pieces: vec![bytes.into()], mode, digest });
                self.names.insert(path, file);
            }
        }
        Ok(())
    }

    fn add(&mut self, content: Content) -> Node {
        self.files.push(content);
        Node::File(self.files.len() - 1)
    }

    fn content(&mut self, path: &str) -> Option<&mut Content> {
        match self.names.get(path) {
            Some(Node::File(at)) => self.files.get_mut(*at),
            _ => None,
        }
    }

    /// Takes one step. One whose ground is missing changes nothing.
    fn take(&mut self, step: &Step) {
        let parent_is_there = |disk: &Self, path: &str| {
            path.rsplit_once('/').is_none_or(|(up, _)| disk.names.get(up) == Some(&Node::Directory))
        };
        match step {
            Step::Create(path) => {
                if !self.names.contains_key(path) && parent_is_there(self, path) {
                    let file = self.add(Content { pieces: Vec::new(), mode: 0o600, digest: 0 });
                    self.names.insert(path.clone(), file);
                }
            }
            Step::Write(path, bytes, digest) => {
                if let Some(content) = self.content(path) {
                    content.digest = hash(&(content.digest, digest));
                    content.pieces.push(Arc::clone(bytes));
                }
            }
            Step::Mode(path, mode) => {
                if let Some(content) = self.content(path) {
                    content.mode = *mode;
                }
            }
            Step::Cut(path, length) => {
                if let Some(content) = self.content(path) {
                    let mut bytes = content.pieces.concat();
                    bytes.resize(*length, 0);
                    content.pieces = vec![bytes.into()];
                    content.digest = hash(&(content.digest, length));
                }
            }
            Step::Directory(path) => {
                if parent_is_there(self, path) {
                    self.names.entry(path.clone()).or_insert(Node::Directory);
                }
            }
            Step::Link(path, target) => {
                if parent_is_there(self, path) {
                    self.names.entry(path.clone()).or_insert_with(|| Node::Link(target.clone()));
                }
            }
            Step::Rename(from, to) => {
                if let Some(node) = self.names.remove(from) {
                    self.names.insert(to.clone(), node);
                }
            }
            Step::Remove(path) => {
                let prefix = format!("{path}/");
                self.names.retain(|name, _| name != path && !name.starts_with(&prefix));
            }
            Step::Sync(_) => {}
        }
    }

    /// This disk after some of the steps.
    pub fn after(&self, steps: &[Step], left: &Left) -> Self {
        let mut disk = self.clone();
        for (at, step) in steps.iter().enumerate().take(left.end) {
            match step {
                _ if left.out.contains(&at) => {}
                Step::Write(path, bytes, digest) if left.blank.contains(&at) => {
                    disk.take(&Step::Write(path.clone(), vec![0; bytes.len()].into(), !digest));
                }
                _ => disk.take(step),
            }
        }
        disk
    }

    /// The states in which the power may leave the disk, over all of these steps; each once.
    pub fn states(&self, steps: &[Step]) -> Vec<Left> {
        let mut states = BTreeMap::new();
        for end in 0..=steps.len() {
            let Some(taken) = steps.get(..end) else { break };
            let pending = pending(taken);
            let last = taken.last().map_or_else(|| "nothing".to_owned(), describe);
            let contents: BTreeSet<_> = pending.contents.iter().copied().collect();
            let all: BTreeSet<_> = pending.names.iter().chain(&pending.contents).copied().collect();
            let none = BTreeSet::new();
            let mut keep_with = |how: &str, out: &BTreeSet<usize>, blank: &BTreeSet<usize>| {
                let after = format!("step {end} ({last}), {how}");
                let left = Left { after, end, out: out.clone(), blank: blank.clone() };
                states.entry(self.after(steps, &left).digest()).or_insert(left);
            };
            let mut keep = |how: &str, out: &BTreeSet<usize>| keep_with(how, out, &none);
            keep("all there", &none);
            keep("nothing pending there", &all);
            keep("names without contents", &contents);
            keep("contents without names", &pending.names.iter().copied().collect());
            // The older pending changes were tried at earlier ends.
            for one in pending.names.iter().rev().take(6) {
                keep("one name missing", &BTreeSet::from([*one]));
                keep("one name alone", &all.iter().copied().filter(|at| at != one).collect());
            }
            keep_with("names and lengths without bytes", &none, &contents);
        }
        states.into_values().collect()
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, node) in &self.names {
            name.hash(&mut hasher);
            match node {
                Node::File(at) => self.files.get(*at).map(|file| (file.digest, file.mode)).hash(&mut hasher),
                other => other.hash(&mut hasher),
            }
        }
        hasher.finish()
    }

    /// Writes this disk to a directory.
    pub fn write(&self, to: &Path) -> anyhow::Result<()> {
        for (name, node) in &self.names {
            let path = to.join(name);
            match node {
                Node::Directory => fs::create_dir_all(&path)?,
                Node::Link(target) => symlink(target, &path).with_context(|| format!("{path:?}"))?,
                Node::File(at) => {
                    let content = self.files.get(*at).context("no such file")?;
                    if let Some(parent) = path.parent() {
                        fs::create_dir_all(parent)?;
                    }
                    fs::write(&path, content.pieces.concat())?;
                    fs::set_permissions(&path, fs::Permissions::from_mode(content.mode))?;
                }
            }
        }
        Ok(())
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(up, _)| up)
}

/// What is not on the disk for certain after these steps.
fn pending(taken: &[Step]) -> Pending {
    let mut names: Vec<(usize, [String; 2])> = Vec::new();
    let mut contents: Vec<(usize, String)> = Vec::new();
    for (at, step) in taken.iter().enumerate() {
        match step {
            Step::Create(path) | Step::Directory(path) | Step::Link(path, _) | Step::Remove(path) => {
                names.push((at, [parent(path).to_owned(), parent(path).to_owned()]));
            }
            Step::Rename(from, to) => {
                names.push((at, [parent(from).to_owned(), parent(to).to_owned()]));
                // What is pending of a file goes with it.
                for (_, path) in contents.iter_mut().filter(|(_, path)| path == from) {
                    path.clone_from(to);
                }
            }
            Step::Write(path, _, _) | Step::Mode(path, _) | Step::Cut(path, _) => {
                contents.push((at, path.clone()));
            }
            Step::Sync(path) => {
                contents.retain(|(_, pending)| pending != path);
                names.retain(|(_, directories)| !directories.contains(path));
            }
        }
    }
    Pending {
        names: names.into_iter().map(|(at, _)| at).collect(),
        contents: contents.into_iter().map(|(at, _)| at).collect(),
    }
}
