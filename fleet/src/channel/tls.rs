//! Which certificates are trusted for TLS: the system's and those of `ca_file`; and which one this host shows.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::connect::Unusable;
use crate::capped;

/// Where distributions keep their bundle: Debian, Alpine and Arch; Fedora; older ones of Red Hat; SUSE.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];
/// Bundles have some 200 KiB.
const MAX_BUNDLE_BYTES: usize = 4 << 20;

/// The settings of TLS for HTTP. A host without a bundle of the system's has only what `ca_file` names. `own` are the files
/// of this host's certificate and key, in PEM, if it shows one.
///
/// # Errors
/// When a file can't be read or holds something else, and when the certificate and the key do not belong together: the client would
/// end the program for that.
pub fn config(ca_file: Option<&Path>, own: Option<(&Path, &Path)>) -> Result<TlsConfig, Unusable> {
    let certificates = authorities(ca_file)?;
    let client = own.map(|(certificate, key)| client(certificate, key)).transpose()?;
    Ok(TlsConfig::builder()
        .client_cert(client)
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider())
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .build())
}

/// The same for a protocol that is not HTTP.
///
/// # Errors
/// As with [`config`].
pub fn client_config(
    ca_file: Option<&Path>,
    own: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, Unusable> {
    let unusable = |key, error: rustls::Error| Unusable::new(key, format!("of no use: {error}"));
    let mut roots = RootCertStore::empty();
    // Some bundles hold a certificate that cannot be parsed; the rest is not to suffer for it.
    roots.add_parsable_certificates(
        authorities(ca_file)?.iter().map(|one| CertificateDer::from(one.der().to_vec())),
    );
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("tls", error))?
        .with_root_certificates(roots);
    let config = match own.map(|(certificate, key)| client(certificate, key)).transpose()? {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let (chain, key) = for_rustls(&own)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable("certificate_file", error))?
        }
    };
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The system's, and those of `ca_file`.
fn authorities(ca_file: Option<&Path>) -> Result<Vec<Certificate<'static>>, Unusable> {
    let mut certificates = Vec::new();
    for bundle in BUNDLES {
        if let Ok(Some(pem)) = capped::read(Path::new(bundle), MAX_BUNDLE_BYTES) {
            certificates.extend(certificates_of(&pem));
            break;
        }
    }
    if let Some(path) = ca_file {
        let own = certificates_of(&read("ca_file", path)?);
        if own.is_empty() {
            return Err(holds_no("ca_file", path, "certificate"));
        }
        certificates.extend(own);
    }
    Ok(certificates)
}

fn client(certificate_file: &Path, key_file: &Path) -> Result<ClientCert, Unusable> {
    let chain = certificates_of(&read("certificate_file", certificate_file)?);
    if chain.is_empty() {
        return Err(holds_no("certificate_file", certificate_file, "certificate"));
    }
    let key = PrivateKey::from_pem(&read("key_file", key_file)?)
        .map_err(|_| holds_no("key_file", key_file, "private key"))?;
    let own = ClientCert::new_with_certs(&chain, key);
    let (chain, key) = for_rustls(&own)?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
        let files = format!("{certificate_file:?} with {key_file:?}");
        Unusable::new("certificate_file", format!("{files} is of no use: {error}"))
    })?;
    Ok(own)
}

type ChainAndKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn for_rustls(own: &ClientCert) -> Result<ChainAndKey, Unusable> {
    let chain = own.certs().iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
    let key = PrivateKeyDer::try_from(own.private_key().der().to_vec())
        .map_err(|error| Unusable::new("key_file", format!("of no use: {error}")))?;
    Ok((chain, key))
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, Unusable> {
    capped::read(path, MAX_BUNDLE_BYTES)
        .map_err(|error| Unusable::new(key, format!("read {path:?}: {error}")))?
        .ok_or_else(|| Unusable::new(key, format!("{path:?} is longer than 4 MiB")))
}

fn holds_no(key: &'static str, path: &Path, what: &str) -> Unusable {
    Unusable::new(key, format!("{path:?} holds no {what}: give a file in PEM"))
}

fn certificates_of(pem: &[u8]) -> Vec<Certificate<'static>> {
    parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect()
}
