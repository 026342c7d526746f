//! The distribution, from os-release(5).

use std::path::Path;

/// What os-release(5) says of the distribution; each field may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`: `debian`.
    pub id: Option<String>,
    /// `NAME`: `Debian GNU/Linux`.
    pub name: Option<String>,
    /// `VERSION_ID`: `13`; rolling distributions have none.
    pub version_id: Option<String>,
    /// `PRETTY_NAME`: `Debian GNU/Linux 13 (trixie)`.
    pub pretty_name: Option<String>,
}

impl OsRelease {
    /// The running system's: /etc/os-release, else /usr/lib/os-release.
    #[must_use]
    pub fn read() -> Option<Self> {
        Self::read_at(Path::new("/"))
    }

    pub(super) fn read_at(root: &Path) -> Option<Self> {
        ["etc/os-release", "usr/lib/os-release"]
            .into_iter()
            .find_map(|name| super::small_text(root, name))
            .map(|text| Self::parse(&text))
    }

    /// Reads the file's text: shell assignments, of which the last of a name counts. Lines that are none are passed
    /// over, as are empty values.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut release = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.trim().split_once('=') else { continue };
            let field = match key {
                "ID" => &mut release.id,
                "NAME" => &mut release.name,
                "VERSION_ID" => &mut release.version_id,
                "PRETTY_NAME" => &mut release.pretty_name,
                _ => continue,
            };
            *field = Some(unquoted(value)).filter(|value| !value.is_empty());
        }
        release
    }
}

/// A shell word: bare, in single quotes, or in double quotes with backslash escapes.
fn unquoted(word: &str) -> String {
    let inside = |quote| word.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    if let Some(literal) = inside('\'') {
        return literal.to_owned();
    }
    let mut value = String::with_capacity(word.len());
    let mut chars = inside('"').unwrap_or(word).chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => value.extend(chars.next()),
            c if c.is_control() => {}
            c => value.push(c),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_escapes_and_comments_are_understood() {
        for (text, name, version, pretty) in [
            (
                "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\n",
                Some("Debian GNU/Linux"),
                Some("13"),
                Some("Debian GNU/Linux 13 (trixie)"),
            ),
            ("NAME=Fedora\r\n# NAME=no\nVERSION_ID=42", Some("Fedora"), Some("42"), None),
            (
                r#"NAME='Single $HOME \n'
PRETTY_NAME="a \"b\" \$c \\""#,
                Some(r"Single $HOME \n"),
                None,
                Some(r#"a "b" $c \"#),
            ),
            ("NAME=first\nNAME=last\nVERSION_ID=\"\"", Some("last"), None, None),
            ("nonsense\n=\n=x\nNAME=\"open", Some("\"open"), None, None),
            ("", None, None, None),
        ] {
            let got = OsRelease::parse(text);
            assert_eq!(
                (got.name.as_deref(), got.version_id.as_deref(), got.pretty_name.as_deref()),
                (name, version, pretty),
                "{text}"
            );
        }
    }

    #[test]
    fn etc_outranks_usr() {
        let root = tempfile::tempdir().unwrap();
        for (folder, name) in [("usr/lib", "vendor"), ("etc", "local")] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
            std::fs::write(root.path().join(folder).join("os-release"), format!("NAME={name}")).unwrap();
            assert_eq!(OsRelease::read_at(root.path()).unwrap().name.as_deref(), Some(name));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\PC|\n|\"|'|\\\\|NAME=){0,60}") {
            let _ = OsRelease::parse(&text);
        }
    }
}
