//! The parts of every event that never change while the sensor runs: host and product.

use linnet_fleet::host::Host;
use linnet_ocsf::{
    line::LineError,
    object::{Device, DeviceKind, Os, Product},
    prelude::Prelude,
};

/// Encodes host and product once.
///
/// `run` is the random number that tells this run's events from all others.
///
/// # Errors
/// None that these values can cause.
pub fn prelude(host: &Host, run: u64) -> Result<Prelude, LineError> {
    let uid = host.uid();
    let boot_id = host.boot_id.as_ref().map(ToString::to_string);
    let os_name = host.os.as_ref().and_then(|os| os.name.as_deref()).unwrap_or("Linux");
    let os_version = host.os.as_ref().and_then(|os| os.version_id.as_deref());
    let device = Device {
        uid: &uid,
        hostname: Some(&host.hostname),
        kind: DeviceKind::Unknown,
        os: Some(Os::linux(os_name, os_version, Some(&host.kernel_release))),
        boot_time_ms: host.booted_at.map(jiff::Timestamp::as_millisecond),
        boot_uid: boot_id.as_deref(),
    };
    let product = Product {
        name: "Linnet",
        vendor_name: Some("Linnet"),
        version: Some(crate::command::VERSION),
        ..Product::default()
    };
    Ok(Prelude::new(&device, &product)?.of_run(run))
}
