//! How a claim ends when it does not hold: it is wrong, or it cannot be tried here.

use std::fmt::{self, Display};

/// Why a claim was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It does not hold; with the evidence.
    Wrong(String),
    /// Something was seen that must not be seen even once, however slow the machine is; with the evidence.
    Never(String),
    /// This machine lacks what it takes to try it; with what is lacking.
    NotHere(String),
}

/// What deeds and checks give.
pub type Result<T = (), E = Trouble> = std::result::Result<T, E>;

impl Trouble {
    /// The same with a word on what was being done.
    #[must_use]
    pub fn while_doing(self, what: &str) -> Self {
        match self {
            Self::Wrong(why) => Self::Wrong(format!("{what}: {why}")),
            Self::Never(why) => Self::Never(format!("{what}: {why}")),
            Self::NotHere(why) => Self::NotHere(format!("{what}: {why}")),
        }
    }
}

impl Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(why) | Self::Never(why) | Self::NotHere(why) => out.write_str(why),
        }
    }
}

/// A claim that is wrong.
pub fn wrong<T>(why: impl Into<String>) -> Result<T> {
    Err(Trouble::Wrong(why.into()))
}

/// A claim that is wrong for good: no second try can make up for it.
pub fn never<T>(why: impl Into<String>) -> Result<T> {
    Err(Trouble::Never(why.into()))
}

/// A claim that cannot be tried.
pub fn not_here<T>(why: impl Into<String>) -> Result<T> {
    Err(Trouble::NotHere(why.into()))
}

/// Says what was being done when an error came.
pub trait Doing<T> {
    /// The error as a claim that is wrong, after the words of `what`.
    ///
    /// # Errors
    /// The error that there was.
    fn doing<W: Display>(self, what: W) -> Result<T>;
}

impl<T, E: Display> Doing<T> for std::result::Result<T, E> {
    fn doing<W: Display>(self, what: W) -> Result<T> {
        self.map_err(|error| Trouble::Wrong(format!("{what}: {error}")))
    }
}
