//! The parts that are the same in every event of a run, encoded once.
//!
//! They are ready JSON here, so that writing them is a copy. The host is described whole in the events in which
//! the sensor speaks of itself, the first line of every run among them; the others carry only what finds it there
//! (`uid`) and what a reader wants to see (`hostname`), for the rest would be a tenth of every line.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::line::{LineError, write_value};
use crate::number::EventUid;
use crate::object::{Device, Product};

/// The profiles whose attributes Linnet's events use, as OCSF names them: the Linux extension gives `process.auid`
/// and `process.group`.
pub const PROFILES: [&str; 3] = ["host", "container", "linux/linux_users"];

/// The unchanging parts of all events of a run.
#[derive(Debug, Clone)]
pub struct Prelude {
    pub(crate) device: Box<RawValue>,
    pub(crate) device_reference: Box<RawValue>,
    pub(crate) product: Box<RawValue>,
    pub(crate) profiles: Box<RawValue>,
    run: Option<u64>,
}

impl Prelude {
    /// Encodes host and product.
    ///
    /// # Errors
    ///
    /// None that these types can make; the signature is the encoder's.
    pub fn new(device: &Device<'_>, product: &Product<'_>) -> Result<Self, LineError> {
        let reference =
            Device { uid: device.uid, hostname: device.hostname, kind: device.kind, ..Device::default() };
        Ok(Self {
            device: encode(device)?,
            device_reference: encode(&reference)?,
            product: encode(product)?,
            profiles: to_raw_value(&PROFILES)?,
            run: None,
        })
    }

    /// Gives events that have a sequence a `metadata.uid`; `run` is a random number that no other run has.
    #[must_use]
    pub fn of_run(self, run: u64) -> Self {
        Self { run: Some(run), ..self }
    }

    pub(crate) fn event_uid(&self, sequence: Option<u64>) -> Option<EventUid> {
        Some(EventUid { run: self.run?, sequence: sequence? })
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Box<RawValue>, LineError> {
    let mut json = Vec::new();
    write_value(&mut json, value)?;
    let json = String::from_utf8_lossy(&json).into_owned();
    Ok(RawValue::from_string(json)?)
}
