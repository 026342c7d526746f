//! A directory of this process, in memory where that can be had: decoders that read files get them there.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

thread_local! {
    static PLACE: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

/// The directory. What was put there before is there still.
pub fn directory() -> PathBuf {
    PLACE.with_borrow_mut(|place| {
        let memory = Path::new("/dev/shm");
        // libFuzzer ends the process without a word to anybody: what is to be removed is in TMPDIR, and run removes that.
        let named = std::env::var_os("TMPDIR").is_some() || !memory.is_dir();
        let made = || if named { tempfile::tempdir() } else { tempfile::tempdir_in(memory) };
        place.get_or_insert_with(|| made().unwrap()).path().to_owned()
    })
}

/// A directory in it, made anew.
pub fn empty(name: &str) -> PathBuf {
    let path = directory().join(name);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(&path).unwrap();
    path
}

/// A file in it.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory().join(name);
    fs::write(&path, bytes).unwrap();
    path
}
