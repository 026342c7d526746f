//! Tokens: what makes every exec of a storm recognisable in any text that a sensor writes.
//!
//! A token is `<storm>.<worker>.<index>.`, with a full stop at the end so that a token that was cut off is not taken
//! for a shorter one. It has no character that any of the peers would escape or quote.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The longest storm name.
const NAME_MAX_LEN: usize = 32;

/// The name of a storm: 1 to 32 of the characters a-z and 0-9.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StormName(String);

impl StormName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StormName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let fits = (1..=NAME_MAX_LEN).contains(&name.len()) && name.bytes().all(is_name_byte);
        if fits { Ok(Self(name.to_owned())) } else { Err(Error::StormName(name.to_owned())) }
    }
}

impl TryFrom<String> for StormName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        name.parse()
    }
}

impl From<StormName> for String {
    fn from(name: StormName) -> Self {
        name.0
    }
}

impl fmt::Display for StormName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// One exec of one worker of one storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token<'a> {
    /// The storm's name.
    pub storm: &'a str,
    /// The worker's number, from 0.
    pub worker: u32,
    /// The exec's number within its worker, from 0.
    pub index: u32,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.", self.storm, self.worker, self.index)
    }
}

/// All whole tokens in `text` whose storm's name begins with `prefix`.
pub fn tokens<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = Token<'a>> {
    text.match_indices(prefix).filter_map(|(at, _)| text.get(at..).and_then(token_at_start))
}

fn token_at_start(text: &str) -> Option<Token<'_>> {
    let mut parts = text.splitn(4, '.');
    let storm = parts.next().filter(|name| name.len() <= NAME_MAX_LEN && name.bytes().all(is_name_byte))?;
    let worker = number(parts.next()?)?;
    let index = number(parts.next()?)?;
    // Only a full stop behind the index makes a fourth part.
    parts.next()?;
    Some(Token { storm, worker, index })
}

/// Digits only: `u32::from_str` alone would take a sign too.
fn number(digits: &str) -> Option<u32> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_are_found_between_any_neighbours() {
        let line = r#"type=EXECVE a0="/x/exit" a1="run1a.0.17." {"argv":["run1b.1.0."]}"#;
        let found: Vec<String> = tokens(line, "run1").map(|token| token.to_string()).collect();
        assert_eq!(found, ["run1a.0.17.", "run1b.1.0."]);
    }

    #[test]
    fn what_is_no_whole_token_is_not_found() {
        for text in [
            "run1a.0.17",
            "run1a.0.",
            "run1a.0.x.",
            "run1a.+1.2.",
            "run1A.0.1.",
            "run1a.0.99999999999.",
            "run1a",
        ] {
            assert_eq!(tokens(text, "run1").count(), 0, "{text}");
        }
    }

    #[test]
    fn names_that_could_run_into_their_surroundings_are_refused() {
        for name in ["", "A", "a.b", "a b", "ä", &"a".repeat(33)] {
            assert!(name.parse::<StormName>().is_err(), "{name:?}");
        }
        assert!("run1a".parse::<StormName>().is_ok());
    }

    proptest! {
        #[test]
        fn every_token_is_read_back(storm in "[a-z0-9]{1,32}", worker: u32, index: u32, before in "[^a-z0-9]{0,8}") {
            let token = Token { storm: &storm, worker, index };
            let text = format!("{before}{token}");
            prop_assert_eq!(tokens(&text, &storm).next(), Some(token));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String, prefix in "[a-z0-9]{1,4}") {
            tokens(&text, &prefix).count();
        }
    }
}
