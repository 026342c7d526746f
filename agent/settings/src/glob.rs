//! Patterns of ignore rules: small enough to be read at a glance, and matched in linear time.
//!
//! A path pattern is absolute. `*` stands for any bytes within one name, and `**` in place of a name for any number of
//! names, at most once. Every other byte stands for itself. The first name is written out: what matches below every
//! directory is no rule but a hole.

use std::fmt;

use serde::{Deserialize, Serialize};

const MAX_BYTES: usize = 4096;

/// A pattern of paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern {
    text: String,
    /// Names before `**`, or all of them.
    head: Vec<String>,
    /// Names after `**`; `None` where there is none.
    tail: Option<Vec<String>>,
}

impl PathPattern {
    /// Whether a path, as bytes from `/`, is one of these.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let Some(path) = path.strip_prefix(b"/") else { return false };
        let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let each = |patterns: &[String], names: &[&[u8]]| {
            patterns.iter().zip(names).all(|(pattern, name)| matches(pattern.as_bytes(), name))
        };
        match &self.tail {
            None => names.len() == self.head.len() && each(&self.head, &names),
            Some(tail) => {
                let Some(last) = names.len().checked_sub(tail.len()).filter(|at| *at >= self.head.len())
                else {
                    return false;
                };
                // `/a/**` is what lies below /a, not /a itself.
                (last > self.head.len() || !tail.is_empty())
                    && each(&self.head, &names)
                    && each(tail, names.get(last..).unwrap_or_default())
            }
        }
    }
}

impl TryFrom<String> for PathPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refused = |why: &str| Err(format!("{text:?} {why}"));
        if text.len() > MAX_BYTES || text.contains('\0') {
            return refused("is no pattern of paths: too long, or with a NUL in it");
        }
        let Some(rest) = text.strip_prefix('/') else { return refused("is not absolute: begin it with /") };
        let names: Vec<&str> = rest.split('/').collect();
        if names.iter().any(|name| matches!(*name, "" | "." | "..")) {
            return refused("has an empty name, . or .. in it, which no path of the kernel has");
        }
        if names.first().is_none_or(|name| name.contains('*')) {
            return refused("matches below every directory: write its first name out");
        }
        if names.iter().any(|name| name.contains("**") && *name != "**") {
            return refused("has ** within a name: it stands in place of names");
        }
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut parts = names.split(|name| *name == "**");
        let head = owned(parts.next().unwrap_or_default());
        let tail = parts.next().map(owned);
        if parts.next().is_some() {
            return refused("has ** more than once");
        }
        Ok(Self { head, tail, text })
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.text
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A pattern of one argument: `*` stands for any bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WordPattern(String);

impl WordPattern {
    /// Whether an argument is one of these.
    #[must_use]
    pub fn matches(&self, word: &[u8]) -> bool {
        matches(self.0.as_bytes(), word)
    }
}

impl TryFrom<String> for WordPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() > MAX_BYTES || text.contains('\0') {
            return Err(format!("{text:?} is no pattern of an argument: too long, or with a NUL in it"));
        }
        Ok(Self(text))
    }
}

impl From<WordPattern> for String {
    fn from(pattern: WordPattern) -> Self {
        pattern.0
    }
}

/// What lies between the stars is looked for from left to right, the last part at the end: no going back.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = find(rest, part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() { Some(0) } else { text.windows(part.len()).position(|window| window == part) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> PathPattern {
        PathPattern::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_star_stays_within_a_name_and_two_stars_cross_names() {
        for (pattern, yes, no) in [
            (
                "/usr/bin/true",
                &["/usr/bin/true"][..],
                &["/usr/bin/true2", "/usr/bin", "usr/bin/true", "/x/usr/bin/true"][..],
            ),
            ("/usr/bin/*", &["/usr/bin/a", "/usr/bin/"], &["/usr/bin/a/b", "/usr/bin"]),
            (
                "/usr/*bin/python3*",
                &["/usr/bin/python3", "/usr/sbin/python3.11"],
                &["/usr/lib/python3", "/usr/bin/xpython3"],
            ),
            ("/opt/app/**", &["/opt/app/a", "/opt/app/a/b"], &["/opt/app", "/opt/apple/a", "/opt"]),
            ("/opt/**/bin/*d", &["/opt/bin/httpd", "/opt/a/b/bin/d"], &["/opt/bin/x", "/opt/a/d", "/bin/d"]),
            ("/a/a*a", &["/a/aa", "/a/aba"], &["/a/a"]),
        ] {
            for text in yes {
                assert!(path(pattern).matches(text.as_bytes()), "{pattern} {text}");
            }
            for text in no {
                assert!(!path(pattern).matches(text.as_bytes()), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn paths_that_the_kernel_marks_never_match() {
        // A cut path begins with …/, a detached one with no slash.
        for text in ["\u{2026}/usr/bin/true", "memfd:true", ""] {
            assert!(
                !path("/usr/**").matches(text.as_bytes()) && !path("/usr/bin/true").matches(text.as_bytes())
            );
        }
    }

    #[test]
    fn a_pattern_that_means_everything_or_nothing_is_refused() {
        for (text, why) in [
            ("usr/bin/true", "not absolute"),
            ("/**", "first name"),
            ("/*/bin/sh", "first name"),
            ("/", "empty name"),
            ("/usr//bin", "empty name"),
            ("/usr/../bin", ".."),
            ("/usr/**/a/**", "more than once"),
            ("/usr/a**", "within a name"),
            ("", "not absolute"),
        ] {
            let error = PathPattern::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    /// The plain recursive meaning of a star.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| slow(rest, &text[at..])),
            ([a, pattern @ ..], [b, text @ ..]) => a == b && slow(pattern, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_fast_match_is_the_plain_one(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), slow(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_text_is_a_pattern_or_refused(text in ".{0,60}", path in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(pattern) = PathPattern::try_from(text) {
                let _ = pattern.matches(&path);
            }
        }
    }
}
