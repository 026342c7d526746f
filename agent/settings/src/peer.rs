//! A server that is asked over HTTP: what sinks over the network and pushed metrics have in common.

use std::path::{Path, PathBuf};

use linnet_fleet::settings_section;
use serde::{Deserialize, Serialize};

/// A key below the server's own, and what is wrong with it.
pub(crate) type Wrong = (&'static str, String);

/// One such server.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'s> {
    /// Where it is.
    pub url: &'s str,
    /// How bodies are compressed.
    pub compression: Compression,
    /// What proves who this host is.
    pub auth: Option<&'s Auth>,
    /// Certificates.
    pub tls: &'s Tls,
    /// `http://[user:password@]host:port`, `none`, or what the environment says.
    pub proxy: Option<&'s str>,
    /// How long a request may take.
    pub timeout_s: u32,
}

/// A server's url as it may be shown: what follows a `?` may be a password.
#[must_use]
pub fn shown(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

settings_section! {
    /// Certificates.
    Tls {
        /// Authorities beside the system's, in PEM.
        ca_file: Option<PathBuf> = None,
        /// This host's certificate, in PEM.
        certificate_file: Option<PathBuf> = None,
        /// Its key, in PEM.
        key_file: Option<PathBuf> = None,
    }
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// `Content-Encoding: gzip`.
    Gzip,
}

/// What proves who this host is. Secrets are in files, never here: an absolute path, or `credential:NAME` for one that
/// systemd hands over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer {
        /// The token.
        file: PathBuf,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        file: PathBuf,
    },
    /// Another header.
    ApiKey {
        /// Its name.
        header: String,
        /// What stands before the key: `ApiKey ` for Elasticsearch, `Splunk ` for Splunk.
        prefix: String,
        /// The key.
        file: PathBuf,
    },
}

impl Auth {
    /// The file of the secret.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Self::Bearer { file } | Self::Basic { file, .. } | Self::ApiKey { file, .. } => file,
        }
    }
}

impl Peer<'_> {
    /// Whether the url is one, and keeps what is secret.
    pub(crate) fn check_url(&self) -> Result<(), Wrong> {
        let (scheme, rest) = self.url.split_once("://").unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if !matches!(scheme, "http" | "https") || authority.is_empty() {
            return Err((
                ".url",
                "give https://host[:port]/path, or http://… where nothing secret crosses the network"
                    .to_owned(),
            ));
        }
        if authority.contains('@') {
            return Err((".url", "holds a user or password: use auth, with a file".to_owned()));
        }
        if self.auth.is_some() && scheme == "http" && !is_loopback(authority) {
            return Err((".auth", "the secret would cross the network unencrypted: use https".to_owned()));
        }
        Ok(())
    }

    /// Whether certificates and secrets are where they can be.
    pub(crate) fn check_files(&self) -> Result<(), Wrong> {
        let Tls { ca_file, certificate_file, key_file } = self.tls;
        if certificate_file.is_some() != key_file.is_some() {
            return Err((".tls", "certificate_file and key_file go together".to_owned()));
        }
        let files = [
            (".tls.ca_file", ca_file.as_deref()),
            (".tls.certificate_file", certificate_file.as_deref()),
            (".tls.key_file", key_file.as_deref()),
            (".auth", self.auth.map(Auth::file)),
        ];
        for (key, file) in files.into_iter().filter_map(|(key, file)| Some((key, file?))) {
            let credential = file.to_str().and_then(|text| text.strip_prefix("credential:"));
            let good = match credential {
                Some(name) => !name.is_empty() && !name.contains('/') && name != "." && name != "..",
                None => file.is_absolute(),
            };
            if !good {
                return Err((key, format!("{file:?}: give an absolute path, or credential:NAME")));
            }
        }
        Ok(())
    }
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_not_shown() {
        assert_eq!(shown("https://c:8123/?user=a&password=b"), "https://c:8123/");
        assert_eq!(shown("unix:/run/log"), "unix:/run/log");
    }
}
