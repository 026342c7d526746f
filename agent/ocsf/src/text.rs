//! Bytes from the kernel become text.
//!
//! Names and paths on Linux are bytes; JSON holds Unicode only. What is not UTF-8 is shown with U+FFFD in the
//! place of each fault, and the true bytes go along in base64, so that nothing is lost and nothing is guessed.

use std::borrow::Cow;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// Bytes that are written as a base64 string (standard alphabet, padded) without a buffer in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base64<'a>(pub &'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

/// A name or path as text, and its true bytes where the text could not hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a> {
    /// The text; U+FFFD stands for each fault.
    pub text: Cow<'a, str>,
    /// The bytes as they were, only when they are not UTF-8. Belongs into the matching `*_raw` attribute.
    pub raw: Option<Base64<'a>>,
}

impl<'a> Text<'a> {
    /// Reads `bytes`; allocates only when they are not UTF-8.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let raw = matches!(text, Cow::Owned(_)).then_some(Base64(bytes));
        Self { text, raw }
    }

    /// Whether the text stands for bytes that it cannot hold.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.raw.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_borrowed_and_whole() {
        let text = Text::new("/tmp/雀".as_bytes());
        assert!(matches!(text.text, Cow::Borrowed("/tmp/雀")));
        assert!(!text.is_lossy());
    }

    #[test]
    fn other_bytes_are_shown_and_kept() {
        let text = Text::new(b"/tmp/\xff\xfe");
        assert_eq!(text.text, "/tmp/\u{fffd}\u{fffd}");
        assert!(text.is_lossy());
        assert_eq!(serde_json::to_string(&text.raw).unwrap(), r#""L3RtcC///g==""#);
    }
}
