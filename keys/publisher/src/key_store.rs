//! The directory of private keys: one PKCS#8 PEM file a key, `ROLE-<first 12 digits of the key id>.pem`, mode 0600.
//!
//! The id stands in the name so that the key of an id is found without decrypting all. A file is only used when the
//! key in it has that id. Beside the keys: `pending/` with documents that wait for signatures, and `published.json`,
//! the versions that this machine published last.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use ed25519::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding};
use linnet_keys::key::KeyId;
use linnet_keys::sign::PrivateKey;
use pkcs8::PrivateKeyInfo;
use pkcs8::pkcs5::pbes2::Parameters;
use pkcs8::pkcs5::scrypt::Params;
use pkcs8::rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

use crate::effect;
use crate::passphrase::Source;

/// A PEM file of a key is some 300 bytes.
const MAX_PEM_BYTES: u64 = 16 << 10;

/// The directory of private keys.
pub struct KeyStore {
    directory: PathBuf,
    source: Source,
    passphrase: OnceCell<Option<Zeroizing<String>>>,
    loaded: RefCell<BTreeMap<KeyId, PrivateKey>>,
}

impl KeyStore {
    /// The keys in `directory`, which need not exist yet.
    pub fn new(directory: PathBuf, source: Source) -> Self {
        Self { directory, source, passphrase: OnceCell::new(), loaded: RefCell::default() }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where documents wait for signatures.
    pub fn pending(&self) -> PathBuf {
        self.directory.join("pending")
    }

    /// Makes a key and stores it.
    pub fn generate(&self, role: &str) -> Result<PrivateKey> {
        effect::directory(&self.directory, 0o700)?;
        let mut seed = Zeroizing::new([0; 32]);
        OsRng
            .try_fill_bytes(seed.as_mut())
            .map_err(|error| anyhow!("get randomness from the system: {error}"))?;
        let key = PrivateKey::from_seed(&seed).ok_or_else(|| anyhow!("the system's randomness is broken"))?;
        let pair = KeypairBytes { secret_key: *seed, public_key: None };
        let pem = encode(&pair, self.passphrase(true)?).map_err(|error| anyhow!("encode a key: {error}"))?;
        let path = self.directory.join(format!("{role}-{}.pem", key.id().short()));
        effect::write(&path, pem.as_bytes(), effect::PRIVATE)?;
        self.loaded.borrow_mut().insert(key.id(), key.clone());
        Ok(key)
    }

    /// The keys of these ids that are here.
    pub fn load<'a>(&self, ids: impl IntoIterator<Item = &'a KeyId>) -> Result<Vec<PrivateKey>> {
        let mut keys: Vec<PrivateKey> = Vec::new();
        for id in ids {
            if keys.iter().any(|key| key.id() == *id) {
                continue;
            }
            let known = self.loaded.borrow().get(id).cloned();
            let key = match (known, self.find(id)?) {
                (Some(key), _) => key,
                (None, Some(path)) => {
                    let key = self.read(&path)?;
                    if key.id() != *id {
                        bail!("{path:?} holds another key than its name says: put the right file there");
                    }
                    key
                }
                (None, None) => continue,
            };
            self.loaded.borrow_mut().insert(id.clone(), key.clone());
            keys.push(key);
        }
        Ok(keys)
    }

    /// Whether the key of this id is here.
    pub fn has(&self, id: &KeyId) -> Result<bool> {
        Ok(self.loaded.borrow().contains_key(id) || self.find(id)?.is_some())
    }

    /// Every key whose file name says that it is of this role.
    pub fn of_role(&self, role: &str) -> Result<Vec<PrivateKey>> {
        let prefix = format!("{role}-");
        self.files()?
            .into_iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(_, path)| self.read(&path))
            .collect()
    }

    fn find(&self, id: &KeyId) -> Result<Option<PathBuf>> {
        let suffix = format!("-{}.pem", id.short());
        Ok(self.files()?.into_iter().find(|(name, _)| name.ends_with(&suffix)).map(|(_, path)| path))
    }

    fn files(&self) -> Result<BTreeMap<String, PathBuf>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            entries => entries.with_context(|| format!("read the directory of keys {:?}", self.directory))?,
        };
        let mut files = BTreeMap::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".pem") && !name.starts_with('.') {
                files.insert(name, entry.path());
            }
        }
        Ok(files)
    }

    fn read(&self, path: &Path) -> Result<PrivateKey> {
        let metadata = fs::metadata(path).with_context(|| format!("read {path:?}"))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            bail!("others may read the private key {path:?}: chmod 600 it, and consider it known to them");
        }
        if metadata.len() > MAX_PEM_BYTES {
            bail!("{path:?} is too long to be a key");
        }
        let pem = Zeroizing::new(fs::read_to_string(path).with_context(|| format!("read {path:?}"))?);
        let pair = if pem.starts_with("-----BEGIN ENCRYPTED") {
            let passphrase = self.passphrase(false)?;
            let passphrase =
                passphrase.ok_or_else(|| anyhow!("{path:?} is encrypted: leave --unencrypted away"))?;
            KeypairBytes::from_pkcs8_encrypted_pem(&pem, passphrase.as_bytes())
                .map_err(|error| anyhow!("decrypt {path:?} (is the passphrase right?): {error}"))?
        } else {
            KeypairBytes::from_pkcs8_pem(&pem).map_err(|error| anyhow!("read the key {path:?}: {error}"))?
        };
        PrivateKey::from_seed(&pair.secret_key).ok_or_else(|| anyhow!("{path:?} holds a weak key"))
    }

    fn passphrase(&self, new: bool) -> Result<Option<&Zeroizing<String>>> {
        if self.passphrase.get().is_none() {
            let passphrase = self.source.read(new)?;
            let _ = self.passphrase.set(passphrase);
        }
        Ok(self.passphrase.get().and_then(Option::as_ref))
    }
}

/// The key as PEM; encrypted by scrypt and AES-256-CBC. OpenSSL reads at most 32 MiB of scrypt, so memory is halved
/// against what is usual and the rounds make up for it (N = 2^14, r = 8, p = 5).
fn encode(pair: &KeypairBytes, passphrase: Option<&Zeroizing<String>>) -> pkcs8::Result<Zeroizing<String>> {
    let Some(passphrase) = passphrase else { return pair.to_pkcs8_pem(LineEnding::LF) };
    let plain = pair.to_pkcs8_der()?;
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    OsRng.fill_bytes(&mut salt);
    OsRng.fill_bytes(&mut iv);
    let scrypt = Params::new(14, 8, 5, 32).map_err(|_| pkcs8::Error::ParametersMalformed)?;
    let parameters = Parameters::scrypt_aes256cbc(scrypt, &salt, &iv)?;
    let encrypted =
        PrivateKeyInfo::try_from(plain.as_bytes())?.encrypt_with_params(parameters, passphrase.as_bytes())?;
    Ok(encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)?)
}
