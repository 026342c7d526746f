//! Following an output file through its rotations.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use anyhow::Context;

use crate::sink::Sink;

/// How often the file is looked at; a terminal's reader does not see the difference.
const PAUSE: Duration = Duration::from_millis(200);
/// Read at once.
const CHUNK: usize = 64 * 1024;

/// Hands whole lines that are appended from now on to `view`, until nobody reads it any more.
pub fn follow(path: &Path, view: &mut dyn Sink) -> anyhow::Result<()> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    file.seek(SeekFrom::End(0))?;
    let mut pending = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk)?;
        pending.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if let Some(end) = pending.iter().rposition(|&byte| byte == b'\n') {
            let rest = pending.split_off(end + 1);
            if view.write(&pending, &[]).is_err() {
                return Ok(());
            }
            pending = rest;
        }
        if read == 0 {
            // Only a file that has been read to its end is left for the one that took its name.
            if is_replaced(&file, path) {
                file = File::open(path).with_context(|| path.display().to_string())?;
                pending.clear();
            } else {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn is_replaced(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(named)) => (ours.dev(), ours.ino()) != (named.dev(), named.ino()),
        _ => false,
    }
}
