//! Reading settings from a file.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use linnet_fleet::settings_file;
pub use linnet_fleet::settings_file::SettingsError;
use sha2::{Digest, Sha256};

use crate::{bounds, values::Settings};

/// Where the settings are looked for when no file is named.
pub const DEFAULT_PATH: &str = "/etc/linnet/linnet.json";
/// Settings, and where they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub settings: Settings,
    /// The file that was asked for, if one was.
    pub named: Option<PathBuf>,
    /// The file, unless all are defaults.
    pub path: Option<PathBuf>,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: Option<String>,
    /// The file as it stands, which says what it sets and what it leaves to others.
    pub source: Option<serde_json::Value>,
}

impl Loaded {
    /// Reads the named file, or the default one if it is there.
    ///
    /// # Errors
    /// [`SettingsError`]; also when a file was named that does not exist.
    pub fn read(named: Option<&Path>) -> Result<Self, SettingsError> {
        let path = named.unwrap_or_else(|| Path::new(DEFAULT_PATH));
        let bytes = match settings_file::read(path) {
            Err(error) if named.is_none() && error.is_absence() => {
                return Ok(Self {
                    settings: Settings::default(),
                    named: None,
                    path: None,
                    sha256: None,
                    source: None,
                });
            }
            other => other?,
        };
        let settings = parse(path, &bytes)?;
        let sha256 = Hexadecimal(&Sha256::digest(&bytes)).to_string();
        // It was parsed a moment ago.
        let source = serde_json::from_slice(&bytes).ok();
        let named = named.map(Path::to_owned);
        Ok(Self { settings, named, path: Some(path.to_owned()), sha256: Some(sha256), source })
    }
}

/// Bytes as hexadecimal digits.
pub struct Hexadecimal<'b>(pub &'b [u8]);

impl fmt::Display for Hexadecimal<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// Reads and checks settings; `path` is for the messages.
///
/// # Errors
/// [`SettingsError::Shape`] or [`SettingsError::Value`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Settings, SettingsError> {
    settings_file::parse(path, bytes, bounds::check)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        parse(Path::new("linnet.json"), json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn the_empty_object_is_the_default() {
        assert_eq!(parse(Path::new("x"), b"{}").unwrap(), Settings::default());
    }

    #[test]
    fn the_defaults_are_within_their_own_bounds_and_survive_a_round_trip() {
        let json = serde_json::to_vec(&Settings::default()).unwrap();
        assert_eq!(parse(Path::new("x"), &json).unwrap(), Settings::default());
    }

    #[test]
    fn an_unknown_key_is_refused_by_its_path() {
        let message = refused(r#"{"limits": {"cpu_permile": 100}}"#);
        assert!(
            message.starts_with("linnet.json: limits.cpu_permile: unknown field `cpu_permile`"),
            "{message}"
        );
        assert!(message.contains("cpu_permille"), "{message}");
    }

    #[test]
    fn a_wrong_type_a_second_value_and_a_repeated_key_are_refused_by_their_path() {
        assert!(
            refused(r#"{"output": {"file": {"keep": "four"}}}"#).contains("output.file.keep: invalid type")
        );
        assert!(refused("{} {}").contains("end of file"));
        assert!(refused(r#"{"argv_max_bytes": 100, "argv_max_bytes": 200}"#).contains("duplicate field"));
        assert!(refused("").contains("EOF"));
    }

    #[test]
    fn values_out_of_bounds_name_the_key_and_the_bounds() {
        assert_eq!(
            refused(r#"{"ring": {"bytes": 100000}}"#),
            "linnet.json: ring.bytes: 100000 is not a power of two"
        );
        assert_eq!(
            refused(r#"{"argv_max_bytes": 9000}"#),
            "linnet.json: argv_max_bytes: 9000 is outside 64 to 8192"
        );
        assert!(refused(r#"{"runtime_dir": "run"}"#).contains("runtime_dir: give an absolute path"));
        assert!(refused(r#"{"ring": {"bytes": 134217728}}"#).contains("half of limits.memory_max_bytes"));
    }

    #[test]
    fn plugins_are_checked_like_everything_else() {
        let json = r#"{"plugins": {"enabled": {"inventory": {"settings": {"interval_s": 60}}}}}"#;
        let settings = parse(Path::new("x"), json.as_bytes()).unwrap();
        assert_eq!(settings.plugins.enabled["inventory"].as_ref().unwrap().settings["interval_s"], 60);
        for (json, message) in [
            (r#"{"plugins": {"enabled": {"../x": {}}}}"#, "plugins.enabled: \"../x\" is no plugin's name"),
            (
                r#"{"plugins": {"enabled": {"a": {"setings": {}}}}}"#,
                "plugins.enabled.a.setings: unknown field",
            ),
            (r#"{"plugins": {"policy": {"allow": ["root"]}}}"#, "plugins.policy.allow[0]: unknown variant"),
            (r#"{"plugins": {"policy": {"pids_max": 0}}}"#, "plugins.policy.pids_max: 0 is outside"),
            (r#"{"plugins": {"directory": "plugins"}}"#, "plugins.directory: give an absolute path"),
        ] {
            assert!(refused(json).contains(message), "{}", refused(json));
        }
    }

    #[test]
    fn a_sink_s_secrets_are_in_files_and_do_not_cross_the_network_in_clear() {
        let with = |rest: &str| {
            format!(r#"{{"sinks": {{"siem": {{"url": "https://siem.example.org/in"{rest}}}}}}}"#)
        };
        assert!(parse(Path::new("x"), with("").as_bytes()).unwrap().sinks["siem"].enabled);
        for (json, message) in [
            (with(r#", "url2": 1"#), "sinks.siem.url2: unknown field"),
            (with(r#", "auth": {"bearer": {"token": "x"}}"#), "sinks.siem.auth"),
            (with(r#", "auth": {"bearer": {"file": "token"}}"#), "give an absolute path, or credential:NAME"),
            (with(r#", "auth": {"bearer": {"file": "credential:../x"}}"#), "credential:NAME"),
            (with(r#", "tls": {"key_file": "/etc/key"}"#), "certificate_file and key_file go together"),
            (r#"{"sinks": {"siem": {}}}"#.to_owned(), "sinks: siem.url: give https://"),
            (r#"{"sinks": {"a/b": {"url": "https://h/"}}}"#.to_owned(), "a sink's name"),
            (r#"{"sinks": {"a": {"url": "https://u:p@h/"}}}"#.to_owned(), "use auth, with a file"),
            (
                r#"{"sinks": {"a": {"url": "http://h/", "auth": {"bearer": {"file": "/t"}}}}}"#.to_owned(),
                "unencrypted",
            ),
            (r#"{"spool": {"max_bytes": 5}}"#.to_owned(), "spool.max_bytes: 5 is outside"),
        ] {
            assert!(refused(&json).contains(message), "{}", refused(&json));
        }
        let local = r#"{"sinks": {"a": {"url": "http://[::1]:8080/", "auth": {"bearer": {"file": "credential:t"}}}}}"#;
        assert!(parse(Path::new("x"), local.as_bytes()).is_ok());
    }

    #[test]
    fn a_named_file_must_exist_and_the_default_one_need_not() {
        assert!(Loaded::read(Some(Path::new("/nonexistent/linnet.json"))).is_err());
    }
}
