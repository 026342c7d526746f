//! A path inside a package.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::Refusal;

/// Of a whole path; so no name in it is longer either.
const MAX_BYTES: usize = 255;
const MAX_DEPTH: usize = 16;

/// A path that can only lead downwards: names of letters, digits and `._@+-`, one slash between two of them, none of
/// them `.` or `..`. One file has one spelling, so a duplicate can't hide behind another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackagePath(String);

impl PackagePath {
    /// Checks a path as an archive or a manifest gives it.
    ///
    /// # Errors
    /// [`Refusal::Path`].
    pub fn parse(path: &[u8]) -> Result<Self, Refusal> {
        let refused = |why| Err(Refusal::Path { why });
        if path.is_empty() {
            return refused("is empty");
        }
        if path.len() > MAX_BYTES {
            return refused("is longer than 255 bytes");
        }
        if path.starts_with(b"/") {
            return refused("is absolute");
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._@+-".contains(&b);
        let Some(text) = std::str::from_utf8(path).ok().filter(|_| path.iter().copied().all(plain)) else {
            return refused("has a byte other than letters, digits and ._@+-");
        };
        for name in text.split('/') {
            match name {
                "" => return refused("has an empty name between its slashes"),
                "." | ".." => return refused("has a name of dots"),
                _ => {}
            }
        }
        if text.split('/').count() > MAX_DEPTH {
            return refused("is deeper than 16 names");
        }
        Ok(Self(text.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names from the top down.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The directories above it, the topmost first.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').filter_map(|(at, _)| self.0.get(..at))
    }
}

impl TryFrom<String> for PackagePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(text.as_bytes()).map_err(|refusal| format!("{text:?} {refusal}"))
    }
}

impl From<PackagePath> for String {
    fn from(path: PackagePath) -> Self {
        path.0
    }
}

impl fmt::Display for PackagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
