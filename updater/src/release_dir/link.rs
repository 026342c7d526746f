//! The links that lead to releases. One rename is the whole switch.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::disk::{DiskError, refused, remove_file, sync_directory};
use crate::kill_point;
use crate::layout::{Layout, Link};

const RELEASES: &str = "releases";

/// The name of the release that a link leads to, whether or not it is there; none where there is no link.
#[must_use]
pub fn read(layout: &Layout, link: Link) -> Option<String> {
    let target = fs::read_link(layout.link(link)).ok()?;
    let name = target.strip_prefix(RELEASES).ok()?.to_str()?;
    (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
}

/// Lets a link lead to a release. Whoever follows it meanwhile finds the old one or the new. When this returns, the
/// change survives a power loss.
///
/// # Errors
/// [`DiskError`]; the link then leads where it led before, unless only the last sync failed.
pub fn switch(layout: &Layout, link: Link, dir_name: &str) -> Result<(), DiskError> {
    let target = Path::new(RELEASES).join(dir_name);
    let path = layout.link(link);
    if fs::read_link(&path).is_ok_and(|led| led == target) {
        // A crash may have come between the rename and its sync.
        return sync_directory(&layout.base);
    }
    let temporary = layout.base.join(format!(".{}.tmp", link.name()));
    remove_file(&temporary)?;
    symlink(&target, &temporary).map_err(refused("link", &temporary))?;
    sync_directory(&layout.base)?;
    kill_point::reach(match link {
        Link::Current => "before-switch-current",
        Link::Previous => "before-switch-previous",
        Link::Committed => "before-switch-committed",
    });
    fs::rename(&temporary, &path).map_err(refused("switch", &path))?;
    kill_point::reach(match link {
        Link::Current => "after-switch-current",
        Link::Previous => "after-switch-previous",
        Link::Committed => "after-switch-committed",
    });
    sync_directory(&layout.base)
}

/// Removes a link.
///
/// # Errors
/// [`DiskError`].
pub fn remove(layout: &Layout, link: Link) -> Result<(), DiskError> {
    if remove_file(&layout.link(link))? { sync_directory(&layout.base) } else { Ok(()) }
}
