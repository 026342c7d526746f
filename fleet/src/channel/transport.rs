//! The door to a channel's files: by HTTP, or from a directory.

use std::fmt;
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::error::ChannelError;

/// Fetches files of a channel. An implementation keeps the limits on time; the caller keeps those on bytes.
pub trait Transport: fmt::Debug + Send {
    /// Asks for a file. `path` is below the channel's url and percent-encoded.
    ///
    /// # Errors
    /// [`ChannelError`]; that the file is not there is no error, but [`Reply::Absent`].
    fn get(&self, get: &Get<'_>) -> Result<Reply, ChannelError>;

    /// The address of a path, for messages.
    fn url(&self, path: &str) -> String;
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Get<'a> {
    /// The path below the channel's url, percent-encoded.
    pub path: &'a str,
    /// Whatever the server says, no more is wanted. A longer length that it announces is refused at once.
    pub max_bytes: u64,
    /// Nothing, if the file is still the one with these.
    pub unless: Option<&'a Validators>,
    /// From this byte on, if the file is still the one with these.
    pub from: Option<(u64, &'a Validators)>,
}

impl<'a> Get<'a> {
    /// The whole file, of at most so many bytes.
    #[must_use]
    pub fn whole(path: &'a str, max_bytes: u64) -> Self {
        Self { path, max_bytes, unless: None, from: None }
    }
}

/// What came.
#[derive(Debug)]
pub enum Reply {
    /// The file, or its end.
    Found(Body),
    /// It still is the one that the validators are of. Only when `unless` asked.
    NotModified,
    /// The channel has no such file.
    Absent,
}

/// A file on its way.
pub struct Body {
    /// The bytes, unbounded but for what the transport itself keeps.
    pub reader: Box<dyn Read + Send>,
    /// The first byte's place in the file: that of `from`, or 0 where the server gave the whole.
    pub start: u64,
    /// What tells this state of the file from others, as the server says.
    pub validators: Validators,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("start", &self.start).finish_non_exhaustive()
    }
}

/// What tells one state of a file from another (RFC 9110, section 8.8). It saves traffic; nothing is believed of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified`, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

impl Validators {
    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// The one for `If-Range`, which a weak tag may not be.
    #[must_use]
    pub fn for_range(&self) -> Option<&str> {
        self.etag.as_deref().filter(|tag| !tag.starts_with("W/")).or(self.last_modified.as_deref())
    }
}
