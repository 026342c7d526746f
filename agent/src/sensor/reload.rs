//! The settings read again, while the sensor runs.

use jiff::Timestamp;
use linnet_settings::Loaded;

use super::run::Sensor;

/// What became of the settings since the start, for the health document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// When the ones in force came to be, if it was after the start.
    pub at: Option<Timestamp>,
    /// Their file's SHA-256.
    pub sha256: Option<String>,
    /// Keys that wait for a restart.
    pub pending_restart: Vec<String>,
    /// Why the last try was refused.
    pub refused: Option<String>,
}

impl Sensor {
    /// Follows the settings file as it is now. One that is wrong changes nothing, and status says why.
    pub(super) fn reload(&mut self) {
        let named = self.parts.loaded.named.clone();
        let result = Loaded::read(named.as_deref()).map_err(|error| error.to_string());
        let outcome = result.and_then(|loaded| {
            let settings = self.with_local(&loaded)?;
            self.apply_and_tell(&settings)?;
            self.reloaded.sha256 = loaded.sha256;
            Ok(())
        });
        match outcome {
            Ok(()) => log::info!("settings read again"),
            Err(why) => {
                log::error!("settings refused, those in force stay: {why}");
                self.reloaded.refused = Some(why);
            }
        }
    }
}
