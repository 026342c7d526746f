//! What was found out about an attribute from elsewhere.

use serde::Serialize;
use serde_json::value::RawValue;

/// OCSF `enrichment`.
///
/// For facts that come with another source, such as a container's labels from a runtime. The road of a hash and
/// the reason for a missing one are cheaper and nearer in [`FileAttributes`](super::FileAttributes).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Enrichment<'a> {
    /// The attribute that this is about, as a path from the event: `process.container.uid`.
    pub name: &'a str,
    /// That attribute's value.
    pub value: &'a str,
    /// What was found out.
    pub data: Data<'a>,
    /// What kind of data it is.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'a str>,
    /// Where it was found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<&'a str>,
    /// A sentence for the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<&'a str>,
}

/// Any JSON.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub enum Data<'a> {
    /// A string.
    Text(&'a str),
    /// A number.
    Number(i64),
    /// Ready JSON; white space in it is kept, line feeds are not.
    Json(&'a RawValue),
}
