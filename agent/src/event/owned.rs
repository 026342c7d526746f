//! What enrichment found out, in a form that can wait.

use linnet_fileview::{Facts, Missing};

/// How it went with a file's hash.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// There is no such file: not a script.
    NoFile,
    /// Hashed, by a road that the event names.
    Known(Facts),
    /// Not hashed, for a reason that the event names.
    Missing(Missing),
}

impl Outcome {
    /// The facts, when there are some.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Known(facts) => Some(facts),
            Self::NoFile | Self::Missing(_) => None,
        }
    }

    /// The road, as events name it.
    pub fn road(&self) -> Option<&'static str> {
        Some(self.facts()?.road.as_str())
    }

    /// The reason, as events name it.
    pub fn missing(&self) -> Option<&'static str> {
        match self {
            Self::Missing(reason) => Some(reason.as_str()),
            Self::NoFile | Self::Known(_) => None,
        }
    }
}

impl From<Result<Facts, Missing>> for Outcome {
    fn from(result: Result<Facts, Missing>) -> Self {
        result.map_or_else(Self::Missing, Self::Known)
    }
}
