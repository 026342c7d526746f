//! An event of a plugin: any class, with the plugin's attributes, and metadata and host from the sensor.

use serde::ser::{Error, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use crate::object::Metadata;
use crate::prelude::Prelude;

/// What a plugin reports. Its numbers were checked before; `fields` must not hold what stands beside them here.
#[derive(Debug, Clone, Copy)]
pub struct PluginEvent<'a> {
    /// The unchanging parts.
    pub prelude: &'a Prelude,
    /// When it happened, in milliseconds since the epoch.
    pub time_ms: i64,
    /// The event's place among all events of this run of the sensor.
    pub sequence: u64,
    /// OCSF class.
    pub class_uid: u32,
    /// What happened, in that class.
    pub activity_id: u8,
    /// How bad it is.
    pub severity_id: u8,
    /// Who says so, in `metadata.product.feature`.
    pub plugin: &'a str,
    /// The plugin's version.
    pub plugin_version: &'a str,
    /// All other attributes.
    pub fields: &'a Map<String, Value>,
}

impl Serialize for PluginEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_map(None)?;
        event.serialize_entry("time", &self.time_ms)?;
        event.serialize_entry("class_uid", &self.class_uid)?;
        event.serialize_entry("category_uid", &(self.class_uid / 1000))?;
        event.serialize_entry("activity_id", &self.activity_id)?;
        event.serialize_entry("type_uid", &(self.class_uid * 100 + u32::from(self.activity_id)))?;
        event.serialize_entry("severity_id", &self.severity_id)?;
        for (name, value) in self.fields {
            event.serialize_entry(name, value)?;
        }
        // Plugins are slow talkers: the product is put together anew for each of their events.
        let mut product: Map<String, Value> =
            serde_json::from_str(self.prelude.product.get()).unwrap_or_default();
        product.insert("feature".to_owned(), json!({ "name": self.plugin, "version": self.plugin_version }));
        event.serialize_entry(
            "metadata",
            &Metadata {
                version: "1.8.0",
                uid: self.prelude.event_uid(Some(self.sequence)),
                sequence: Some(self.sequence),
                logged_time: None,
                profiles: &self.prelude.profiles,
                product: &to_raw_value(&product).map_err(S::Error::custom)?,
            },
        )?;
        event.serialize_entry("device", &self.prelude.device_reference)?;
        event.end()
    }
}
