//! The parts that are the same in every event of a run, encoded once.
//!
//! `device`, `metadata.product` and `metadata.profiles` make up a third of an exec event. They are ready JSON
//! here, so that writing them is a copy.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::line::{LineError, write_value};
use crate::object::{Device, Product};

/// The profiles whose attributes Linnet's events use, as OCSF names them: the Linux extension gives `process.auid`
/// and `process.group`.
pub const PROFILES: [&str; 3] = ["host", "container", "linux/linux_users"];

/// The unchanging parts of all events of a run.
#[derive(Debug, Clone)]
pub struct Prelude {
    pub(crate) device: Box<RawValue>,
    pub(crate) product: Box<RawValue>,
    pub(crate) profiles: Box<RawValue>,
}

impl Prelude {
    /// Encodes host and product.
    ///
    /// # Errors
    ///
    /// None that these types can make; the signature is the encoder's.
    pub fn new(device: &Device<'_>, product: &Product<'_>) -> Result<Self, LineError> {
        Ok(Self { device: encode(device)?, product: encode(product)?, profiles: to_raw_value(&PROFILES)? })
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Box<RawValue>, LineError> {
    let mut json = Vec::new();
    write_value(&mut json, value)?;
    let json = String::from_utf8_lossy(&json).into_owned();
    Ok(RawValue::from_string(json)?)
}
