//! What the agent keeps for a plugin between two starts: one small file, replaced whole.
//!
//! `<directory>/<name>.json`: `{"version":1,"state":…}`. A plugin may say its state as often as it likes; it is written
//! at most every [`INTERVAL`], and when the plugin ends.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use linnet_fleet::atomic_file;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::MAX_LINE_BYTES;

const VERSION: u32 = 1;
/// Between two writes.
const INTERVAL: Duration = Duration::from_secs(10);

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    state: Value,
}

/// The state of one plugin.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    value: Value,
    /// What the file does not have yet.
    dirty: bool,
    written_at: Option<Instant>,
}

impl State {
    /// What was kept; `Null` where there is nothing, or nothing readable.
    pub(crate) fn load(directory: &Path, name: &str) -> Self {
        let path = directory.join(format!("{name}.json"));
        let mut bytes = Vec::new();
        let limit = 2 * MAX_LINE_BYTES as u64;
        let read = fs::File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        let value = match read {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Value::Null,
            Err(error) => {
                log::warn!("{}: {error}: {name} starts without what it knew", path.display());
                Value::Null
            }
            Ok(_) => match serde_json::from_slice::<Document>(&bytes) {
                Ok(document) if document.version == VERSION => document.state,
                _ => {
                    log::warn!("{}: not understood: {name} starts without what it knew", path.display());
                    Value::Null
                }
            },
        };
        Self { path, value, dirty: false, written_at: None }
    }

    /// For the plugin's first line.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// Remembers what it said.
    pub(crate) fn set(&mut self, value: Value) {
        self.dirty |= value != self.value;
        self.value = value;
    }

    /// When it is to be written, if there is something to write.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        self.dirty.then(|| self.written_at.map_or(now, |at| at + INTERVAL))
    }

    /// Writes what the file does not have yet.
    pub(crate) fn write(&mut self, now: Instant) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        self.written_at = Some(now);
        let Ok(bytes) = serde_json::to_vec(&Document { version: VERSION, state: self.value.clone() }) else {
            return;
        };
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let made = make_directory(directory).map_err(|error| error.to_string());
        let written = made
            .and_then(|()| atomic_file::write(&self.path, &bytes, 0o600).map_err(|error| error.to_string()));
        if let Err(error) = written {
            log::warn!("state of a plugin: {error}");
        }
    }
}

/// Makes the directory of all states; other users may pass, as a plugin has its own below.
pub(crate) fn make_directory(directory: &Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o711))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_said_is_given_back_and_garbage_is_forgotten() {
        let room = tempfile::tempdir().unwrap();
        let directory = room.path().join("plugins");
        let now = Instant::now();
        let mut state = State::load(&directory, "a");
        assert_eq!((state.value(), state.due(now)), (&Value::Null, None));
        state.set(json!({"seen": 3}));
        assert_eq!(state.due(now), Some(now));
        state.write(now);
        assert_eq!(State::load(&directory, "a").value(), &json!({"seen": 3}));
        state.set(json!({"seen": 3}));
        assert_eq!(state.due(now), None);
        state.set(json!({"seen": 4}));
        assert_eq!(state.due(now), Some(now + INTERVAL));
        fs::write(directory.join("a.json"), "{\"version\":1,\"sta").unwrap();
        assert_eq!(State::load(&directory, "a").value(), &Value::Null);
    }
}
