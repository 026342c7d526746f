//! What can go wrong in the workload and in its verification.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A failure of the workload, of reading what a sensor wrote, or of understanding it.
#[derive(Debug, Error)]
pub enum Error {
    /// A file operation failed.
    #[error("{action} {}: {source}", .path.display())]
    File {
        /// What was tried, as a verb: `read`, `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A storm's name has characters that could be confused with what stands around a token.
    #[error("storm name {0:?}: use 1 to 32 of the characters a-z and 0-9")]
    StormName(String),
    /// A storm without workers or without execs.
    #[error(
        "a storm needs at least one worker and one exec for each, not {workers} workers and {execs} execs"
    )]
    EmptyStorm {
        /// Workers asked for.
        workers: u32,
        /// Execs asked for.
        execs: u32,
    },
    /// A worker did not start, broke off, or reported failed execs.
    #[error("storm worker {worker}: {reason}")]
    Worker {
        /// Its number, from 0.
        worker: u32,
        /// What happened.
        reason: String,
    },
    /// A line that should be one JSON object is none.
    #[error("{}, line {line}: {source}", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Where the parser stopped.
        source: serde_json::Error,
    },
    /// A document lacks what the verification needs.
    #[error("{}: no {field}", .path.display())]
    Field {
        /// The document.
        path: PathBuf,
        /// What is missing, as a path of keys.
        field: &'static str,
    },
}

impl Error {
    /// Gives the error of a file operation its path.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { action, path, source }
    }
}
