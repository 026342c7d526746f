//! What stands at known places of an event's line: the sensor writes it, so it is found without parsing JSON.
//!
//! Text that a process or a plugin chose can't stand in for it. The head is the line's first bytes; uid and device are
//! looked for from the end, where the sensor writes them after everything else; and a quote within text is escaped, so that
//! no text holds what is looked for. What is not found is None, and the event goes without it.

/// What stands before the uid in every event.
const BEFORE_UID: &[u8] = b",\"metadata\":{\"version\":\"1.8.0\",\"uid\":\"";
const MAX_UID: usize = 64;
/// What stands before the host's id in every event.
const BEFORE_DEVICE: &[u8] = b",\"device\":{\"uid\":\"";
const BEFORE_HOSTNAME: &[u8] = b"\",\"hostname\":\"";
/// The longest host name of a Linux host is 64 bytes long.
const MAX_NAME: usize = 256;

/// The numbers that a line begins with, as far as they are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub time_ms: Option<u64>,
    pub class_uid: Option<u64>,
    pub activity_id: Option<u64>,
    pub severity_id: Option<u64>,
}

impl Head {
    pub fn of(line: &[u8]) -> Self {
        let mut head = Self::default();
        let mut rest = line.strip_prefix(b"{").unwrap_or_default();
        for name in ["time", "class_uid", "category_uid", "activity_id", "type_uid", "severity_id"] {
            let Some((value, after)) = number(name, rest) else { return head };
            match name {
                "time" => head.time_ms = Some(value),
                "class_uid" => head.class_uid = Some(value),
                "activity_id" => head.activity_id = Some(value),
                "severity_id" => head.severity_id = Some(value),
                _ => {}
            }
            rest = after.strip_prefix(b",").unwrap_or_default();
        }
        head
    }
}

/// The value of `"name":digits` at the start, and what follows it.
fn number<'l>(name: &str, text: &'l [u8]) -> Option<(u64, &'l [u8])> {
    let rest = text.strip_prefix(b"\"")?.strip_prefix(name.as_bytes())?.strip_prefix(b"\":")?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, after) = rest.split_at_checked(end)?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, after))
}

/// The milliseconds that a line begins with: every event's first attribute is its time.
pub(crate) fn time_ms(line: &[u8]) -> Option<u64> {
    number("time", line.strip_prefix(b"{")?).map(|(value, _)| value)
}

/// The uid of the event: letters, digits and dashes.
pub(crate) fn uid(line: &[u8]) -> Option<&str> {
    let uid = quoted(after_last(BEFORE_UID, line)?, MAX_UID)?;
    let plain = uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then_some(uid)
}

/// The host that the event is of: id, and name where there is one. Both as JSON text, without the quotes around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device<'l> {
    pub id: &'l str,
    pub name: Option<&'l str>,
}

impl<'l> Device<'l> {
    pub fn of(line: &'l [u8]) -> Option<Self> {
        let rest = after_last(BEFORE_DEVICE, line)?;
        let id = quoted(rest, MAX_NAME)?;
        let name = rest.get(id.len()..).and_then(|rest| rest.strip_prefix(BEFORE_HOSTNAME));
        Some(Self { id, name: name.and_then(|rest| quoted(rest, MAX_NAME)) })
    }
}

fn after_last<'l>(what: &[u8], line: &'l [u8]) -> Option<&'l [u8]> {
    let at = line.windows(what.len()).rposition(|window| window == what)?;
    line.get(at + what.len()..)
}

/// Up to the closing quote of a JSON string, as it stands there.
fn quoted(text: &[u8], most: usize) -> Option<&str> {
    let mut escaped = false;
    let end = text.iter().take(most + 1).position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    std::str::from_utf8(text.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = br#"{"time":17,"class_uid":1007,"category_uid":1,"activity_id":2,"type_uid":100702,"severity_id":3,"x":{"device":{"uid":"forged","hostname":"forged"},"metadata":{"version":"1.8.0","uid":"forged"}},"metadata":{"version":"1.8.0","uid":"4f-8e","sequence":1},"device":{"uid":"0b5c","hostname":"a\"b","type_id":0}}"#;

    #[test]
    fn what_the_sensor_wrote_is_found_and_what_a_plugin_put_before_it_is_not() {
        let head =
            Head { time_ms: Some(17), class_uid: Some(1007), activity_id: Some(2), severity_id: Some(3) };
        assert_eq!(Head::of(LINE), head);
        assert_eq!(uid(LINE), Some("4f-8e"));
        assert_eq!(Device::of(LINE), Some(Device { id: "0b5c", name: Some("a\\\"b") }));
    }

    #[test]
    fn a_line_that_ends_anywhere_is_no_reason_to_stumble() {
        for end in 0..LINE.len() {
            let line = &LINE[..end];
            let _ = (Head::of(line), uid(line), Device::of(line));
        }
    }

    #[test]
    fn the_time_is_the_first_number_of_a_line() {
        assert_eq!(time_ms(b"{\"time\":1795306576803,\"class_uid\":1007}\n"), Some(1_795_306_576_803));
        for line in [&b""[..], b"{}", b"{\"time\":}", b"{\"time\":-1}", b"{\"time\":12"] {
            assert_eq!(time_ms(line), None);
        }
    }
}
