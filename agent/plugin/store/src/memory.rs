//! What is remembered of the channel's plugins over a restart: `memory.json`, replaced whole. A file that cannot be read
//! is told and put aside; the plugins are then fetched again, and those that are whole on the disk begin a new trial.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use linnet_fleet::atomic_file;
use serde::{Deserialize, Serialize};

use crate::choice::Memory;

const SCHEMA_VERSION: u32 = 1;
const MAX_BYTES: u64 = 4 << 20;

#[derive(Serialize, Deserialize)]
struct Document {
    schema_version: u32,
    plugins: BTreeMap<String, Memory>,
}

/// The file.
#[derive(Debug)]
pub(crate) struct MemoryFile {
    path: PathBuf,
}

impl MemoryFile {
    pub(crate) fn new(top: &Path) -> Self {
        Self { path: top.join("memory.json") }
    }

    pub(crate) fn load(&self) -> BTreeMap<String, Memory> {
        match self.read() {
            Ok(plugins) => plugins,
            Err(why) => {
                let aside = self.path.with_extension("json.damaged");
                log::error!("{}: {why}; it is put aside as {}", self.path.display(), aside.display());
                if let Err(error) = fs::rename(&self.path, &aside) {
                    log::error!("{}: {error}", self.path.display());
                }
                BTreeMap::new()
            }
        }
    }

    fn read(&self) -> Result<BTreeMap<String, Memory>, String> {
        let file = match fs::File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            file => file.map_err(|error| error.to_string())?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        let document: Document = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        if document.schema_version != SCHEMA_VERSION {
            return Err(format!("schema version {}, {SCHEMA_VERSION} is read here", document.schema_version));
        }
        Ok(document.plugins)
    }

    /// Replaces the file; it survives a power loss when this returns.
    pub(crate) fn save(&self, plugins: &BTreeMap<String, Memory>) -> Result<(), String> {
        let document = Document { schema_version: SCHEMA_VERSION, plugins: plugins.clone() };
        let json = serde_json::to_vec(&document).map_err(|error| error.to_string())?;
        atomic_file::write(&self.path, &json, 0o600).map_err(|error| error.to_string())
    }

    /// Nothing is left to be remembered.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}
