//! Root: the keys of everyone, and who may sign what. Section 4.3.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Common, Document, RoleKeys};
use crate::key::KeyTable;

/// One of the four roles that root speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    /// Who may change the others.
    Root,
    /// What is genuine.
    Targets,
    /// Which versions belong together.
    Snapshot,
    /// Which snapshot is the newest.
    Timestamp,
}

impl RoleName {
    /// All four, the most powerful first.
    pub const ALL: [Self; 4] = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];

    /// The name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The keys of the four roles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roles {
    /// Of root itself.
    pub root: RoleKeys,
    /// Of targets.
    pub targets: RoleKeys,
    /// Of snapshot.
    pub snapshot: RoleKeys,
    /// Of timestamp.
    pub timestamp: RoleKeys,
    /// Roles that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The root document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Root {
    /// What every document has.
    #[serde(flatten)]
    pub common: Common,
    /// Whether documents are named by version and targets by digest.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// The keys.
    pub keys: KeyTable,
    /// Who may sign what.
    pub roles: Roles,
    /// Members that are not known here, `_type` among them.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Root {
    /// A new document with consistent snapshots, whose roles are `[root, targets, snapshot, timestamp]`.
    #[must_use]
    pub fn new(common: Common, keys: KeyTable, [root, targets, snapshot, timestamp]: [RoleKeys; 4]) -> Self {
        let roles = Roles { root, targets, snapshot, timestamp, extra: Map::new() };
        Self { common, consistent_snapshot: true, keys, roles, extra: super::typed::<Self>() }
    }

    /// The keys of a role.
    #[must_use]
    pub fn role(&self, role: RoleName) -> &RoleKeys {
        match role {
            RoleName::Root => &self.roles.root,
            RoleName::Targets => &self.roles.targets,
            RoleName::Snapshot => &self.roles.snapshot,
            RoleName::Timestamp => &self.roles.timestamp,
        }
    }

    /// The keys of a role, to be changed.
    pub fn role_mut(&mut self, role: RoleName) -> &mut RoleKeys {
        match role {
            RoleName::Root => &mut self.roles.root,
            RoleName::Targets => &mut self.roles.targets,
            RoleName::Snapshot => &mut self.roles.snapshot,
            RoleName::Timestamp => &mut self.roles.timestamp,
        }
    }
}

impl Document for Root {
    const TYPE: &'static str = "root";

    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self) -> Result<(), String> {
        RoleName::ALL
            .into_iter()
            .try_for_each(|role| self.role(role).check().map_err(|error| format!("role {role}: {error}")))
    }
}
