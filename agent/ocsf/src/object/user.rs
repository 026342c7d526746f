//! Users and groups, by number: no name service is asked on the event's path.

use serde::Serialize;

use crate::number::Decimal;

/// OCSF `user`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct User<'a> {
    /// The numeric id.
    pub uid: Decimal,
    /// The name, where it is known at no cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
}

impl From<u32> for User<'_> {
    fn from(uid: u32) -> Self {
        Self { uid: uid.into(), name: None }
    }
}

/// OCSF `group`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Group<'a> {
    /// The numeric id.
    pub uid: Decimal,
    /// The name, where it is known at no cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
}

impl From<u32> for Group<'_> {
    fn from(gid: u32) -> Self {
        Self { uid: gid.into(), name: None }
    }
}
