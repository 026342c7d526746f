//! rpm's databases: one blob a package, an rpm header ([`header`]), in one of two containers: SQLite, and the Berkeley DB of
//! rpm before 4.16. A third, rpm's own format (ndb), is told as not read.
//!
//! The containers are read by code of our own, not by their libraries. SQLite in write-ahead mode, which rpm uses, wants
//! to write beside the file that it reads, and a plugin may write nothing; opened as immutable it would not see what waits in
//! the log. Berkeley DB is no different. What is needed of each is small: all values of one table.
//!
//! The database may be written to while it is read. It is looked at before and after; what changed in between was no whole
//! reading ([`RpmError::Changed`]), and is read again in the next round.

mod bdb;
mod header;
mod paged;
mod sqlite;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use thiserror::Error;

use crate::Package;
use header::Header;

/// Where databases lie below a root, and how.
const DIRECTORIES: [&str; 3] = ["usr/lib/sysimage/rpm", "var/lib/rpm", "usr/share/rpm"];
const FILES: [(&str, Format); 3] =
    [("rpmdb.sqlite", Format::Sqlite), ("Packages.db", Format::Ndb), ("Packages", Format::Bdb)];
/// Of a header that is looked at: name, version and architecture come first, lists of files may be long.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// Why a database is not read.
#[derive(Debug, Error)]
pub enum RpmError {
    /// The system refused it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not what it should be.
    #[error("{0}")]
    Malformed(&'static str),
    /// A format that is not read.
    #[error("rpm's own format (ndb, as SUSE has it) is not read")]
    Unsupported,
    /// It was written to meanwhile.
    #[error("it was written to while it was read; the next round reads it again")]
    Changed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Sqlite,
    Ndb,
    Bdb,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    path: PathBuf,
    format: Format,
}

impl Database {
    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The databases below `root`; one that is there under two names comes once.
#[must_use]
pub fn databases(root: &Path) -> Vec<Database> {
    let mut found: Vec<Database> = Vec::new();
    for directory in DIRECTORIES {
        let present = FILES.iter().find_map(|(name, format)| {
            let path = fs::canonicalize(root.join(directory).join(name)).ok()?;
            path.is_file().then_some(Database { path, format: *format })
        });
        found.extend(present.filter(|one| !found.contains(one)));
    }
    found
}

/// What tells that a file was written to.
#[derive(Debug, PartialEq, Eq)]
struct State(Vec<Option<(u64, SystemTime)>>);

/// Packages of one database, one after the other.
#[derive(Debug)]
pub struct Packages {
    blobs: Blobs,
    files: Vec<PathBuf>,
    before: State,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Blobs {
    Sqlite(sqlite::Blobs),
    Bdb(bdb::Blobs),
}

impl Packages {
    /// Opens a database.
    ///
    /// # Errors
    /// [`RpmError`].
    pub fn open(database: &Database) -> Result<Self, RpmError> {
        let mut files = vec![database.path.clone()];
        if database.format == Format::Sqlite {
            files.push(sqlite::log_of(&database.path));
        }
        let before = look(&files);
        let blobs = match database.format {
            Format::Sqlite => Blobs::Sqlite(sqlite::Blobs::open(&database.path)?),
            Format::Ndb => return Err(RpmError::Unsupported),
            Format::Bdb => Blobs::Bdb(bdb::Blobs::open(File::open(&database.path)?)?),
        };
        Ok(Self { blobs, files, before, buffer: Vec::new() })
    }

    /// The next installed package.
    ///
    /// # Errors
    /// [`RpmError`]; after one there are no more.
    pub fn next_package(&mut self) -> Result<Option<Package>, RpmError> {
        loop {
            let buffer = &mut self.buffer;
            let found = match &mut self.blobs {
                Blobs::Sqlite(blobs) => blobs.next_blob(buffer, MAX_HEADER_BYTES),
                Blobs::Bdb(blobs) => blobs.next_blob(buffer, MAX_HEADER_BYTES),
            };
            // What a writer does meanwhile looks like damage.
            if !matches!(found, Ok(true)) && look(&self.files) != self.before {
                return Err(RpmError::Changed);
            }
            if !found? {
                return Ok(None);
            }
            let header = Header::parse(&self.buffer).map_err(RpmError::Malformed)?;
            // Keys that were imported are kept as packages that nobody can install.
            if let Some(package) = header.package().filter(|package| package.name != "gpg-pubkey") {
                return Ok(Some(package));
            }
        }
    }
}

fn look(files: &[PathBuf]) -> State {
    let one = |path: &PathBuf| fs::metadata(path).and_then(|found| Ok((found.len(), found.modified()?))).ok();
    State(files.iter().map(one).collect())
}

#[cfg(test)]
#[path = "rpm/tests.rs"]
mod tests;
