//! Targets: the genuine files, and who else may speak for some of them. Section 4.5.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Common, Document, Hashes, RoleKeys};
use crate::key::KeyTable;
use crate::metadata::RoleName;
use crate::pattern::PathSet;

/// A targets document, of the role `targets` or of one it delegates to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Targets {
    /// What every document has.
    #[serde(flatten)]
    pub common: Common,
    /// The files, by path.
    pub targets: BTreeMap<String, TargetFile>,
    /// Who else may speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
    /// Members that are not known here, `_type` among them.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetFile {
    /// Its length in bytes.
    pub length: u64,
    /// Its digests.
    pub hashes: Hashes,
    /// What the publisher has to say of it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub custom: Value,
    /// Members that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Who else may speak, in the order of asking.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delegations {
    /// Their keys.
    pub keys: KeyTable,
    /// The roles.
    #[serde(default)]
    pub roles: Vec<DelegatedRole>,
    /// Members that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One role that may speak for some paths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DelegatedRole {
    /// Its name; its document is `NAME.json`.
    pub name: String,
    /// Whether nobody after it is asked about a path that is among its own.
    pub terminating: bool,
    /// The paths it speaks for.
    #[serde(flatten)]
    pub paths: PathSet,
    /// Who may sign for it.
    #[serde(flatten)]
    pub keys: RoleKeys,
}

impl Targets {
    /// A new document without files.
    #[must_use]
    pub fn new(common: Common) -> Self {
        Self { common, targets: BTreeMap::new(), delegations: None, extra: super::typed::<Self>() }
    }

    /// The delegation to the role of this name, with the keys it may be signed by.
    #[must_use]
    pub fn delegation(&self, name: &str) -> Option<(&KeyTable, &DelegatedRole)> {
        let delegations = self.delegations.as_ref()?;
        Some((&delegations.keys, delegations.roles.iter().find(|role| role.name == name)?))
    }
}

impl Document for Targets {
    const TYPE: &'static str = "targets";

    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for role in self.delegations.iter().flat_map(|delegations| &delegations.roles) {
            let name = &role.name;
            if name.is_empty() || RoleName::from_name(name).is_some() {
                return Err(format!("{name:?} cannot be the name of a delegated role"));
            }
            if !names.insert(name) {
                return Err(format!("the delegated role {name:?} is given twice"));
            }
            role.keys.check().map_err(|error| format!("delegated role {name:?}: {error}"))?;
            if let (PathSet::Paths(_), true) =
                (&role.paths, role.keys.extra.contains_key("path_hash_prefixes"))
            {
                return Err(format!("the delegated role {name:?} has both paths and path_hash_prefixes"));
            }
        }
        Ok(())
    }
}
