//! The plugins that a channel offers, found by name: settings speak of a name and at most of a version.
//!
//! A package of a plugin is `plugin/<name>-<version>-<arch>.tar.gz`, and says the same in `custom`. Where the two differ
//! it is no offer: the path is what delegations speak of, `custom` is what hosts choose by.

use jiff::Timestamp;
use linnet_keys::release::{Package, Plugin};
use linnet_keys::{Sha256Digest, VerifiedTarget};

use super::client::Channel;
use super::error::ChannelError;

/// More versions of one plugin than a host looks at.
const MAX_OFFERS: usize = 256;

/// A genuine plugin that was not revoked.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginOffer {
    /// What to download.
    pub target: VerifiedTarget,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// What was signed of it.
    pub plugin: Plugin,
}

/// The path of a plugin's package among the targets.
fn path_of(name: &str, version: &str, arch: &str) -> String {
    format!("plugin/{name}-{version}-{arch}.tar.gz")
}

impl Channel {
    /// The versions of this plugin for this architecture, the newest first. Refreshes first where that was not done yet.
    ///
    /// # Errors
    /// As [`Channel::refresh`].
    pub fn plugin_offers(
        &mut self,
        name: &str,
        arch: &str,
        now: Timestamp,
    ) -> Result<Vec<PluginOffer>, ChannelError> {
        // The search for a path that nobody has asks every role that may speak for such a path.
        match self.target(&path_of(name, "0.0.0", arch), now) {
            Ok(_) | Err(ChannelError::NoTarget { .. }) => {}
            Err(error) => return Err(error),
        }
        let begins = format!("plugin/{name}-");
        let trusted = self.trusted();
        let paths = trusted.listed().filter(|path| path.starts_with(&begins)).take(MAX_OFFERS);
        let mut offers: Vec<_> = paths
            .filter_map(|path| {
                let target = trusted.target(path)?;
                let Ok(Package::Plugin(plugin)) = Package::from_custom(target.custom()) else { return None };
                let sha256 = target.hashes().get_sha256()?;
                let is_it = path == path_of(name, &plugin.version.to_string(), arch)
                    && plugin.name == name
                    && plugin.arch == arch;
                (is_it && !trusted.is_revoked(&sha256)).then_some(PluginOffer { target, sha256, plugin })
            })
            .collect();
        offers.sort_by_key(|offer| std::cmp::Reverse(offer.plugin.version));
        // Two roles may list one path; the search gave the same answer for both.
        offers.dedup_by(|one, other| one.target.path() == other.target.path());
        Ok(offers)
    }
}
