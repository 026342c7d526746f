//! The memory of the fleet's documents on disk: one JSON file, replaced whole.
//!
//! `{"schema_version": 1, "good": …, "trying": …, "refused": …}`, mode 0600, in a directory of root's own. It holds
//! documents whose signatures were verified when they came; the digest of each is checked again when it is read, so
//! that a damaged file is noticed and no half of a document is followed. A file that can't be read is put aside as
//! `settings.json.damaged`, told, and the sensor starts with the host's own settings: it never refuses to start for it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use linnet_fleet::atomic_file::{self, AtomicFileError};
use linnet_settings::Hexadecimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::state::{Document, Memory};

const FILE: &str = "settings.json";
const SCHEMA_VERSION: u32 = 1;
/// Three documents of the longest kind, escaped.
const MAX_BYTES: u64 = 8 << 20;

#[derive(Serialize, Deserialize)]
struct Stored {
    schema_version: u32,
    #[serde(flatten)]
    memory: Memory,
}

/// The file.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    /// The store in `directory`, which is made where it is missing.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn open(directory: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        Ok(Self { path: directory.join(FILE) })
    }

    /// What is remembered in `directory`; nothing where that can't be told. Changes nothing.
    pub fn look(directory: &Path) -> Memory {
        Self { path: directory.join(FILE) }.read().unwrap_or_default()
    }

    /// What is remembered, and what was wrong with the file if it had to be put aside.
    pub fn load(&self) -> (Memory, Option<String>) {
        let problem = match self.read() {
            Ok(memory) => return (memory, None),
            Err(problem) => problem,
        };
        let aside = self.path.with_extension("json.damaged");
        let kept = match fs::rename(&self.path, &aside) {
            Ok(()) => format!("it was put aside as {}", aside.display()),
            Err(error) => format!("it can't be put aside: {error}"),
        };
        let what = "the host's own settings are followed until the channel is read";
        (Memory::default(), Some(format!("{}: {problem}; {kept}; {what}", self.path.display())))
    }

    fn read(&self) -> Result<Memory, String> {
        let file = match fs::File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Memory::default()),
            file => file.map_err(|error| error.to_string())?,
        };
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, MAX_BYTES + 1), &mut bytes)
            .map_err(|error| error.to_string())?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("longer than {MAX_BYTES} bytes"));
        }
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        if stored.schema_version != SCHEMA_VERSION {
            return Err(format!(
                "schema version {}, this agent reads {SCHEMA_VERSION}",
                stored.schema_version
            ));
        }
        let trying = stored.memory.trying.as_ref().map(|trying| &trying.document);
        for document in trying.into_iter().chain(&stored.memory.good) {
            if digest(document.text.as_bytes()) != document.sha256 {
                return Err(format!("document version {} is not of its digest", document.version));
            }
        }
        Ok(stored.memory)
    }

    /// Replaces what is remembered; it survives a power loss when this returns.
    ///
    /// # Errors
    /// What the system says: a full disk, a read-only one.
    pub fn save(&self, memory: &Memory) -> Result<(), AtomicFileError> {
        let stored = Stored { schema_version: SCHEMA_VERSION, memory: memory.clone() };
        // These types always have a form in JSON.
        let json = serde_json::to_vec(&stored).unwrap_or_default();
        atomic_file::write(&self.path, &json, 0o600)
    }
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Hexadecimal(&Sha256::digest(bytes)).to_string()
}

impl Document {
    /// A document of these bytes.
    ///
    /// # Errors
    /// When they are no text.
    pub fn new(version: u64, bytes: &[u8]) -> Result<Self, std::str::Utf8Error> {
        let text = std::str::from_utf8(bytes)?.to_owned();
        Ok(Self { version, sha256: digest(bytes), text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let mut memory =
            Memory { good: Some(Document::new(1, b"{\"version\": 1}").unwrap()), ..Memory::default() };
        memory.put_on_trial(Document::new(2, b"{\"version\": 2}").unwrap());
        memory
    }

    #[test]
    fn what_was_saved_is_loaded_and_nothing_is_no_fault() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("a/b")).unwrap();
        assert_eq!(store.load(), (Memory::default(), None));
        store.save(&memory()).unwrap();
        assert_eq!(store.load(), (memory(), None));
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_told() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.save(&memory()).unwrap();
        let path = directory.path().join("settings.json");
        let whole = fs::read_to_string(&path).unwrap();
        for damage in [
            String::new(),
            whole[..whole.len() / 2].to_owned(),
            whole.replace("\"schema_version\":1", "\"schema_version\":2"),
            whole.replace("version\\\": 1", "version\\\": 7"),
        ] {
            assert_ne!(damage, whole);
            fs::write(&path, &damage).unwrap();
            let (loaded, problem) = store.load();
            assert_eq!(loaded, Memory::default());
            assert!(problem.unwrap().contains("settings.json.damaged"));
            assert_eq!(fs::read_to_string(directory.path().join("settings.json.damaged")).unwrap(), damage);
            assert!(!path.exists());
        }
    }

    #[test]
    fn every_cut_of_the_file_is_survived() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.save(&memory()).unwrap();
        let path = directory.path().join("settings.json");
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(store.load().0, Memory::default(), "{len} bytes");
        }
    }
}
