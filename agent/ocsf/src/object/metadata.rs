//! What made the event.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::number::EventUid;

/// OCSF `product`. Does not change while the sensor runs: see [`Prelude`](crate::prelude::Prelude).
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Product<'a> {
    /// Its name.
    pub name: &'a str,
    /// Who makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_name: Option<&'a str>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
    /// An id of this installation or run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<&'a str>,
}

/// OCSF `metadata`, put together from the prelude and the event's base.
#[derive(Serialize)]
pub(crate) struct Metadata<'a> {
    pub version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<EventUid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logged_time: Option<i64>,
    pub profiles: &'a RawValue,
    pub product: &'a RawValue,
}
