//! A channel as it stands on disk, read through the same workflow that hosts use, save that nothing expires here: an
//! expired channel is what a publisher is there to mend.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::Timestamp as Time;
use linnet_fleet::lock::Lock;
use linnet_keys::metadata::{Root, Targets};
use linnet_keys::trusted::{FileWanted, Trusted};
use linnet_keys::{ErrorClass, Sha256Digest};

/// The roles that `targets` delegates to, with the directory that each speaks for.
pub const DELEGATED: [(&str, &str); 2] = [("config", "config"), ("plugins", "plugin")];

/// A channel on disk, verified.
pub struct Channel {
    directory: PathBuf,
    trusted: Trusted,
    first_root: Sha256Digest,
    newest_root: Trusted,
}

impl Channel {
    /// Reads and verifies the channel in `directory`, from its first root to the last delegated document.
    pub fn load(directory: &Path) -> Result<Self> {
        let roots = roots(directory)?;
        let Some((_, first)) = roots.first() else {
            bail!("{directory:?} holds no channel (no 1.root.json): make one by `linnet-keys init`");
        };
        let first_root = Sha256Digest::of(first);
        let mut chain = vec![Trusted::from_root(first).with_context(|| format!("{directory:?}"))?];
        for (version, bytes) in roots.iter().skip(1) {
            let mut next = chain.last().cloned().context("no root")?;
            let _ = next.update_root(bytes).with_context(|| format!("{directory:?}: {version}.root.json"))?;
            chain.push(next);
        }
        let newest_root = chain.last().cloned().context("no root")?;
        // A rotation that was killed in between, without the old keys, leaves documents of the former root.
        let mut result = None;
        for trusted in chain.into_iter().rev() {
            match Self::walk(directory, trusted) {
                Err(error) if is_signature(&error) => {
                    result.get_or_insert(Err(error));
                }
                other => {
                    result = Some(other);
                    break;
                }
            }
        }
        let trusted = result.context("no root")??;
        Ok(Self { directory: directory.to_owned(), trusted, first_root, newest_root })
    }

    fn walk(directory: &Path, mut trusted: Trusted) -> Result<Trusted> {
        let now = Time::MIN;
        let take = |file: &FileWanted| read(directory, file);
        trusted.finish_roots(now)?;
        let _ = trusted.update_timestamp(&take(&FileWanted::timestamp())?, now)?;
        if let Some(file) = trusted.snapshot_needed() {
            trusted.update_snapshot(&take(&file)?, now)?;
        }
        for (role, parent) in
            [("targets", "root")].into_iter().chain(DELEGATED.map(|(role, _)| (role, "targets")))
        {
            if let Some(file) = trusted.targets_wanted(role) {
                trusted.update_targets(role, parent, &take(&file)?, now)?;
            }
        }
        Ok(trusted)
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What hosts trust.
    pub fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    /// The newest root.
    pub fn root(&self) -> &Root {
        self.newest_root.root()
    }

    /// A host that holds only the newest root.
    pub fn host(&self) -> Trusted {
        self.newest_root.clone()
    }

    /// The digest of the first root, by which a channel is told from another.
    pub fn first_root(&self) -> Sha256Digest {
        self.first_root
    }

    /// The content of a targets role.
    pub fn targets(&self, role: &str) -> Result<&Targets> {
        Ok(self.trusted.targets(role).with_context(|| format!("{:?} has no role {role}", self.directory))?)
    }

    /// The version of a role's document, 0 where there is none.
    pub fn version(&self, role: &str) -> u64 {
        let trusted = &self.trusted;
        match role {
            "root" => self.root().common.version.get(),
            "timestamp" => trusted.timestamp().map_or(0, |document| document.common.version.get()),
            "snapshot" => trusted.snapshot().map_or(0, |document| document.common.version.get()),
            role => trusted.targets(role).map_or(0, |document| document.common.version.get()),
        }
    }

    /// When a role's document expires.
    pub fn expires(&self, role: &str) -> Result<Time> {
        Ok(match role {
            "root" => self.root().common.expires,
            "timestamp" => self.trusted.timestamp().context("no timestamp")?.common.expires,
            "snapshot" => self.trusted.snapshot().context("no snapshot")?.common.expires,
            role => self.targets(role)?.common.expires,
        })
    }

    /// Every role that has a document.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let order = ["root", "targets", "config", "plugins", "snapshot", "timestamp"];
        order.into_iter().filter(|role| self.version(role) > 0)
    }
}

/// One publisher at a time.
pub fn lock(directory: &Path) -> Result<Lock> {
    Lock::acquire(&directory.join(".linnet-keys.lock")).with_context(|| format!("publish into {directory:?}"))
}

/// All roots from the first, in order.
pub fn roots(directory: &Path) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut roots = Vec::new();
    for version in 1.. {
        let path = directory.join(format!("{version}.root.json"));
        match fs::exists(&path) {
            Ok(true) => roots.push((version, read_capped(&path, linnet_keys::trusted::MAX_ROOT_BYTES)?)),
            Ok(false) => break,
            Err(error) => return Err(error).with_context(|| format!("look for {path:?}")),
        }
    }
    Ok(roots)
}

/// A file of the channel.
pub fn read(directory: &Path, file: &FileWanted) -> Result<Vec<u8>> {
    read_capped(&directory.join(&file.path), file.max_bytes)
}

/// A file, refused when it is longer than this.
pub fn read_capped(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes))
        .with_context(|| format!("read {path:?}"))?;
    if u64::try_from(bytes.len())? > max_bytes {
        bail!("{path:?} is longer than {max_bytes} bytes");
    }
    Ok(bytes)
}

fn is_signature(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<linnet_keys::TrustError>()
        .is_some_and(|error| error.class() == ErrorClass::Signature)
}
