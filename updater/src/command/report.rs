//! What a command has to say: for people, for programs, and as an exit code.

use serde_json::{Value, json};

use super::context::Failed;
use crate::engine::Outcome;
use crate::exit_code;

/// What a command has to say.
#[derive(Debug)]
pub struct Report {
    /// The exit code.
    pub code: u8,
    /// For people.
    pub text: String,
    /// For programs.
    pub json: Value,
}

impl Report {
    /// Done, in a sentence.
    #[must_use]
    pub fn done(text: impl Into<String>) -> Self {
        Self::new(exit_code::OK, text)
    }

    /// A sentence with a code.
    #[must_use]
    pub fn new(code: u8, text: impl Into<String>) -> Self {
        let text = text.into();
        let json = json!({ "code": code, "message": text });
        Self { code, text, json }
    }

    /// What came of a run.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        Self::new(outcome.exit_code(), outcome.in_words())
    }

    /// An error.
    #[must_use]
    pub fn failed(failed: &Failed) -> Self {
        Self::new(failed.code, failed.error.clone())
    }

    /// Prints it. A reader that went away is no error.
    pub fn print(&self, as_json: bool) {
        use std::io::Write;
        let well = matches!(self.code, exit_code::OK | exit_code::AVAILABLE | exit_code::HELD);
        let text = if as_json { self.json.to_string() } else { self.text.clone() };
        let _ = if as_json || well {
            writeln!(std::io::stdout(), "{text}")
        } else {
            writeln!(std::io::stderr(), "linnet-updater: {text}")
        };
    }
}
