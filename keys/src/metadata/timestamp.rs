//! Timestamp: which snapshot is the newest. Small, signed often. Section 4.6.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Common, Document, MetaFile};

/// The timestamp document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timestamp {
    /// What every document has.
    #[serde(flatten)]
    pub common: Common,
    /// What it speaks of.
    pub meta: TimestampMeta,
    /// Members that are not known here, `_type` among them.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The one document that a timestamp speaks of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimestampMeta {
    /// The newest snapshot.
    #[serde(rename = "snapshot.json")]
    pub snapshot: MetaFile,
    /// Members that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Timestamp {
    /// A new document of this content.
    #[must_use]
    pub fn new(common: Common, snapshot: MetaFile) -> Self {
        let extra = super::typed::<Self>();
        Self { common, meta: TimestampMeta { snapshot, extra: Map::new() }, extra }
    }
}

impl Document for Timestamp {
    const TYPE: &'static str = "timestamp";

    fn common(&self) -> &Common {
        &self.common
    }
}
