//! Which version of a plugin is to run: decided here, purely.
//!
//! 1. A version that is not named by the settings is the newest that the channel offers and that was not refused here.
//!    Without a name nothing goes back to an older version, unless the one that runs was revoked.
//! 2. A version that is new here is on trial first. `trying` is stored before it is started; the last good version
//!    stays beside it.
//! 3. A version whose trial failed is refused as long as the plugin has the settings that it failed with: they may be
//!    at fault. One whose package is not what a host unpacks is refused for good.
//! 4. A revoked version does not run, even if nothing can take its place.

use std::collections::BTreeSet;

use jiff::Timestamp;
use linnet_keys::Sha256Digest;
use linnet_keys::release::Version;
use serde::{Deserialize, Serialize};

use crate::desk::Request;

/// Starts of the agent that a trial may take. One can be a reboot that it has nothing to do with.
pub const MAX_STARTS: u32 = 3;
/// Refused versions that are remembered of one plugin.
const MAX_REFUSED: usize = 8;

/// A version of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Build {
    /// Its version.
    pub version: Version,
    /// Of its package.
    pub sha256: Sha256Digest,
}

/// A version on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trying {
    /// Which.
    pub build: Build,
    /// How often the agent started with it.
    pub starts: u32,
}

/// A version that is not tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which.
    pub build: Build,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// Digest of the settings that it failed with; none where they have nothing to do with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
}

/// All that is remembered of one plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The last version that proved itself.
    pub good: Option<Build>,
    /// The version on trial.
    pub trying: Option<Trying>,
    /// Versions that are not tried again, the last one last.
    pub refused: Vec<Refused>,
}

/// What is known of the channel.
#[derive(Clone, Copy, Debug)]
pub struct Known<'k> {
    /// What it offers of this plugin; none while it has not been heard.
    pub offers: Option<&'k [Build]>,
    /// What it has revoked.
    pub revoked: &'k BTreeSet<Sha256Digest>,
    /// What is on this host, whole.
    pub staged: &'k BTreeSet<Build>,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The version that runs now.
    pub run: Option<Build>,
    /// Whether that one is new here, and has to be put on trial first.
    pub is_new: bool,
    /// The version to fetch.
    pub fetch: Option<Build>,
    /// The version that is wanted.
    pub wanted: Option<Version>,
    /// Why that one does not run.
    pub note: Option<String>,
}

impl Memory {
    /// At the start of the agent. A version whose trial never ends is given up.
    pub fn started(&mut self, now: Timestamp) {
        let Some(trying) = &mut self.trying else { return };
        if trying.starts < MAX_STARTS {
            trying.starts += 1;
            return;
        }
        let why = format!("the agent was started {} times while it was tried", trying.starts);
        self.failed(why, None, now);
    }

    /// Puts a version on trial, in place of one that is.
    pub fn put_on_trial(&mut self, build: Build) {
        self.trying = Some(Trying { build, starts: 1 });
    }

    /// The version on trial ran well. True when that is news.
    pub fn passed(&mut self, build: Build) -> bool {
        if self.trying.as_ref().is_none_or(|trying| trying.build != build) {
            return false;
        }
        self.trying = None;
        self.good = Some(build);
        // It runs: an older verdict on it was of other settings.
        self.refused.retain(|refused| refused.build != build);
        true
    }

    /// The version on trial was given up; what runs now is the last good one.
    pub fn failed(&mut self, why: String, with: Option<String>, now: Timestamp) {
        if let Some(Trying { build, .. }) = self.trying.take() {
            self.refuse(build, why, with, now);
        }
    }

    /// A version is not tried (again).
    pub fn refuse(&mut self, build: Build, why: String, with: Option<String>, now: Timestamp) {
        self.refused.retain(|refused| refused.build != build);
        self.refused.push(Refused { build, why, at: now, with });
        let surplus = self.refused.len().saturating_sub(MAX_REFUSED);
        self.refused.drain(..surplus);
    }

    /// The verdict on a version that counts for this request.
    fn refusal(&self, build: &Build, request: &Request) -> Option<&Refused> {
        self.refused
            .iter()
            .find(|refused| refused.build == *build)
            .filter(|refused| refused.with.as_ref().is_none_or(|with| *with == request.settings_sha256))
    }

    /// What is to run, and what is missing for it.
    #[must_use]
    pub fn decide(&self, request: &Request, known: Known<'_>) -> Decision {
        let runs = |build: &Build| !known.revoked.contains(&build.sha256) && known.staged.contains(build);
        let trying = self.trying.as_ref().map(|trying| trying.build);
        let current = trying.filter(runs).or(self.good.filter(runs));
        let stay = |note: Option<String>| Decision { run: current, note, ..Decision::default() };
        let Some(offers) = known.offers else {
            let note = "the channel has not been heard yet".to_owned();
            return Decision { wanted: request.version, ..stay(current.is_none().then_some(note)) };
        };
        let (wanted, note) = match request.version {
            Some(version) => self.named(version, offers, request),
            None => (self.newest(offers, current, request), None),
        };
        let Some(wanted) = wanted else {
            let none = || "the channel has no version of it that this host could take".to_owned();
            let note = note.or_else(|| current.is_none().then(none));
            return Decision { wanted: request.version, ..stay(note) };
        };
        let decision = Decision { wanted: Some(wanted.version), ..Decision::default() };
        if current == Some(wanted) {
            return Decision { run: current, ..decision };
        }
        if known.staged.contains(&wanted) {
            let is_new = self.good != Some(wanted);
            return Decision { run: Some(wanted), is_new, ..decision };
        }
        Decision { run: current, fetch: Some(wanted), ..decision }
    }

    /// The version that the settings name, or why there is none.
    fn named(
        &self,
        version: Version,
        offers: &[Build],
        request: &Request,
    ) -> (Option<Build>, Option<String>) {
        let mut of_version = offers.iter().filter(|build| build.version == version);
        let Some(build) = of_version.next() else {
            return (None, Some(format!("the channel does not offer version {version}")));
        };
        match self.refusal(build, request) {
            Some(refused) => (None, Some(format!("version {version} is refused here: {}", refused.why))),
            None => (Some(*build), None),
        }
    }

    fn newest(&self, offers: &[Build], current: Option<Build>, request: &Request) -> Option<Build> {
        let usable = offers.iter().filter(|build| self.refusal(build, request).is_none());
        let newest = usable.max_by_key(|build| build.version).copied();
        match (newest, current) {
            (Some(newest), Some(current)) if newest.version > current.version => Some(newest),
            (_, Some(current)) => Some(current),
            (newest, None) => newest,
        }
    }
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
