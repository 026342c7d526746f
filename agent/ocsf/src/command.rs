//! The argument area of a process becomes a command line that can be read, and, where that would be ambiguous,
//! the list of arguments that cannot be misread.
//!
//! The kernel keeps arguments as bytes with a NUL after each. Joined with spaces they read well, yet `rm a b` and
//! `rm "a b"` look the same. So the list is given too, but only when an argument is empty, holds white space or
//! a control character, or is not UTF-8; most command lines need no second copy.

use std::borrow::Cow;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::text::Base64;

/// A command line, ready for `process.cmd_line` and `process.xattributes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandLine<'a> {
    /// The arguments joined with single spaces; U+FFFD stands for what is not UTF-8. Empty without arguments.
    pub text: &'a str,
    /// The arguments one by one, only where `text` alone would be ambiguous.
    pub argv: Option<Argv<'a>>,
    /// Whether the kernel side read less than there was.
    pub cut: bool,
    /// The true length of the argument area in bytes, NULs included; only when `cut`.
    pub true_len: Option<u64>,
}

impl<'a> CommandLine<'a> {
    /// Reads an argument area of which `area` was captured and which is `true_len` bytes long.
    ///
    /// `buffer` holds the text; it is cleared first and meant to be reused. A character that the cut went through
    /// is left out rather than shown as a fault.
    #[must_use]
    pub fn read(buffer: &'a mut String, area: &'a [u8], true_len: u64) -> Self {
        let cut = u64::try_from(area.len()).is_ok_and(|len| len < true_len);
        let area = if cut { trim_broken_end(area) } else { area };
        let argv = Argv::new(area);
        let ambiguous = join(buffer, area, argv);
        Self { text: buffer, argv: ambiguous.then_some(argv), cut, true_len: cut.then_some(true_len) }
    }
}

/// Writes the joined arguments to `buffer` and says whether the join is ambiguous.
fn join(buffer: &mut String, area: &[u8], argv: Argv<'_>) -> bool {
    buffer.clear();
    if area.is_empty() {
        return false;
    }
    let text = String::from_utf8_lossy(argv.0);
    let mut ambiguous = matches!(text, Cow::Owned(_));
    buffer.reserve(text.len());
    for (index, argument) in text.split('\0').enumerate() {
        if index > 0 {
            buffer.push(' ');
        }
        buffer.push_str(argument);
        ambiguous |= argument.is_empty() || blurs(argument);
    }
    ambiguous
}

/// Whether an argument holds what could pass for a border between arguments, or a control character.
fn blurs(argument: &str) -> bool {
    if argument.is_ascii() {
        argument.bytes().any(|byte| byte <= b' ' || byte == 0x7f)
    } else {
        argument.chars().any(|ch| ch.is_whitespace() || ch.is_control())
    }
}

/// Leaves out a UTF-8 sequence that began but does not end within `bytes`.
pub(crate) fn trim_broken_end(bytes: &[u8]) -> &[u8] {
    // A sequence has four bytes at most, so one that lacks its end has three at most.
    for back in 1..=bytes.len().min(3) {
        let (whole, end) = bytes.split_at(bytes.len() - back);
        let continues = end.first().is_some_and(|byte| (0x80..0xc0).contains(byte));
        if !continues {
            let begun = std::str::from_utf8(end).is_err_and(|fault| fault.error_len().is_none());
            return if begun { whole } else { bytes };
        }
    }
    bytes
}

/// The arguments of a process, written as a JSON array: text where it is UTF-8, else `{"base64": "…"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argv<'a>(&'a [u8]);

impl<'a> Argv<'a> {
    /// Takes an argument area: arguments with a NUL after each, where the last NUL may be missing.
    fn new(area: &'a [u8]) -> Self {
        Self(area.strip_suffix(b"\0").unwrap_or(area))
    }
}

impl Serialize for Argv<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for argument in self.0.split(|byte| *byte == 0) {
            list.serialize_element(&Argument(argument))?;
        }
        list.end()
    }
}

struct Argument<'a>(&'a [u8]);

