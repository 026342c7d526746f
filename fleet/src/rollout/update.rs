//! The types of `update` in `config/fleet.json`, and the rules that types can't express.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::bucket::Permille;
use super::window::Window;

/// Releases are targets below this path; only the offline keys of the top-level targets role sign there.
const RELEASES: &str = "release/";
const MAX_WAVES: usize = 64;
const MAX_SALT_BYTES: usize = 128;
const MAX_PATH_BYTES: usize = 255;

/// Which release whom to give when. Unknown keys are refused: a misspelt `halt` must not be taken for none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The wanted release; without it the fleet stays as it is.
    pub release: Option<Release>,
    /// Stops all hosts where they are.
    #[serde(default)]
    pub halt: bool,
    /// Draws which hosts are first. Left alone, the same hosts are first each time.
    #[serde(default)]
    pub salt: String,
    /// Who may have it from when; none means everybody at once.
    #[serde(default)]
    pub waves: Vec<Wave>,
    /// The hours in which hosts may change; none means any.
    pub window: Option<Window>,
}

/// A target path for every architecture, or one for each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "give a target path, or a map from architecture to target path")]
pub enum Release {
    /// The same for all. The signed release still names its architecture.
    Any(String),
    /// By architecture, as `uname -m` says it.
    ByArch(BTreeMap<String, String>),
}

impl Release {
    /// The target path for an architecture.
    #[must_use]
    pub fn for_arch(&self, arch: &str) -> Option<&str> {
        match self {
            Self::Any(path) => Some(path),
            Self::ByArch(paths) => paths.get(arch).map(String::as_str),
        }
    }
}

/// From `at` on, this share of the fleet may have the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// When the wave begins.
    pub at: Timestamp,
    /// The whole share from then on, earlier waves included.
    pub permille: Permille,
}

impl Update {
    /// The rules that types can't express; the error is the key below `update` and what is wrong with it.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let refused = |key: &str, message: String| Err((key.to_owned(), message));
        match &self.release {
            None => {}
            Some(Release::Any(path)) => check_path("release", path)?,
            Some(Release::ByArch(paths)) => {
                for (arch, path) in paths {
                    check_path(&format!("release.{arch}"), path)?;
                }
            }
        }
        if self.salt.len() > MAX_SALT_BYTES {
            return refused("salt", format!("is longer than {MAX_SALT_BYTES} bytes"));
        }
        check_waves(&self.waves)?;
        self.window.as_ref().map_or(Ok(()), Window::check)
    }
}

/// Waves follow each other, and their shares never fall.
pub(super) fn check_waves(waves: &[Wave]) -> Result<(), (String, String)> {
    let refused = |key: &str, message: String| Err((key.to_owned(), message));
    if waves.len() > MAX_WAVES {
        return refused("waves", format!("are more than {MAX_WAVES}"));
    }
    for (number, (earlier, later)) in waves.iter().zip(waves.iter().skip(1)).enumerate() {
        if later.at <= earlier.at {
            let message = format!("{} is not after the wave before it ({})", later.at, earlier.at);
            return refused(&format!("waves[{}].at", number + 1), message);
        }
        if later.permille < earlier.permille {
            let message = format!("falls from {} to {}: use halt to stop", earlier.permille, later.permille);
            return refused(&format!("waves[{}].permille", number + 1), message);
        }
    }
    Ok(())
}

fn check_path(key: &str, path: &str) -> Result<(), (String, String)> {
    let refused = |message: String| Err((key.to_owned(), message));
    if !path.starts_with(RELEASES) {
        return refused(format!("{path:?} is not below {RELEASES:?}"));
    }
    if path.len() > MAX_PATH_BYTES {
        return refused(format!("is longer than {MAX_PATH_BYTES} bytes"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._+-".contains(&b);
    if !path.bytes().all(plain) || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refused(format!("{path:?} is not a target path: letters, digits and ._+- between slashes"));
    }
    Ok(())
}
