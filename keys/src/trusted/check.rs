//! The checks that several steps of the workflow make, each once.

use jiff::Timestamp as Time;

use crate::envelope::Envelope;
use crate::error::TrustError;
use crate::key::KeyTable;
use crate::metadata::{Document, MetaFile, RoleKeys, RoleName, Root};

/// Parses a document of at most so many bytes.
pub(super) fn open(role: &str, bytes: &[u8], max_bytes: u64) -> Result<Envelope, TrustError> {
    let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if found > max_bytes {
        return Err(TrustError::Length {
            role: role.to_owned(),
            found,
            wanted: format!("{max_bytes} are the most"),
        });
    }
    Envelope::parse(bytes).map_err(|why| TrustError::Envelope { role: role.to_owned(), why })
}

/// Signed by a threshold of the keys that `by` gives the role.
pub(super) fn signed_by(
    role: &str,
    envelope: &Envelope,
    keys: &KeyTable,
    of: &RoleKeys,
    by: &str,
) -> Result<(), TrustError> {
    envelope.verify(keys, of).map_err(|why| TrustError::Unsigned {
        role: role.to_owned(),
        by: by.to_owned(),
        why,
    })
}

/// The content, after its signatures were checked (save root's own, which are in it).
pub(super) fn typed<T: Document>(role: &str, envelope: &Envelope) -> Result<T, TrustError> {
    let malformed = |reason: String| TrustError::Malformed { role: role.to_owned(), reason };
    let kind = envelope.signed().get("_type").and_then(serde_json::Value::as_str).unwrap_or_default();
    if kind != T::TYPE {
        return Err(malformed(format!("its _type is {kind:?}, where {:?} was asked for", T::TYPE)));
    }
    let document: T = envelope.content().map_err(|error| malformed(error.to_string()))?;
    document.check().map_err(malformed)?;
    Ok(document)
}

/// A version that fits; `wanted` says which would.
pub(super) fn version(
    role: &str,
    found: u64,
    fits: impl Fn(u64) -> bool,
    wanted: impl Fn() -> String,
) -> Result<(), TrustError> {
    if fits(found) {
        Ok(())
    } else {
        Err(TrustError::Version { role: role.to_owned(), found, wanted: wanted() })
    }
}

/// The version that timestamp or snapshot lists.
pub(super) fn listed_version<T: Document>(
    role: &str,
    new: &T,
    listed: &MetaFile,
    by: &str,
) -> Result<(), TrustError> {
    let listed = listed.version.get();
    version(role, new.common().version.get(), |v| v == listed, || format!("{by} lists {listed}"))
}

/// The length and digests that timestamp or snapshot lists, where it lists any.
pub(super) fn listed_bytes(role: &str, bytes: &[u8], listed: &MetaFile, by: &str) -> Result<(), TrustError> {
    let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if let Some(length) = listed.length.filter(|length| *length != found) {
        return Err(TrustError::Length {
            role: role.to_owned(),
            found,
            wanted: format!("{by} lists {length}"),
        });
    }
    if listed.hashes.as_ref().is_some_and(|hashes| !hashes.fit(bytes)) {
        return Err(TrustError::Digest { role: role.to_owned(), by: by.to_owned() });
    }
    Ok(())
}

/// "The expiration timestamp must be higher than the fixed update start time."
pub(super) fn fresh<T: Document>(role: &str, document: &T, now: Time) -> Result<(), TrustError> {
    let at = document.common().expires;
    if at > now { Ok(()) } else { Err(TrustError::Expired { role: role.to_owned(), at, now }) }
}

/// Whether a key that could sign for the role no longer can. One that is added takes nothing from anybody.
pub(super) fn lost_a_key(old: &Root, new: &Root, role: RoleName) -> bool {
    let usable = |root: &Root| -> Vec<[u8; 32]> {
        let ids = root.role(role).keyids.iter();
        ids.filter_map(|id| root.keys.get(id)).map(|key| *key.as_bytes()).collect()
    };
    let kept = usable(new);
    usable(old).iter().any(|key| !kept.contains(key))
}

/// The caller skipped a step.
pub(super) fn order(role: &str, needs: &'static str) -> TrustError {
    TrustError::Order { role: role.to_owned(), needs }
}
