//! Reading a small file with a bound, so that no file can make a reader swallow memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The content of `path`, or `None` where it is longer than `max_bytes`.
///
/// # Errors
/// What the system says when it can't be opened or read.
pub fn read(path: &Path, max_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut content)?;
    Ok((content.len() <= max_bytes).then_some(content))
}

/// The content as text, with `None` for a file that is missing, unreadable, too long or not UTF-8.
pub(crate) fn text(path: &Path, max_bytes: usize) -> Option<String> {
    String::from_utf8(read(path, max_bytes).ok()??).ok()
}
