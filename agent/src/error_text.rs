//! An error and its causes as one line.

use std::error::Error;

/// The error, then each cause that it does not already quote.
///
/// Some errors show their cause in their own message and some do not; printing the whole chain would say many things twice.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{what}")]
    struct Layer {
        what: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn a_cause_that_is_quoted_already_is_not_said_again() {
        let root = || Some(Box::new(Layer { what: "no space", source: None }));
        assert_eq!(chain(&Layer { what: "file: no space", source: root() }), "file: no space");
        assert_eq!(chain(&Layer { what: "file", source: root() }), "file: no space");
    }
}
