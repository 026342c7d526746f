//! Walks the catalogue in one root: which files are there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use linnet_plugin::rooted::{Found, Root};
use linnet_plugin::{Stop, Turn};
use rustix::fs::FileType;

use crate::Persistence;
use crate::catalogue::{Category, Look, PLACES};

/// Names in one directory that are looked at; a directory with more is not one of these.
const MAX_NAMES: usize = 4096;
/// Home directories.
const MAX_HOMES: usize = 512;
const MAX_PASSWD_BYTES: u64 = 1 << 20;

/// What is done with each thing.
type Take<'t> = dyn FnMut(&mut Turn<'_, Persistence>, Item) -> Result<(), Stop> + 't;

/// Something that is there.
pub(crate) struct Item {
    pub(crate) category: Category,
    /// As the root's processes name it.
    pub(crate) path: PathBuf,
    /// Links are not followed: that a unit is linked is the persistence.
    pub(crate) found: Found,
}

/// Calls `take` for each thing of the catalogue.
pub(crate) fn each(
    turn: &mut Turn<'_, Persistence>,
    root: &Root,
    mut take: impl FnMut(&mut Turn<'_, Persistence>, Item) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let homes = homes(root);
    for place in PLACES {
        if turn.settings().ignore_categories.iter().any(|name| name == place.category.name) {
            continue;
        }
        let paths: Vec<PathBuf> = match place.path.strip_prefix("~/") {
            Some(rest) => homes.iter().map(|home| home.join(rest)).collect(),
            None => vec![PathBuf::from(place.path)],
        };
        for path in paths {
            turn.pace()?;
            match place.look {
                Look::File => {
                    if let Ok(found) = root.find(&path, false) {
                        offer(turn, place.category, path, found, &mut take)?;
                    }
                }
                Look::Directory => directory(turn, root, place.category, &path, &[], 0, &mut take)?,
                Look::Tree(endings) => directory(turn, root, place.category, &path, endings, 1, &mut take)?,
            }
        }
    }
    Ok(())
}

fn directory(
    turn: &mut Turn<'_, Persistence>,
    root: &Root,
    category: Category,
    path: &Path,
    endings: &[&str],
    levels: u32,
    take: &mut Take<'_>,
) -> Result<(), Stop> {
    // A directory that is a link (/lib to /usr/lib) is told of under its own name.
    let Ok(directory) = root.find(path, levels == 0 && endings.is_empty()) else { return Ok(()) };
    if directory.kind() != FileType::Directory || parent_is_link(root, path) {
        return Ok(());
    }
    let names = directory.names(MAX_NAMES).unwrap_or_default();
    walk(turn, category, path, &directory, &names, endings, levels, take)
}

#[expect(clippy::too_many_arguments, reason = "a recursion over two levels, whose state these are")]
fn walk(
    turn: &mut Turn<'_, Persistence>,
    category: Category,
    path: &Path,
    directory: &Found,
    names: &[std::ffi::OsString],
    endings: &[&str],
    levels: u32,
    take: &mut Take<'_>,
) -> Result<(), Stop> {
    for name in names {
        turn.pace()?;
        let Ok(found) = directory.child(name) else { continue };
        let below = path.join(name);
        if found.kind() == FileType::Directory {
            if levels > 0 {
                let names = found.names(MAX_NAMES).unwrap_or_default();
                walk(turn, category, &below, &found, &names, endings, levels - 1, take)?;
            }
        } else if ends(name, endings) {
            offer(turn, category, below, found, take)?;
        }
    }
    Ok(())
}

fn offer(
    turn: &mut Turn<'_, Persistence>,
    category: Category,
    path: PathBuf,
    found: Found,
    take: &mut Take<'_>,
) -> Result<(), Stop> {
    match found.kind() {
        FileType::RegularFile | FileType::Symlink => take(turn, Item { category, path, found }),
        _ => Ok(()),
    }
}

fn ends(name: &OsStr, endings: &[&str]) -> bool {
    endings.is_empty() || endings.iter().any(|ending| name.as_bytes().ends_with(ending.as_bytes()))
}

/// Whether something above a path is a link, as `/lib` is where it is merged with `/usr/lib`: what lies there is told of
/// under its own name, and not twice.
fn parent_is_link(root: &Root, path: &Path) -> bool {
    path.ancestors()
        .filter(|above| above.parent().is_some())
        .any(|above| root.find(above, false).is_ok_and(|found| found.kind() == FileType::Symlink))
}

/// The home directories of all accounts, once each.
fn homes(root: &Root) -> Vec<PathBuf> {
    let passwd = root.read(Path::new("/etc/passwd"), MAX_PASSWD_BYTES).unwrap_or_default();
    let mut homes: Vec<PathBuf> = passwd
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b':').nth(5))
        // Accounts of services live in / or in directories that are none.
        .filter(|home| home.len() > 1 && home.starts_with(b"/"))
        .map(|home| PathBuf::from(OsStr::from_bytes(home)))
        .chain([PathBuf::from("/root")])
        .collect();
    homes.sort();
    homes.dedup();
    homes.retain(|home| root.find(home, true).is_ok_and(|found| found.kind() == FileType::Directory));
    homes.truncate(MAX_HOMES);
    homes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_come_from_the_root_s_own_accounts() {
        let room = tempfile::tempdir().unwrap();
        for directory in ["etc", "root", "home/a", "srv/b"] {
            std::fs::create_dir_all(room.path().join(directory)).unwrap();
        }
        let passwd = "root:x:0:0::/root:/bin/sh\na:x:1:1::/home/a:/bin/sh\nb:x:2:2::/srv/b:/bin/sh\n\
            c:x:3:3::/nonexistent:/bin/false\nd:x:4:4::/:/bin/false\nbroken\n";
        std::fs::write(room.path().join("etc/passwd"), passwd).unwrap();
        let homes = homes(&Root::open(room.path()).unwrap());
        assert_eq!(homes, [PathBuf::from("/home/a"), PathBuf::from("/root"), PathBuf::from("/srv/b")]);
    }
}
