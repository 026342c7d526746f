//! Settings from several hands, laid over each other: defaults, then the fleet's document, then its overrides that
//! match this host, then the host's own file.
//!
//! 1. A layer is an object with some of the keys. Objects are merged key by key, everything else replaces what was
//!    there, `null` included: where a key may be `null`, that says something (`output.file`: no file).
//! 2. The host's own file wins, with one exception: a limit is a *ceiling* there. The fleet may lower it and never
//!    raise it; what it asked for above that is told in [`Effective::notes`], not refused, because one document serves
//!    hosts of all sizes.
//! 3. Some keys are the host's alone ([`LOCAL_ONLY`], and all but [`FLEET_SINK_KEYS`] of a sink): whoever may publish settings must not be able to write to any
//!    path as root, nor to switch the limits off.
//! 4. The result is checked as a whole, as the host's file is. Either it is taken whole, or nothing of it.
//! 5. Every key of the result has an [`Origin`].

use std::{collections::BTreeMap, fmt};

use linnet_fleet::rollout::merge;
use serde_json::{Map, Value};

use crate::{bounds, sinks::check_sinks, values::Settings};

/// Keys, each with all below it, that only the host's own file may set.
pub const LOCAL_ONLY: &[&str] = &[
    "runtime_dir",
    "output.file.path",
    "spool.directory",
    "limits.enabled",
    "limits.required",
    "limits.cpu_period_ms",
    "metrics",
    "fleet.enrolment",
    "fleet.state_dir",
    "plugins.directory",
    "plugins.state_directory",
    "plugins.policy",
    "plugins.disk_reserve_bytes",
];

/// What the fleet may say of a sink that the host's own file defines. Where events go, with which of the host's secrets
/// and what they are written to is the host's alone: whoever may publish settings must not be able to have local
/// credentials or telemetry sent elsewhere.
pub const FLEET_SINK_KEYS: &[&str] = &["enabled", "events", "batch", "timeout_s", "retry_max_s"];

/// Keys of which the host's own value, or else the default, is the most that the fleet can give.
pub const CEILINGS: &[&str] = &[
    "limits.cpu_permille",
    "limits.memory_max_bytes",
    "limits.memory_high_bytes",
    "limits.pids_max",
    "spool.max_bytes",
];

/// Keys, each with all below it, that a running sensor follows.
pub const LIVE: &[&str] = &[
    "events",
    "ignore",
    "sampling",
    "hash",
    "script",
    "health",
    "log_level",
    "ring.coalesce_ms",
    "ring.cgroup_records_per_s",
    "limits.cpu_permille",
    "limits.cpu_period_ms",
    "limits.memory_max_bytes",
    "limits.memory_high_bytes",
    "limits.pids_max",
    "plugins.enabled",
    "plugins.policy",
    "plugins.trial_s",
    "fleet.poll_s",
    "fleet.trial_s",
];
/// Whether a running sensor follows a change of this key; else it waits for the next start.
#[must_use]
pub fn is_live(key: &str) -> bool {
    LIVE.iter().any(|live| key == *live || key.strip_prefix(live).is_some_and(|rest| rest.starts_with('.')))
}

/// Whose value it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody's: the default.
    Default,
    /// The fleet's document.
    Fleet,
    /// An override in it, by its name.
    Override(String),
    /// The host's own file.
    Local,
    /// The host's own limit, which the fleet asked to exceed.
    Ceiling,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Fleet => f.write_str("fleet"),
            Self::Override(name) => write!(f, "fleet override {name}"),
            Self::Local => f.write_str("local"),
            Self::Ceiling => f.write_str("local ceiling"),
        }
    }
}

/// Some settings of one hand.
#[derive(Clone, Debug)]
pub struct Layer<'v> {
    /// Whose.
    pub origin: Origin,
    /// An object with some of the keys.
    pub patch: &'v Value,
}

/// The settings in force, and why they are what they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// The values.
    pub settings: Settings,
    /// Whose value each key has, by dotted path.
    pub origins: BTreeMap<String, Origin>,
    /// What the fleet asked for and did not get here, and why.
    pub notes: Vec<String>,
}

/// Why the layers give no settings. Everything is refused; what was in force stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// A layer is no object.
    #[error("{origin}: not a JSON object")]
    NotAnObject {
        /// Whose layer.
        origin: Origin,
    },
    /// A key that only the host's own file may set.
    #[error("{origin}: {key}: only the host's own settings file may set this key")]
    LocalOnly {
        /// Whose layer.
        origin: Origin,
        /// The key.
        key: String,
    },
    /// An unknown key or a value of a wrong type.
    #[error("{origin}: {key}: {message}")]
    Shape {
        /// Whose layer.
        origin: Origin,
        /// The key.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// A value out of bounds, alone or beside others.
    #[error("{origin}: {key}: {message}")]
    Bounds {
        /// Whose value the key has.
        origin: Origin,
        /// The key.
        key: String,
        /// What is wrong, and what to write instead.
        message: String,
    },
}

