//! 5.6.7, the search for a target: pre-order, depth first, beginning with `targets`.
//!
//! The search holds no state. It is walked anew after each document that it asked for, and since the walk for one path
//! always takes the same way, it ends: each role is visited once, and at most [`MAX_ROLES_VISITED`] of them.

use std::collections::BTreeSet;

use super::{FileWanted, Trusted, VerifiedTarget};
use crate::error::TrustError;
use crate::metadata::{RoleName, Targets};

/// Most roles that are asked about one path, so that no publisher makes hosts fetch without end.
pub const MAX_ROLES_VISITED: usize = 32;

/// Where a search stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Search {
    /// A trusted role says that the file is genuine.
    Found(Box<VerifiedTarget>),
    /// The document of `role` decides: hand it to [`Trusted::update_targets`] and search again. When it cannot be had
    /// or is refused, the target cannot be found.
    Need {
        /// The role to ask.
        role: String,
        /// The role that delegates to it.
        parent: String,
        /// Its document.
        file: FileWanted,
    },
    /// No role that may speak for this path knows it.
    Absent,
}

impl Trusted {
    /// Searches for the target of this path.
    ///
    /// # Errors
    /// [`TrustError::Unlisted`] when the trusted snapshot does not list a role that is to be asked.
    pub fn find(&self, path: &str) -> Result<Search, TrustError> {
        if leads_out(path) {
            return Ok(Search::Absent);
        }
        let mut visited = BTreeSet::new();
        let mut to_visit = vec![(RoleName::Targets.as_str(), RoleName::Root.as_str())];
        while let Some((role, parent)) = to_visit.pop() {
            // 5.6.7.1: each role once, and not too many.
            if !visited.insert(role) {
                continue;
            }
            if visited.len() > MAX_ROLES_VISITED {
                break;
            }
            let Some(targets) = self.targets_by(role, parent) else {
                let unlisted = || TrustError::Unlisted { role: role.to_owned(), by: "snapshot".to_owned() };
                let file = self.targets_wanted(role).ok_or_else(unlisted)?;
                return Ok(Search::Need { role: role.to_owned(), parent: parent.to_owned(), file });
            };
            if let Some(file) = targets.targets.get(path) {
                return Ok(Search::Found(Box::new(VerifiedTarget {
                    path: path.to_owned(),
                    file: file.clone(),
                    role: role.to_owned(),
                    consistent: self.consistent_snapshot(),
                })));
            }
            // 5.6.7.2: whom it delegates this path to, in order.
            let mut children = Vec::new();
            for child in targets.delegations.iter().flat_map(|delegations| &delegations.roles) {
                if child.paths.contains(path) {
                    children.push((child.name.as_str(), role));
                    if child.terminating {
                        // 5.6.7.2.1: nobody else is asked, here or further up.
                        to_visit.clear();
                        break;
                    }
                }
            }
            to_visit.extend(children.into_iter().rev());
        }
        Ok(Search::Absent)
    }

    /// Every path that an accepted document lists. Whether a role may speak for one is for [`Trusted::find`] to say.
    pub fn listed(&self) -> impl Iterator<Item = &str> {
        self.targets.values().flat_map(|(_, targets)| targets.0.targets.keys().map(String::as_str))
    }

    /// The target of this path, as far as it can be told without fetching.
    #[must_use]
    pub fn target(&self, path: &str) -> Option<VerifiedTarget> {
        match self.find(path) {
            Ok(Search::Found(target)) => Some(*target),
            _ => None,
        }
    }

    /// The document of a role, checked against the keys that *this* parent gives it: two roles may delegate to one
    /// name with different keys.
    fn targets_by(&self, role: &str, parent: &str) -> Option<&Targets> {
        self.targets.get(role).filter(|(by, _)| by == parent).map(|(_, targets)| &targets.0)
    }
}

/// Whether the URL of a target would not be below the channel's, whoever signed for it. Names of dots can't be encoded away.
fn leads_out(path: &str) -> bool {
    path.starts_with('/') || path.split('/').any(|name| matches!(name, "." | ".."))
}
