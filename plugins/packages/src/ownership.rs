//! Which of some paths belong to a package: the lists of files are read once for all of them, and only what was asked for
//! is remembered.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Where dpkg keeps a list of files for each package, below a root.
const DPKG_INFO: &str = "var/lib/dpkg/info";
/// Longest path that is looked at.
const MAX_LINE_BYTES: u64 = 8192;

/// Directories that are links into `/usr` since the merge; lists may have either name.
const MERGED: [&str; 4] = ["/bin/", "/sbin/", "/lib/", "/lib64/"];

/// Paths that are asked about.
#[derive(Debug, Default)]
pub struct Question {
    wanted: BTreeSet<Vec<u8>>,
    owned: BTreeSet<Vec<u8>>,
}

impl Question {
    /// Asks about a path.
    pub fn ask(&mut self, path: &[u8]) {
        self.wanted.insert(merged(path));
    }

    /// Notes a path of a package.
    pub fn note(&mut self, path: &[u8]) {
        // Most are not asked about: look before making a copy.
        if self.wanted.contains(path) {
            self.owned.insert(path.to_vec());
        } else if MERGED.iter().any(|directory| path.starts_with(directory.as_bytes())) {
            let path = merged(path);
            if self.wanted.contains(&path) {
                self.owned.insert(path);
            }
        }
    }

    /// Whether it is some package's.
    #[must_use]
    pub fn is_owned(&self, path: &[u8]) -> bool {
        self.owned.contains(&merged(path))
    }

    /// Whether there is nothing to look for any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.wanted.len() == self.owned.len()
    }
}

/// A path as it is after the merge of `/bin` and the like into `/usr`.
fn merged(path: &[u8]) -> Vec<u8> {
    if MERGED.iter().any(|directory| path.starts_with(directory.as_bytes())) {
        [b"/usr", path].concat()
    } else {
        path.to_vec()
    }
}

/// The lists of files below a root; none where dpkg is not there.
///
/// # Errors
/// What the system says of the directory, but that it is not there.
pub fn dpkg_lists(root: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(root.join(DPKG_INFO)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let lists = entries.flatten().map(|entry| entry.path());
    Ok(lists.filter(|path| path.extension().is_some_and(|extension| extension == "list")).collect())
}

/// Reads one list.
///
/// # Errors
/// What the system says.
pub fn read_dpkg_list(path: &Path, question: &mut Question) -> io::Result<()> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        match line.strip_suffix(b"\n") {
            Some(path) => question.note(path),
            // What follows on the same line is no path.
            None if line.len() as u64 == MAX_LINE_BYTES => reader.skip_until(b'\n').map(drop)?,
            None => question.note(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_line_that_is_too_long_is_no_path() {
        let list = tempfile::NamedTempFile::new().unwrap();
        let long = "x".repeat(usize::try_from(MAX_LINE_BYTES).unwrap());
        std::fs::write(list.path(), format!("{long}/usr/bin/evil\n/usr/bin/dash")).unwrap();
        let mut question = Question::default();
        question.ask(b"/usr/bin/evil");
        question.ask(b"/usr/bin/dash");
        read_dpkg_list(list.path(), &mut question).unwrap();
        assert!(!question.is_owned(b"/usr/bin/evil") && question.is_owned(b"/usr/bin/dash"));
    }

    #[test]
    fn a_path_is_owned_under_both_names_of_a_merged_directory() {
        let room = tempfile::tempdir().unwrap();
        let info = room.path().join(DPKG_INFO);
        std::fs::create_dir_all(&info).unwrap();
        std::fs::write(info.join("dash.list"), "/.\n/bin\n/bin/dash\n/usr/share/doc/dash\n").unwrap();
        std::fs::write(info.join("dash.md5sums"), "/usr/bin/evil\n").unwrap();
        let mut question = Question::default();
        for path in [&b"/usr/bin/dash"[..], b"/usr/bin/evil", b"/opt/x"] {
            question.ask(path);
        }
        for list in dpkg_lists(room.path()).unwrap() {
            read_dpkg_list(&list, &mut question).unwrap();
        }
        assert!(question.is_owned(b"/usr/bin/dash") && question.is_owned(b"/bin/dash"));
        assert!(!question.is_owned(b"/usr/bin/evil") && !question.is_owned(b"/opt/x"));
        assert!(!question.is_settled());
        assert!(dpkg_lists(Path::new("/nonexistent")).unwrap().is_empty());
    }
}