/// Lays `fleet`, in its order, and then the host's own file over the defaults.
///
/// # Errors
/// [`LayerError`].
pub fn effective(fleet: &[Layer<'_>], local: Option<&Value>) -> Result<Effective, LayerError> {
    let mut merged = defaults();
    let mut origins = BTreeMap::new();
    record(&merged, "", &Origin::Default, &mut origins);
    for layer in fleet {
        check_layer(layer)?;
        if let Some(key) = LOCAL_ONLY.iter().find(|key| at(layer.patch, key).is_some()) {
            return Err(LayerError::LocalOnly { origin: layer.origin.clone(), key: (*key).to_owned() });
        }
        if let Some(key) = foreign_sink_key(layer.patch) {
            return Err(LayerError::LocalOnly { origin: layer.origin.clone(), key });
        }
        lay(&mut merged, layer, &mut origins);
    }
    let asked = merged.clone();
    let asked_by = origins.clone();
    let mut notes = Vec::new();
    if let Some(patch) = local {
        let layer = Layer { origin: Origin::Local, patch };
        check_layer(&layer)?;
        lay(&mut merged, &layer, &mut origins);
    }
    drop_unknown_sinks(&mut merged, local, &mut origins, &mut notes)?;
    let unset = defaults();
    for key in CEILINGS {
        let by = asked_by.get(*key).cloned().unwrap_or(Origin::Default);
        if by == Origin::Default {
            continue;
        }
        let own = local.and_then(|local| at(local, key)).or_else(|| at(&unset, key)).cloned();
        let (Some(asked), Some(own)) = (at(&asked, key).cloned(), own) else { continue };
        // `null` (memory_high_bytes) is what follows from the other keys: no limit of its own to exceed.
        let exceeds = match (asked.as_u64(), own.as_u64()) {
            (Some(asked), Some(own)) => asked > own,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if exceeds {
            notes.push(format!("{key}: {by} asks for {asked}, this host allows at most {own}"));
            put(&mut merged, key, own);
            origins.insert((*key).to_owned(), Origin::Ceiling);
        } else {
            put(&mut merged, key, asked);
            origins.insert((*key).to_owned(), by);
        }
    }
    let settings = typed(&merged, &origins)?;
    // A key that nobody wrote (beside others, in an object that had been `null`) has its default.
    let origins = leaves(&settings)
        .into_keys()
        .map(|key| {
            let origin = origins.remove(&key).unwrap_or(Origin::Default);
            (key, origin)
        })
        .collect();
    Ok(Effective { settings, origins, notes })
}

/// A key of a sink that only the host's own file may set.
fn foreign_sink_key(patch: &Value) -> Option<String> {
    let sinks = patch.get("sinks")?.as_object()?;
    sinks.iter().find_map(|(name, sink)| {
        let keys = sink.as_object()?.keys();
        let foreign = keys.into_iter().find(|key| !FLEET_SINK_KEYS.contains(&key.as_str()))?;
        Some(format!("sinks.{name}.{foreign}"))
    })
}

/// One document serves hosts that have other sinks: what it says of a sink that this host does not define is checked as if it
/// had a url, and left out.
fn drop_unknown_sinks(
    merged: &mut Value,
    local: Option<&Value>,
    origins: &mut BTreeMap<String, Origin>,
    notes: &mut Vec<String>,
) -> Result<(), LayerError> {
    let own = local.and_then(|local| local.get("sinks")).and_then(Value::as_object);
    let Some(sinks) = merged.get_mut("sinks").and_then(Value::as_object_mut) else { return Ok(()) };
    let unknown: Vec<String> =
        sinks.keys().filter(|name| own.is_none_or(|own| !own.contains_key(*name))).cloned().collect();
    for name in unknown {
        let Some(mut left_out) = sinks.remove(&name) else { continue };
        put(&mut left_out, "url", Value::from("https://sink.invalid/"));
        if let Ok(sink) = serde_json::from_value(left_out) {
            check_sinks(std::iter::once((&name, &sink))).map_err(|(key, message)| LayerError::Bounds {
                origin: origins.get(key).cloned().unwrap_or(Origin::Fleet),
                key: key.to_owned(),
                message,
            })?;
        }
        let below = format!("sinks.{name}.");
        origins.retain(|key, _| !key.starts_with(&below));
        notes.push(format!(
            "sinks.{name}: the fleet speaks of a sink that this host's own settings do not define"
        ));
    }
    Ok(())
}

/// Refuses what no host can take: each fleet layer by itself, and all of them together, over the defaults.
///
/// # Errors
/// [`LayerError`].
pub fn check_fleet(base: &Layer<'_>, overrides: &[Layer<'_>]) -> Result<(), LayerError> {
    effective(std::slice::from_ref(base), None)?;
    for one in overrides {
        effective(&[base.clone(), one.clone()], None)?;
    }
    let all: Vec<_> = std::iter::once(base).chain(overrides).cloned().collect();
    effective(&all, None).map(drop)
}

fn defaults() -> Value {
    serde_json::to_value(Settings::default()).unwrap_or_default()
}

/// A layer by itself: known keys, right types. So an error is told of the layer that made it.
fn check_layer(layer: &Layer<'_>) -> Result<(), LayerError> {
    if !layer.patch.is_object() {
        return Err(LayerError::NotAnObject { origin: layer.origin.clone() });
    }
    serde_path_to_error::deserialize::<_, Settings>(layer.patch).map(drop).map_err(|error| {
        LayerError::Shape {
            origin: layer.origin.clone(),
            key: error.path().to_string(),
            message: error.into_inner().to_string(),
        }
    })
}

fn typed(merged: &Value, origins: &BTreeMap<String, Origin>) -> Result<Settings, LayerError> {
    let origin_of = |key: &str| origins.get(key).cloned().unwrap_or(Origin::Default);
    let settings: Settings = serde_path_to_error::deserialize(merged).map_err(|error| LayerError::Shape {
        origin: origin_of(&error.path().to_string()),
        key: error.path().to_string(),
        message: error.into_inner().to_string(),
    })?;
    bounds::check(&settings).map_err(|(key, message)| LayerError::Bounds {
        origin: origin_of(key),
        key: key.to_owned(),
        message,
    })?;
    Ok(settings)
}

fn lay(merged: &mut Value, layer: &Layer<'_>, origins: &mut BTreeMap<String, Origin>) {
    merge(merged, layer.patch);
    record(layer.patch, "", &layer.origin, origins);
}

/// Notes whose every leaf of a patch is.
fn record(patch: &Value, prefix: &str, origin: &Origin, origins: &mut BTreeMap<String, Origin>) {
    match patch {
        Value::Object(fields) if !fields.is_empty() => {
            origins.remove(prefix);
            for (key, value) in fields {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                record(value, &path, origin, origins);
            }
        }
        Value::Object(_) => {}
        _ => {
            let below = format!("{prefix}.");
            origins.retain(|key, _| !key.starts_with(&below));
            origins.insert(prefix.to_owned(), origin.clone());
        }
    }
}

fn at<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    key.split('.').try_fold(value, |value, part| value.get(part))
}

