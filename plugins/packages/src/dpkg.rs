//! dpkg's status file: paragraphs of `Field: value` lines (deb822(5)).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::Package;

/// Where it lies below a root.
pub const STATUS: &str = "var/lib/dpkg/status";
/// One file a package instead, in images without dpkg itself.
pub const STATUS_D: &str = "var/lib/dpkg/status.d";
/// Longest line that is looked at; descriptions are longer and of no interest.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// The files that list packages below `root`.
#[must_use]
pub fn databases(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.join(STATUS)];
    if let Ok(directory) = std::fs::read_dir(root.join(STATUS_D)) {
        let files = directory.flatten().map(|entry| entry.path());
        found.extend(files.filter(|path| path.extension().is_none_or(|extension| extension != "md5sums")));
    }
    found.retain(|path| path.is_file());
    found
}

/// Packages of one file, one after the other.
#[derive(Debug)]
pub struct Packages {
    reader: BufReader<File>,
    /// Files of `status.d` say no status: what is there is installed.
    is_installed_by_default: bool,
}

impl Packages {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let by_default = path.parent().is_some_and(|parent| parent.ends_with("status.d"));
        Ok(Self { reader: BufReader::new(File::open(path)?), is_installed_by_default: by_default })
    }

    /// The next installed package.
    ///
    /// # Errors
    /// What the system says.
    pub fn next_package(&mut self) -> io::Result<Option<Package>> {
        loop {
            let Some(paragraph) = self.paragraph()? else { return Ok(None) };
            if paragraph.installed.unwrap_or(self.is_installed_by_default)
                && !paragraph.package.name.is_empty()
            {
                return Ok(Some(paragraph.package));
            }
        }
    }

    fn paragraph(&mut self) -> io::Result<Option<Paragraph>> {
        let mut paragraph = Paragraph::default();
        let mut any = false;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut self.reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') && read as u64 == MAX_LINE_BYTES {
                self.reader.skip_until(b'\n')?;
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            if read == 0 || text.is_empty() {
                if any || read == 0 {
                    return Ok(any.then_some(paragraph));
                }
                continue;
            }
            any = true;
            paragraph.take(text);
        }
    }
}

#[derive(Default)]
struct Paragraph {
    package: Package,
    installed: Option<bool>,
}

impl Paragraph {
    fn take(&mut self, line: &[u8]) {
        self.package.manager = "dpkg";
        // A line that begins with a space goes on with the field before, and none of ours has such.
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = line.split_at(colon);
        let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default()).trim().to_owned();
        match name {
            b"Package" => self.package.name = value,
            b"Version" => self.package.version = value,
            b"Architecture" => self.package.architecture = value,
            b"Maintainer" => self.package.vendor = Some(value),
            // With the version in brackets where it differs.
            b"Source" => self.package.source = value.split(' ').next().map(str::to_owned),
            // Wanted, error flag, state: only the state says what is there.
            b"Status" => {
                let state = value.split(' ').nth(2).unwrap_or_default();
                self.installed = Some(!matches!(state, "" | "not-installed" | "config-files"));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, name: &str) -> Vec<Package> {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let mut packages = Packages::open(&path).unwrap();
        std::iter::from_fn(|| packages.next_package().unwrap()).collect()
    }

    const STATUS: &str = "Package: dash\nStatus: install ok installed\nMaintainer: A <a@b>\nArchitecture: amd64\n\
        Version: 0.5.12-12\nDescription: shell\n a long\n Version: of it\n\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
        Package: half\nStatus: install reinstreq half-configured\nSource: whole (2)\nVersion: 1:2-3\nArchitecture: all";

    #[test]
    fn installed_packages_are_found_and_removed_ones_are_not() {
        let found = all(STATUS, "status");
        let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.version.as_str())).collect();
        assert_eq!(names, [("dash", "0.5.12-12"), ("half", "1:2-3")]);
        assert_eq!(found[0].vendor.as_deref(), Some("A <a@b>"));
        assert_eq!(found[1].source.as_deref(), Some("whole"));
        assert_eq!(found[0].key(), "dpkg:dash:amd64");
    }

    #[test]
    fn files_of_images_need_no_status() {
        let text = "Package: base-files\nVersion: 13\nArchitecture: amd64\n";
        assert_eq!(all(text, "status.d/base").len(), 1);
        assert_eq!(all(text, "status").len(), 0);
    }

    #[test]
    fn an_endless_line_is_passed_over() {
        let text =
            format!("Package: a\nStatus: install ok installed\nX: {}\nVersion: 7\n", "y".repeat(3_000_000));
        assert_eq!(all(&text, "status").first().map(|one| one.version.clone()).as_deref(), Some("7"));
    }
}
