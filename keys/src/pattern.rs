//! Which paths of targets a delegation speaks for: patterns of paths, or prefixes of their digests.
//!
//! In a pattern `*` is any run of characters and `?` any one, neither of them `/`: a pattern has as many parts as the
//! paths it matches. Everything else stands for itself (some clients give `[…]` a meaning; here it has none, so what
//! is granted is never more than what they grant).

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;

/// The paths of a delegation; a document gives exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathSet {
    /// Patterns such as `config/*`.
    Paths(Vec<String>),
    /// Prefixes of the path's SHA-256 in hexadecimal.
    PathHashPrefixes(Vec<String>),
}

impl PathSet {
    /// Whether the path of a target is among them.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        match self {
            Self::Paths(patterns) => patterns.iter().any(|pattern| matches(pattern, path)),
            Self::PathHashPrefixes(prefixes) => {
                let digest = Sha256Digest::of(path.as_bytes()).to_string();
                prefixes.iter().any(|prefix| digest.starts_with(prefix.as_str()))
            }
        }
    }
}

/// Whether `path` matches `pattern`, part by part.
#[must_use]
pub fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if part_matches(pattern, part) => {}
            _ => return false,
        }
    }
}

/// One part: the last `*` is tried anew, one character further on, whenever what follows it doesn't fit. Its cost is
/// at most the product of both lengths.
fn part_matches(pattern: &str, part: &str) -> bool {
    let (mut pattern, mut rest) = (pattern.chars(), part.chars());
    let mut retry = None;
    loop {
        let here = rest.clone();
        match (pattern.next(), rest.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                rest = here.clone();
                retry = Some((pattern.clone(), here));
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => {
                let Some((after_star, mut from)) = retry else { return false };
                if from.next().is_none() {
                    return false;
                }
                pattern = after_star.clone();
                rest = from.clone();
                retry = Some((after_star, from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_does_not_cross_a_slash() {
        for (pattern, path, expected) in [
            ("config/*", "config/fleet.json", true),
            ("config/*", "config/", true),
            ("config/*", "config", false),
            ("config/*", "config/a/b", false),
            ("config/*", "xconfig/a", false),
            ("*", "a", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("**", "a/b", false),
            ("*.tgz", "foo.tgz", true),
            ("*.tgz", ".tgz", true),
            ("*.tgz", "foo.tgz.sig", false),
            ("foo-version-?.tgz", "foo-version-2.tgz", true),
            ("foo-version-?.tgz", "foo-version-alpha.tgz", false),
            ("foo-version-?.tgz", "foo-version-/.tgz", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYcZ", false),
            ("[ab]", "a", false),
            ("[ab]", "[ab]", true),
            ("?", "é", true),
            ("", "", true),
            ("", "a", false),
            ("/a", "a", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn a_prefix_is_of_the_digest_of_the_path() {
        // SHA-256 of "abc" begins with ba7816bf.
        let set = |prefix: &str| PathSet::PathHashPrefixes(vec!["00".to_owned(), prefix.to_owned()]);
        assert!(set("ba7816").contains("abc"));
        assert!(set("").contains("abc"));
        assert!(!set("ba7817").contains("abc"));
        assert!(!set("BA7816").contains("abc"));
    }

    #[test]
    fn many_stars_are_cheap() {
        let start = std::time::Instant::now();
        assert!(!matches(&"a*".repeat(2000), &"a".repeat(1999)));
        assert!(!matches(&format!("{}b", "*a".repeat(1000)), &"a".repeat(10_000)));
        assert!(start.elapsed().as_secs() < 5);
    }

    proptest! {
        /// The same question put to a slow matcher that is plainly right.
        #[test]
        fn it_agrees_with_a_plain_matcher(pattern in "[ab*?]{0,8}", part in "[ab]{0,8}") {
            fn plain(pattern: &[u8], part: &[u8]) -> bool {
                match (pattern.split_first(), part.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), None) => plain(rest, part),
                    (Some((b'*', rest)), Some((_, tail))) => plain(rest, part) || plain(pattern, tail),
                    (Some((b'?', rest)), Some((_, tail))) => plain(rest, tail),
                    (Some((a, rest)), Some((b, tail))) => a == b && plain(rest, tail),
                    _ => false,
                }
            }
            prop_assert_eq!(matches(&pattern, &part), plain(pattern.as_bytes(), part.as_bytes()));
        }
    }
}