fn put(value: &mut Value, key: &str, new: Value) {
    let mut here = value;
    for part in key.split('.') {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        let Value::Object(fields) = here else { return };
        here = fields.entry(part).or_insert(Value::Null);
    }
    *here = new;
}

impl Effective {
    /// The settings of a host that has neither file nor fleet.
    #[must_use]
    pub fn defaults() -> Self {
        let mut origins = BTreeMap::new();
        record(&defaults(), "", &Origin::Default, &mut origins);
        Self { settings: Settings::default(), origins, notes: Vec::new() }
    }

    /// Every key with its value and origin, in the order of the keys.
    pub fn rows(&self) -> impl Iterator<Item = (&str, Value, &Origin)> {
        let values = serde_json::to_value(&self.settings).unwrap_or_default();
        self.origins.iter().map(move |(key, origin)| {
            let value = at(&values, key).cloned().unwrap_or_default();
            (key.as_str(), value, origin)
        })
    }
}

/// The keys of which two settings differ, dotted, in their order.
#[must_use]
pub fn changed_keys(old: &Settings, new: &Settings) -> Vec<String> {
    let (old, new) = (leaves(old), leaves(new));
    let mut changed: Vec<_> = old
        .iter()
        .filter(|(key, value)| new.get(*key) != Some(*value))
        .map(|(key, _)| key.clone())
        .chain(new.keys().filter(|key| !old.contains_key(*key)).cloned())
        .collect();
    changed.sort();
    changed
}

fn leaves(settings: &Settings) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    flatten(&serde_json::to_value(settings).unwrap_or_default(), "", &mut leaves);
    leaves
}

fn flatten(value: &Value, prefix: &str, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(value, &path, leaves);
            }
        }
        leaf => {
            leaves.insert(prefix.to_owned(), leaf.clone());
        }
    }
}

#[cfg(test)]
mod tests;
