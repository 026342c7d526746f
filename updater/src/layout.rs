//! Where everything is. All paths come from here, and all of them can be put below another root.

use std::path::{Path, PathBuf};

/// The updater's files.
#[derive(Clone, Debug)]
pub struct Layout {
    /// `/opt/linnet`: releases and links.
    pub base: PathBuf,
    /// `/var/lib/linnet/updater`: state, metadata, downloads.
    pub state_dir: PathBuf,
    /// `/run/linnet`: lock and health document.
    pub runtime_dir: PathBuf,
    /// `/etc/systemd/system`: where units are copied to.
    pub unit_dir: PathBuf,
    /// `/usr/bin`: where the commands are linked.
    pub bin_dir: PathBuf,
}

impl Layout {
    /// The releases' directory.
    #[must_use]
    pub fn releases(&self) -> PathBuf {
        self.base.join("releases")
    }

    /// Directory of one release, by its name.
    #[must_use]
    pub fn release(&self, dir_name: &str) -> PathBuf {
        self.releases().join(dir_name)
    }

    /// What a link of [`Link`] is called.
    #[must_use]
    pub fn link(&self, link: Link) -> PathBuf {
        self.base.join(link.name())
    }

    /// The persisted state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.state_dir.join("state.json")
    }

    /// What happened, a line each.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        self.state_dir.join("history.ndjson")
    }

    /// The operator's word: disabled, pinned.
    #[must_use]
    pub fn hold(&self) -> PathBuf {
        self.state_dir.join("hold.json")
    }

    /// Says that a dead-man is armed.
    #[must_use]
    pub fn armed(&self) -> PathBuf {
        self.state_dir.join("armed.json")
    }

    /// The channel's trusted metadata.
    #[must_use]
    pub fn metadata(&self) -> PathBuf {
        self.state_dir.join("metadata")
    }

    /// Packages under way.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.state_dir.join("download")
    }

    /// Held by the one updater that changes anything.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.runtime_dir.join("updater.lock")
    }

    /// What the agent says about itself.
    #[must_use]
    pub fn health(&self) -> PathBuf {
        self.runtime_dir.join("health.json")
    }

    /// The same files below another root.
    #[must_use]
    pub fn below(self, root: &Path) -> Self {
        Self {
            base: below(root, &self.base),
            state_dir: below(root, &self.state_dir),
            runtime_dir: below(root, &self.runtime_dir),
            unit_dir: below(root, &self.unit_dir),
            bin_dir: below(root, &self.bin_dir),
        }
    }
}

/// `path` with `root` in front of it.
#[must_use]
pub fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// A link to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The release whose agent runs.
    Current,
    /// The release before it, for a rollback by hand.
    Previous,
    /// The last release that proved itself: the updater that is started is always this one's, so that a release in
    /// probation never watches over itself.
    Committed,
}

impl Link {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Current, Self::Previous, Self::Committed];

    /// Its name below the base directory.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Committed => "committed",
        }
    }
}
