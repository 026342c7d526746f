//! Snapshot: which versions of the targets documents belong together. Section 4.4.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Common, Document, MetaFile};

/// The snapshot document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What every document has.
    #[serde(flatten)]
    pub common: Common,
    /// Every targets document by name: `targets.json`, `config.json`, …
    pub meta: BTreeMap<String, MetaFile>,
    /// Members that are not known here, `_type` among them.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Snapshot {
    /// A new document of this content.
    #[must_use]
    pub fn new(common: Common, meta: BTreeMap<String, MetaFile>) -> Self {
        Self { common, meta, extra: super::typed::<Self>() }
    }

    /// What it says of a role's document.
    #[must_use]
    pub fn of_role(&self, role: &str) -> Option<&MetaFile> {
        self.meta.get(&format!("{role}.json"))
    }
}

impl Document for Snapshot {
    const TYPE: &'static str = "snapshot";

    fn common(&self) -> &Common {
        &self.common
    }
}
