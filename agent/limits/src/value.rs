//! Values in cgroup files, read with a bound. A file that is missing gives `None`, as a kernel that does not offer
//! it would.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// `memory.stat`, the longest, has about 2 KiB.
const MAX_BYTES: u64 = 64 << 10;

/// v1 says "unlimited" as the largest whole page count below 2^63; with the page sizes there are, this or more.
const V1_UNLIMITED_BYTES: u64 = (i64::MAX as u64) & !0xf_ffff;

/// The content of a cgroup file.
pub(crate) fn text(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

/// A file that has one number.
pub(crate) fn number(path: &Path) -> Option<u64> {
    text(path)?.trim().parse().ok()
}

/// A file that has one limit: `None` for `max`, `-1` and v1's huge value alike.
pub(crate) fn limit(path: &Path) -> Option<u64> {
    number(path).filter(|value| *value < V1_UNLIMITED_BYTES)
}

/// The number after `key` in a file of lines `<key> <number>`.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}

/// v2's `cpu.max`: quota (`None` for `max`) and period.
pub(crate) fn cpu_max(text: &str) -> Option<(Option<u64>, u64)> {
    let (quota, period) = text.trim().split_once(' ')?;
    let quota = if quota == "max" { None } else { Some(quota.parse().ok()?) };
    Some((quota, period.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unlimited_is_none_in_every_dialect() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("limit");
        for (content, expected) in [
            ("max\n", None),
            ("-1\n", None),
            ("9223372036854771712\n", None),
            ("9223372036854710272\n", None),
            ("134217728\n", Some(134_217_728)),
            ("", None),
            ("12 34", None),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(limit(&path), expected, "{content:?}");
        }
        assert_eq!(limit(&directory.path().join("missing")), None);
    }

    #[test]
    fn keys_are_matched_whole() {
        let text = "oom 1\noom_kill 2\noom_group_kill 3\nbroken\nnan x\n";
        assert_eq!(keyed(text, "oom"), Some(1));
        assert_eq!(keyed(text, "oom_kill"), Some(2));
        assert_eq!(keyed(text, "oom_k"), None);
        assert_eq!(keyed(text, "nan"), None);
    }

    #[test]
    fn cpu_max_has_two_fields() {
        assert_eq!(cpu_max("max 100000\n"), Some((None, 100_000)));
        assert_eq!(cpu_max("50000 100000\n"), Some((Some(50_000), 100_000)));
        assert_eq!(cpu_max("50000"), None);
        assert_eq!(cpu_max("half all"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "(\\PC|\n| ){0,80}", key in "\\PC{0,8}") {
            let _ = (keyed(&text, &key), cpu_max(&text));
        }
    }
}
