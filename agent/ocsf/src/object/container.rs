//! The container that a process runs in.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// OCSF `container`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Container<'a> {
    /// The whole id.
    pub uid: &'a str,
    /// The name, where a runtime was asked.
    pub name: Option<&'a str>,
    /// The runtime, such as `containerd`.
    pub runtime: Option<&'a str>,
    /// What runs the runtime, such as `kubernetes`.
    pub orchestrator: Option<&'a str>,
    /// The pod's uid. A static pod's is a hash, not a UUID, and OCSF's `pod_uuid` takes UUIDs only: it is
    /// written as the tag `pod_uid` then.
    pub pod_uid: Option<&'a str>,
    /// The image, where a runtime was asked.
    pub image: Option<Image<'a>>,
}

/// OCSF `image`.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Image<'a> {
    /// The digest.
    pub uid: &'a str,
    /// The name without its tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// The tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<&'a str>,
}

/// OCSF `key_value_object`.
#[derive(Serialize)]
struct Tag<'a> {
    name: &'a str,
    value: &'a str,
}

impl Serialize for Container<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("container", 6)?;
        object.serialize_field("uid", self.uid)?;
        for (key, value) in
            [("name", self.name), ("runtime", self.runtime), ("orchestrator", self.orchestrator)]
        {
            if let Some(value) = value {
                object.serialize_field(key, value)?;
            }
        }
        match self.pod_uid {
            Some(value) if is_uuid(value) => object.serialize_field("pod_uuid", value)?,
            Some(value) => object.serialize_field("tags", &[Tag { name: "pod_uid", value }])?,
            None => {}
        }
        if let Some(image) = &self.image {
            object.serialize_field("image", image)?;
        }
        object.end()
    }
}

/// Whether `text` has the form that OCSF asks of a `uuid_t`: hex digits in groups of 8-4-4-4-12.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_uid_that_is_no_uuid_becomes_a_tag() {
        for (pod_uid, wanted) in [
            (
                "12345678-9abc-def0-1234-56789abcdef0",
                r#"{"uid":"c","pod_uuid":"12345678-9abc-def0-1234-56789abcdef0"}"#,
            ),
            (
                "0123456789abcdef0123456789abcdef",
                r#"{"uid":"c","tags":[{"name":"pod_uid","value":"0123456789abcdef0123456789abcdef"}]}"#,
            ),
        ] {
            let container = Container { uid: "c", pod_uid: Some(pod_uid), ..Container::default() };
            assert_eq!(serde_json::to_string(&container).unwrap(), wanted);
        }
    }
}
