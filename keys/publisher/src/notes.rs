//! What is new in a package, in the publisher's words.

use anyhow::{Result, anyhow};

use crate::{channel, cli::Notes};

/// Every host downloads the document that holds them.
const MAX_BYTES: u64 = 16 << 10;

/// The text, as it was typed or from its file.
pub fn read(notes: Notes) -> Result<String> {
    let Some(path) = notes.notes_file else { return Ok(notes.notes) };
    let bytes = channel::read_capped(&path, MAX_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| anyhow!("{path:?} is not UTF-8"))?;
    Ok(text.trim_end().to_owned())
}
