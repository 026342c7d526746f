//! A bundle: one plain tar with what one installation needs of a channel, for hosts without network.
//!
//! ```text
//! linnet-bundle.json              which releases and plugins it carries; first
//! 1.root.json 2.root.json …       all roots, so that a host with any of them comes to the newest
//! timestamp.json 7.snapshot.json 5.targets.json 3.config.json …
//! targets/release/<digest>/linnet-0.2.0-x86_64.tar.gz
//! ```
//!
//! What holds:
//!
//! 1. A bundle is a way to carry files and nothing else. Whoever reads one takes each file through the same checks as
//!    from a web server; what the head says is a wish, and the signed documents decide.
//! 2. It is never unpacked. The headers are read once, by the rules of [`crate::package`] (plain ustar, regular files,
//!    paths that only lead downwards, none twice, nothing behind the end), and the files are read where they lie.
//! 3. The number of entries and the length of the head have caps; a length that a header states is believed only as far
//!    as the file goes.

mod read;
mod write;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::package::{PackagePath, Refusal};

pub use read::{Bundle, EntryReader};
pub use write::BundleWriter;

/// The first entry.
pub const HEAD_NAME: &str = "linnet-bundle.json";
const SCHEMA_VERSION: u32 = 1;
const MAX_HEAD_BYTES: u64 = 64 << 10;
/// Roots of a long life, a few documents, and packages for some architectures.
const MAX_ENTRIES: usize = 1024;

/// What a bundle says that it carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleHead {
    schema_version: u32,
    /// Paths of targets: one release, for each architecture that it was made for.
    pub releases: Vec<String>,
    /// Paths of targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<String>,
}

impl BundleHead {
    /// Of a bundle that carries these.
    #[must_use]
    pub fn new(releases: Vec<String>, plugins: Vec<String>) -> Self {
        Self { schema_version: SCHEMA_VERSION, releases, plugins }
    }
}

/// Why a file is not taken as a bundle.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It is something else.
    #[error(
        "{path:?} is no bundle: `linnet-keys bundle` makes one; a channel is given by its url or its directory"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Of a later form.
    #[error("{path:?} is a bundle of form {version}, this program knows {SCHEMA_VERSION}: use a newer one")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its form.
        version: u32,
    },
    /// Cut, changed, or made by another hand.
    #[error("{path:?}: entry {number} ({name:?}) {refusal}: the bundle is damaged, copy it anew")]
    Entry {
        /// The file.
        path: PathBuf,
        /// Which entry, from 1.
        number: usize,
        /// Its name as far as it is known.
        name: String,
        /// What is wrong.
        refusal: Refusal,
    },
    /// The same, outside of its entries.
    #[error("{path:?} {refusal}: the bundle is damaged, copy it anew")]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        refusal: Refusal,
    },
    /// The head is of no use.
    #[error("{path:?}: {HEAD_NAME}: {message}")]
    Head {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// More than is taken.
    #[error("{path:?} has more than {MAX_ENTRIES} entries")]
    TooMany {
        /// The file.
        path: PathBuf,
    },
    /// The system refused a step.
    #[error("{step} {path:?}: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The entry for a file of the channel, by its path below the channel's url. A target's digest becomes a directory:
/// with its name in one piece it would not fit a tar header.
fn entry_path(path: &str) -> Result<PackagePath, Refusal> {
    const DIGEST_LEN: usize = 64;
    let split = || {
        let (directory, name) = path.strip_prefix("targets/")?.rsplit_once('/')?;
        let (digest, name) = name.split_at_checked(DIGEST_LEN)?;
        let name = name.strip_prefix('.')?;
        let is_digest = digest.bytes().all(|b| b.is_ascii_hexdigit());
        is_digest.then(|| format!("targets/{directory}/{digest}/{name}"))
    };
    PackagePath::parse(split().as_deref().unwrap_or(path).as_bytes())
}

#[cfg(test)]
mod tests;
