//! What every event has: OCSF's base event, its metadata and its host.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::object::{Enrichment, Metadata};
use crate::prelude::Prelude;

/// The part of an event that does not depend on its class.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// The unchanging parts.
    pub prelude: &'a Prelude,
    /// When it happened, in milliseconds since the epoch. Finer order is in `sequence`.
    pub time_ms: i64,
    /// The event's place among all events of this run of the sensor; with the run it makes the event's uid.
    pub sequence: Option<u64>,
    /// When it was written, in milliseconds since the epoch.
    pub logged_time_ms: Option<i64>,
    /// How bad it is.
    pub severity: Severity,
    /// How it went.
    pub status: Option<Status>,
    /// What there is to say about how it went.
    pub status_detail: Option<&'a str>,
    /// A sentence for the reader.
    pub message: Option<&'a str>,
    /// What was found out about its attributes from elsewhere.
    pub enrichments: &'a [Enrichment<'a>],
}

impl<'a> Base<'a> {
    /// An informational event at this time.
    #[must_use]
    pub fn new(prelude: &'a Prelude, time_ms: i64) -> Self {
        Self {
            prelude,
            time_ms,
            sequence: None,
            logged_time_ms: None,
            severity: Severity::Informational,
            status: None,
            status_detail: None,
            message: None,
            enrichments: &[],
        }
    }

    /// Begins the event: what it is and when it was.
    pub(crate) fn begin<S: Serializer>(
        &self,
        serializer: S,
        class: Class,
        activity_id: u8,
    ) -> Result<S::SerializeStruct, S::Error> {
        let mut event = serializer.serialize_struct("event", 16)?;
        event.serialize_field("time", &self.time_ms)?;
        event.serialize_field("class_uid", &class.uid)?;
        event.serialize_field("category_uid", &class.category_uid)?;
        event.serialize_field("activity_id", &activity_id)?;
        event.serialize_field("type_uid", &(class.uid * 100 + u32::from(activity_id)))?;
        event.serialize_field("severity_id", &(self.severity as u8))?;
        if let Some(status) = self.status {
            event.serialize_field("status_id", &(status as u8))?;
        }
        for (key, text) in [("status_detail", self.status_detail), ("message", self.message)] {
            if let Some(text) = text {
                event.serialize_field(key, text)?;
            }
        }
        Ok(event)
    }

    /// Ends an event about the host: what was found out, what made it, and where.
    pub(crate) fn end<S: SerializeStruct>(&self, event: S) -> Result<S::Ok, S::Error> {
        self.end_at(event, &self.prelude.device_reference)
    }

    /// Ends an event about the sensor itself, with the host described whole.
    pub(crate) fn end_with_host<S: SerializeStruct>(&self, event: S) -> Result<S::Ok, S::Error> {
        self.end_at(event, &self.prelude.device)
    }

    fn end_at<S: SerializeStruct>(&self, mut event: S, device: &RawValue) -> Result<S::Ok, S::Error> {
        if !self.enrichments.is_empty() {
            event.serialize_field("enrichments", self.enrichments)?;
        }
        event.serialize_field(
            "metadata",
            &Metadata {
                version: "1.8.0",
                uid: self.prelude.event_uid(self.sequence),
                sequence: self.sequence,
                logged_time: self.logged_time_ms,
                profiles: &self.prelude.profiles,
                product: &self.prelude.product,
            },
        )?;
        event.serialize_field("device", device)?;
        event.end()
    }
}

/// The numbers of a class.
#[derive(Clone, Copy)]
pub(crate) struct Class {
    pub uid: u32,
    pub category_uid: u8,
}

/// OCSF `severity_id`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Severity {
    /// Nothing to do.
    #[default]
    Informational = 1,
    /// The reader decides.
    Low = 2,
    /// Something is to be done.
    Medium = 3,
    /// Something is to be done at once.
    High = 4,
}

/// OCSF `status_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// It went well.
    Success = 1,
    /// It did not.
    Failure = 2,
}

/// A value that a class carries in `unmapped`, as a field of its event.
pub(crate) fn unmapped<S: SerializeStruct, U: Serialize>(
    event: &mut S,
    value: Option<&U>,
) -> Result<(), S::Error> {
    value.map_or(Ok(()), |value| event.serialize_field("unmapped", value))
}