impl Serialize for Argument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(self.0) {
            return serializer.serialize_str(text);
        }
        let mut object = serializer.serialize_map(Some(1))?;
        object.serialize_entry("base64", &Base64(self.0))?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// (argument area, true length beyond it, text, list or empty)
    #[test]
    fn a_list_is_given_only_where_the_text_is_ambiguous() {
        let cases: &[(&[u8], &str, &str)] = &[
            (b"", "", ""),
            (b"ls\0", "ls", ""),
            (b"ls\0-l\0/tmp\0", "ls -l /tmp", ""),
            (b"ls\0-l", "ls -l", ""),
            ("echo\0雀\0".as_bytes(), "echo 雀", ""),
            (b"\0", "", r#"[""]"#),
            (b"a\0\0", "a ", r#"["a",""]"#),
            (b"a\0\0b\0", "a  b", r#"["a","","b"]"#),
            (b"rm\0a b\0", "rm a b", r#"["rm","a b"]"#),
            (b"printf\0a\tb\n\0", "printf a\tb\n", r#"["printf","a\tb\n"]"#),
            ("x\0a\u{a0}b\0".as_bytes(), "x a\u{a0}b", "[\"x\",\"a\u{a0}b\"]"),
            (b"x\0\x1b[2J\0", "x \u{1b}[2J", r#"["x","\u001b[2J"]"#),
            (b"x\0\x7f\0", "x \u{7f}", "[\"x\",\"\u{7f}\"]"),
            ("x\0é\u{9b}\0".as_bytes(), "x é\u{9b}", "[\"x\",\"é\u{9b}\"]"),
            (b"x\0\xff\0y\0", "x \u{fffd} y", r#"["x",{"base64":"/w=="},"y"]"#),
            (b"x\0\xe9\x9b\0y\0", "x \u{fffd} y", r#"["x",{"base64":"6Zs="},"y"]"#),
        ];
        let mut buffer = "left over".to_owned();
        for (area, text, list) in cases {
            let command = CommandLine::read(&mut buffer, area, area.len() as u64);
            assert_eq!(command.text, *text, "{area:?}");
            let given = command.argv.map(|argv| serde_json::to_string(&argv).unwrap()).unwrap_or_default();
            assert_eq!(given, *list, "{area:?}");
            assert_eq!((command.cut, command.true_len), (false, None));
        }
    }

    #[test]
    fn a_cut_is_marked_and_breaks_no_character() {
        let area = "cat\0/tmp/雀".as_bytes();
        let mut buffer = String::new();
        for lost in 1..=2 {
            let command = CommandLine::read(&mut buffer, &area[..area.len() - lost], 9000);
            assert_eq!(command.text, "cat /tmp/");
            assert_eq!((command.argv, command.cut, command.true_len), (None, true, Some(9000)));
        }
    }

    #[test]
    fn only_an_unfinished_end_is_trimmed() {
        for (bytes, kept) in [
            (&b""[..], 0),
            (b"abc", 3),
            (b"ab\xc3", 2),
            (b"ab\xc3\xa9", 4),
            (b"ab\xe9\x9b", 2),
            (b"ab\xf0\x9f\x90", 2),
            (b"ab\xf0\x9f\x90\xa6", 6),
            (b"ab\xff", 3),
            (b"ab\x80\x80\x80\x80", 6),
            (b"ab\xe0\x80", 4),
            (b"\x80", 1),
        ] {
            assert_eq!(trim_broken_end(bytes).len(), kept, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn the_arguments_can_be_had_back_from_text_or_list(
            argv in proptest::collection::vec(proptest::collection::vec(1_u8.., 0..12), 0..6)
        ) {
            let mut area = Vec::new();
            for argument in &argv {
                area.extend_from_slice(argument);
                area.push(0);
            }
            let mut buffer = String::new();
            let command = CommandLine::read(&mut buffer, &area, area.len() as u64);
            let back: Vec<Vec<u8>> = match command.argv {
                _ if argv.is_empty() => Vec::new(),
                None => command.text.split(' ').map(|text| text.as_bytes().to_vec()).collect(),
                Some(list) => serde_json::to_value(list).unwrap().as_array().unwrap().iter().map(|one| {
                    use base64::Engine;
                    match one.as_str() {
                        Some(text) => text.as_bytes().to_vec(),
                        None => base64::engine::general_purpose::STANDARD.decode(one["base64"].as_str().unwrap()).unwrap(),
                    }
                }).collect(),
            };
            prop_assert_eq!(back, argv);
        }
    }
}
