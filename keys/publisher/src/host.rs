//! A host that follows the channel on disk at this time, from a root that it has: what `verify` and `bundle` look
//! through. Unlike [`crate::channel`] it minds expiry.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp as Time;
use linnet_keys::metadata::Targets;
use linnet_keys::trusted::{FileWanted, Search, Trusted};
use linnet_keys::{Sha256Digest, VerifiedTarget};
use sha2::{Digest, Sha256};

use crate::channel::{DELEGATED, read};

/// A host at the end of its refresh.
pub struct Host {
    directory: PathBuf,
    trusted: Trusted,
    roles: Vec<&'static str>,
    documents: Vec<(String, Vec<u8>)>,
}

impl Host {
    /// Follows the channel in `directory` from this root.
    pub fn follow(directory: &Path, root: &[u8], now: Time) -> Result<Self> {
        let trusted = Trusted::from_root(root)?;
        let mut host = Self { directory: directory.to_owned(), trusted, roles: vec![], documents: vec![] };
        loop {
            let file = host.trusted.next_root_wanted();
            if !directory.join(&file.path).exists() {
                break;
            }
            let bytes = host.read(&file)?;
            let _ = host.trusted.update_root(&bytes)?;
        }
        host.trusted.finish_roots(now)?;
        let bytes = host.read(&FileWanted::timestamp())?;
        let _ = host.trusted.update_timestamp(&bytes, now)?;
        if let Some(file) = host.trusted.snapshot_needed() {
            let bytes = host.read(&file)?;
            host.trusted.update_snapshot(&bytes, now)?;
        }
        host.take("targets", "root", now)?;
        for (role, _) in DELEGATED {
            if host.trusted.targets("targets").is_some_and(|targets| targets.delegation(role).is_some()) {
                host.take(role, "targets", now)?;
            }
        }
        Ok(host)
    }

    fn read(&mut self, file: &FileWanted) -> Result<Vec<u8>> {
        let bytes = read(&self.directory, file)?;
        self.documents.push((file.path.clone(), bytes.clone()));
        Ok(bytes)
    }

    fn take(&mut self, role: &'static str, parent: &str, now: Time) -> Result<()> {
        let file = self.trusted.targets_wanted(role);
        let file = file.with_context(|| format!("the snapshot lists no {role}.json"))?;
        let bytes = self.read(&file)?;
        self.trusted.update_targets(role, parent, &bytes, now)?;
        self.roles.push(role);
        Ok(())
    }

    /// What it trusts.
    pub const fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    /// The documents that it read after its own root, in their order, under their names in the channel.
    pub fn documents(&self) -> &[(String, Vec<u8>)] {
        &self.documents
    }

    /// The targets documents, `targets` first.
    pub fn targets(&self) -> impl Iterator<Item = &Targets> {
        self.roles.iter().filter_map(|role| self.trusted.targets(role)).map(|targets| &**targets)
    }

    /// The target of this path, by the search, so that a role which speaks for what it may not is noticed.
    pub fn find(&self, path: &str) -> Result<VerifiedTarget> {
        match self.trusted.find(path)? {
            Search::Found(target) => Ok(*target),
            _ => bail!("{path} is listed by a role that may not speak for it: hosts will not find it"),
        }
    }

    /// A target's file, which is checked while it is read.
    pub fn open(&self, target: &VerifiedTarget) -> Result<Checked> {
        let path = self.directory.join(url_path(target));
        let file = File::open(&path).with_context(|| format!("read {path:?}"))?;
        let length = file.metadata()?.len();
        if length != target.length() {
            bail!("{path:?} has {length} bytes, where {} are signed for", target.length());
        }
        Ok(Checked { path, file, hash: Sha256::new(), signed: target.hashes().get_sha256() })
    }
}

/// A target's path below the channel.
pub fn url_path(target: &VerifiedTarget) -> String {
    format!("targets/{}", target.url_path())
}

/// A target's file, being read.
pub struct Checked {
    path: PathBuf,
    file: File,
    hash: Sha256,
    signed: Option<Sha256Digest>,
}

impl Checked {
    /// Whether what was read is what was signed for.
    pub fn finish(self) -> Result<()> {
        if self.signed != Some(Sha256Digest::from_bytes(self.hash.finalize().into())) {
            bail!("{:?} is not the file that was signed for", self.path);
        }
        Ok(())
    }
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
