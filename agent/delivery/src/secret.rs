//! Secrets from files: what proves to a backend who this host is.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use linnet_settings::peer::{Auth, Tls};
use zeroize::Zeroizing;

/// Tokens and passwords are short.
const MAX_BYTES: u64 = 64 << 10;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The file can't be read.
    #[error("secret {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A credential was named, and systemd hands over none.
    #[error("{path:?}: $CREDENTIALS_DIRECTORY is not set: add LoadCredential= to the unit")]
    NoCredentials {
        /// What was named.
        path: PathBuf,
    },
    /// Nothing that can stand in a header.
    #[error("secret {path:?} is empty, too long, or holds more than one line of text")]
    Shape {
        /// The file.
        path: PathBuf,
    },
}

/// Name and value of the header that `auth` asks for.
pub(crate) fn header(auth: &Auth) -> Result<(String, Zeroizing<String>), SecretError> {
    let secret = read(auth.file())?;
    let secret = secret.as_str();
    Ok(match auth {
        Auth::Bearer { .. } => ("authorization".to_owned(), Zeroizing::new(format!("Bearer {secret}"))),
        Auth::Basic { user, .. } => {
            let pair = Zeroizing::new(format!("{user}:{secret}"));
            (
                "authorization".to_owned(),
                Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))),
            )
        }
        Auth::ApiKey { header, prefix, .. } => (header.clone(), Zeroizing::new(format!("{prefix}{secret}"))),
    })
}

/// The same files, where they are.
pub(crate) fn located_tls(tls: &Tls) -> Result<Tls, SecretError> {
    let at = |named: &Option<PathBuf>| named.as_deref().map(located).transpose();
    Ok(Tls {
        ca_file: at(&tls.ca_file)?,
        certificate_file: at(&tls.certificate_file)?,
        key_file: at(&tls.key_file)?,
    })
}

/// Where a file is: at its path, or among the credentials that systemd has handed over.
fn located(named: &Path) -> Result<PathBuf, SecretError> {
    let credential = named.to_str().and_then(|text| text.strip_prefix("credential:"));
    match credential {
        Some(name) => {
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                .ok_or_else(|| SecretError::NoCredentials { path: named.to_owned() })?;
            Ok(PathBuf::from(directory).join(name))
        }
        None => Ok(named.to_owned()),
    }
}

fn read(named: &Path) -> Result<Zeroizing<String>, SecretError> {
    let path = located(named)?;
    let mut text = Zeroizing::new(String::new());
    File::open(&path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
        .map_err(|source| SecretError::Read { path: path.clone(), source })?;
    let trimmed = text.trim();
    let plain = trimmed.chars().all(|ch| !ch.is_control());
    if trimmed.is_empty() || trimmed.len() as u64 > MAX_BYTES || !plain {
        return Err(SecretError::Shape { path });
    }
    Ok(Zeroizing::new(trimmed.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(content: &str, auth: impl Fn(PathBuf) -> Auth) -> Result<String, SecretError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, content).unwrap();
        header(&auth(file)).map(|(name, value)| format!("{name}: {}", value.as_str()))
    }

    #[test]
    fn each_kind_makes_its_header() {
        let bearer = |file| Auth::Bearer { file };
        assert_eq!(value("t0k3n\n", bearer).unwrap(), "authorization: Bearer t0k3n");
        let basic = |file| Auth::Basic { user: "ann".to_owned(), file };
        assert_eq!(value("open sesame", basic).unwrap(), "authorization: Basic YW5uOm9wZW4gc2VzYW1l");
        let splunk =
            |file| Auth::ApiKey { header: "authorization".to_owned(), prefix: "Splunk ".to_owned(), file };
        assert_eq!(value("k", splunk).unwrap(), "authorization: Splunk k");
    }

    #[test]
    fn what_would_break_a_header_is_refused_without_being_shown() {
        for content in ["", "\n", "a\r\nX-Evil: 1", "a\0b"] {
            let error = value(content, |file| Auth::Bearer { file }).unwrap_err();
            assert!(matches!(error, SecretError::Shape { .. }));
            assert!(!error.to_string().contains("Evil"));
        }
    }
}
