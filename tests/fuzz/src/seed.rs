//! Whether the good inputs are good: a decoder that refuses all that it is given, since the format has changed or the target is wrong,
//! is fuzzed no deeper than its first check, and nothing would say so.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Noted by a target when its decoder has taken an input.
pub fn taken() {
    TAKEN.store(true, Ordering::Relaxed);
}

/// Runs each file of a directory. Those whose names begin with `bad` are refused, the others are taken; the exit code says whether.
pub fn check(directory: &Path, target: fn(&[u8])) -> i32 {
    let mut wrong = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        TAKEN.store(false, Ordering::Relaxed);
        target(&fs::read(&path).unwrap());
        let is_good = !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("bad"));
        let is_taken = TAKEN.load(Ordering::Relaxed);
        if is_taken != is_good {
            eprintln!("{}: {}", path.display(), if is_good { "refused" } else { "taken" });
            wrong = 1;
        }
    }
    wrong
}
