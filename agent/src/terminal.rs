//! Text for a terminal: nothing that another program wrote may steer it.

use std::{
    borrow::Cow,
    io::{self, Write},
};

/// Writes to standard output. Who stops reading, as `head` and `grep -q` do, has what they wanted.
///
/// # Errors
/// When it can't be written, as to a file on a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// The text with every character that a terminal could act on, or that could make text look like other text, shown as
/// `\u{…}`.
pub fn sanitised(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unsafe(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// The same for a text of several lines.
pub fn sanitised_lines(text: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        out.push_str(&sanitised(line));
        out.push('\n');
        out
    })
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and marks that turn the direction of writing.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_are_shown_and_not_sent() {
        assert_eq!(sanitised("a\u{1b}[31mb\u{9b}2J"), "a\\u{1b}[31mb\\u{9b}2J");
        assert_eq!(sanitised("naïve 雀"), "naïve 雀");
    }

    proptest! {
        #[test]
        fn no_control_character_is_left(text in any::<String>()) {
            prop_assert!(!sanitised(&text).contains(|character: char| character.is_control()));
        }
    }
}
