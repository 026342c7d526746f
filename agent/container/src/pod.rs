//! The uid of a Kubernetes pod: found in the path of a container, and brought to one form.

use std::fmt;

use crate::component::{Parents, is_lower_hex};

/// Length of a uuid with its dashes.
const UUID_LEN: usize = 36;
/// Length of the configuration hash that the kubelet uses as the uid of a static pod.
const STATIC_LEN: usize = 32;

/// A pod's uid as the Kubernetes API shows it: a uuid with dashes whichever cgroup driver wrote it, or the 32
/// hexadecimal digits of a static pod's configuration hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PodUid {
    bytes: [u8; UUID_LEN],
    len: u8,
}

impl PodUid {
    /// The uid as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.len)).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
    }

    /// Reads a uid with dashes (cgroupfs driver), with underscores (systemd driver, where a dash would make another
    /// slice), or a static pod's 32 digits.
    fn read(text: &str) -> Option<Self> {
        let mut bytes = [0; UUID_LEN];
        match text.len() {
            STATIC_LEN if is_lower_hex(text) => {}
            UUID_LEN if is_uuid(text) => {}
            _ => return None,
        }
        for (to, from) in bytes.iter_mut().zip(text.bytes()) {
            *to = if from == b'_' { b'-' } else { from };
        }
        Some(Self { bytes, len: u8::try_from(text.len()).ok()? })
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PodUid({self})")
    }
}

/// The pod named by the container's own component (containerd's colon form) or by the nearest parent.
pub(crate) fn find(name: &str, parents: Parents<'_>) -> Option<PodUid> {
    std::iter::once(name).chain(parents).find_map(in_component)
}

fn in_component(name: &str) -> Option<PodUid> {
    let slice = name.split_once(':').map_or(name, |(slice, _)| slice);
    if let Some(stem) = slice.strip_suffix(".slice") {
        // Each part of a slice's name repeats its parents': kubelet-kubepods-burstable-pod<uid>.slice.
        let (_, uid) = stem.rsplit_once("-pod")?;
        return PodUid::read(uid);
    }
    PodUid::read(slice.strip_prefix("pod")?)
}

/// Whether `text` is a lower-case uuid, 8-4-4-4-12, parted by dashes or underscores.
pub(crate) fn is_uuid(text: &str) -> bool {
    has_groups(text, &[8, 4, 4, 4, 12])
}

/// Whether `text` consists of groups of lower-case hexadecimal digits of these lengths, parted by dashes or
/// underscores.
pub(crate) fn has_groups(text: &str, lens: &[usize]) -> bool {
    let mut groups = text.split(['-', '_']);
    lens.iter().all(|len| groups.next().is_some_and(|g| g.len() == *len && is_lower_hex(g)))
        && groups.next().is_none()
}
