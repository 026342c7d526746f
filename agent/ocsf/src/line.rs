//! One event becomes one line: a JSON object in UTF-8 and a line feed.
//!
//! Names, paths and arguments come from processes that may be hostile, and lines end up on terminals. So beyond
//! what JSON demands (controls below U+0020, quote, backslash), the characters that steer a terminal or reorder
//! its text are written as `\uXXXX`: DEL, the C1 controls (U+009B is CSI in one character), the line and
//! paragraph separators, and every character with the Unicode property `Bidi_Control`.
//!
//! Invariants: a line parses back to the value that was given; it has no control byte but its last, the line
//! feed; a line is whole or absent. It must not judge what an event means.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

/// An event that has no JSON form. The buffer is as it was before the call.
#[derive(Debug, thiserror::Error)]
#[error("encode event as json: {source}")]
pub struct LineError {
    #[from]
    source: serde_json::Error,
}

/// Appends `event` to `out` as one JSON line with its line feed.
///
/// `out` is meant to be reused: nothing is allocated once it is large enough.
///
/// # Errors
///
/// When the value's own `Serialize` fails or it has a map key that is no string; `out` then keeps its old length.
pub fn write_line<T: Serialize + ?Sized>(out: &mut Vec<u8>, event: &T) -> Result<(), LineError> {
    let start = out.len();
    if let Err(source) = write_value(out, event) {
        out.truncate(start);
        return Err(source.into());
    }
    out.push(b'\n');
    Ok(())
}

/// Appends `value` as terminal-safe JSON, without a line feed.
pub(crate) fn write_value<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), serde_json::Error> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, TerminalSafe))
}

/// Whether a character may steer a terminal or reorder its text, and JSON would let it pass as it is.
fn is_hostile(ch: char) -> bool {
    matches!(ch,
        '\u{7f}'..='\u{9f}'
        | '\u{61c}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}')
}

/// Whether `text` has nothing from U+007F on, so that no character can be hostile.
///
/// Adding one lifts 0x7F to the high bit and leaves the bytes above it there (0xFF is in no UTF-8). There is no
/// early exit, so that the compiler makes vector code of it.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(0_u8, |seen, byte| seen | byte.wrapping_add(1)) < 0x80
}

/// Compact JSON whose strings are terminal-safe.
struct TerminalSafe;

impl Formatter for TerminalSafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if is_plain(fragment) {
            return writer.write_all(fragment.as_bytes());
        }
        write_escaped(writer, fragment)
    }

    /// Ready JSON may come from elsewhere. A control byte in valid JSON is white space between tokens, and a
    /// character beyond ASCII stands within a string, so both can be replaced without a parse.
    fn write_raw_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if is_plain(fragment) && !fragment.bytes().any(|byte| byte < b' ') {
            return writer.write_all(fragment.as_bytes());
        }
        for piece in fragment.split_inclusive(|ch: char| ch < ' ') {
            match piece.char_indices().next_back() {
                Some((end, last)) if last < ' ' => {
                    write_escaped(writer, piece.get(..end).unwrap_or_default())?;
                    writer.write_all(b" ")?;
                }
                _ => write_escaped(writer, piece)?,
            }
        }
        Ok(())
    }
}

fn write_escaped<W: ?Sized + io::Write>(writer: &mut W, text: &str) -> io::Result<()> {
    for piece in text.split_inclusive(is_hostile) {
        match piece.char_indices().next_back() {
            Some((end, last)) if is_hostile(last) => {
                writer.write_all(piece.get(..end).unwrap_or_default().as_bytes())?;
                write!(writer, "\\u{:04x}", u32::from(last))?;
            }
            _ => writer.write_all(piece.as_bytes())?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    fn line<T: Serialize + ?Sized>(value: &T) -> String {
        let mut out = Vec::new();
        write_line(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hostile_characters_are_escaped_and_others_are_not() {
        for (given, wanted) in [
            ("plain /usr/bin", r#""plain /usr/bin""#),
            ("\u{1b}[2J\u{7}", r#""\u001b[2J\u0007""#),
            ("a\u{7f}b", r#""a\u007fb""#),
            ("\u{80}\u{9b}31m\u{9f}", r#""\u0080\u009b31m\u009f""#),
            ("\u{a0}é", "\"\u{a0}é\""),
            (
                "\u{2027}\u{2028}\u{2029}\u{202a}\u{202e}\u{202f}",
                "\"\u{2027}\\u2028\\u2029\\u202a\\u202e\u{202f}\"",
            ),
            ("\u{2065}\u{2066}\u{2069}\u{206a}", "\"\u{2065}\\u2066\\u2069\u{206a}\""),
            ("\u{61c}\u{200e}\u{200f}", r#""\u061c\u200e\u200f""#),
            ("雀 🐦 \"\\\n", "\"雀 🐦 \\\"\\\\\\n\""),
        ] {
            assert_eq!(line(given), format!("{wanted}\n"), "{given:?}");
        }
    }

    #[test]
    fn keys_are_as_safe_as_values() {
        let map = std::collections::BTreeMap::from([("\u{9b}k", 1)]);
        assert_eq!(line(&map), "{\"\\u009bk\":1}\n");
    }

    #[test]
    fn ready_json_is_brought_to_one_safe_line() {
        let raw = RawValue::from_string("{\n\t\"a\": \"\u{9b}\u{202e}é\",\r\n \"b\":[1,\n2]\n}".to_owned())
            .unwrap();
        let written = line(&raw);
        assert_eq!(written.trim_end(), "{  \"a\": \"\\u009b\\u202eé\",   \"b\":[1, 2] }");
        let parsed: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(parsed, serde_json::from_str::<serde_json::Value>(raw.get()).unwrap());
    }

    #[test]
    fn a_refused_event_leaves_no_trace() {
        let bad = std::collections::BTreeMap::from([(vec![1_u8], "first field is written before the fault")]);
        let mut out = b"kept\n".to_vec();
        assert!(write_line(&mut out, &("begun", bad)).is_err());
        assert_eq!(out, b"kept\n");
    }
}
