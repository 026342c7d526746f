//! The `agent` part of the fleet's document: what a host makes of it, and whether every host could take it.

use jiff::Timestamp;
use linnet_fleet::rollout::{FleetDocument, HostTraits};
use serde_json::{Map, Value};

use crate::layers::{Effective, Layer, LayerError, Origin, check_fleet, effective};

const SECTION: &str = "agent";

/// The settings of one host: the document, its overrides for this host now, and the host's own file.
///
/// # Errors
/// [`LayerError`].
pub fn settings_of(
    document: &FleetDocument,
    host: &HostTraits,
    local: Option<&Value>,
    now: Timestamp,
) -> Result<Effective, LayerError> {
    let layers = document.layers(SECTION, host, now);
    let layers: Vec<_> =
        layers.into_iter().map(|(name, patch)| Layer { origin: origin(name), patch }).collect();
    effective(&layers, local)
}

/// Whether every host could take this document: the publisher's tool asks what the agent asks.
///
/// # Errors
/// Which layer and key is wrong, and why.
pub fn check(document: &FleetDocument) -> Result<(), LayerError> {
    let nothing = Value::Object(Map::new());
    let base = Layer { origin: Origin::Fleet, patch: document.rest.get(SECTION).unwrap_or(&nothing) };
    let overrides: Vec<_> = document
        .overrides
        .iter()
        .filter_map(|one| Some(Layer { origin: origin(Some(&one.name)), patch: one.patch.get(SECTION)? }))
        .collect();
    check_fleet(&base, &overrides)
}

fn origin(name: Option<&str>) -> Origin {
    name.map_or(Origin::Fleet, |name| Origin::Override(name.to_owned()))
}
