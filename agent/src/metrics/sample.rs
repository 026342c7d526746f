//! Numbers with labels: what every form of the metrics is written from.

/// Samples of one metric at most: labels come from settings and plugins, which are bounded themselves.
pub const MAX_SAMPLES: usize = 256;

/// What a number does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from 0 at the agent's start.
    Counter,
    /// It only grows, and may have begun before this agent did: it is kept over restarts, or the cgroup's.
    Account,
    /// It goes up and down.
    Gauge,
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole one.
    Whole(u64),
    /// Any.
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(u64::from(value))
    }
}

/// Microseconds, in seconds.
pub fn seconds(us: u64) -> Number {
    Number::Real(u64_to_f64(us) / 1e6)
}

/// Thousandths, as a ratio.
pub fn ratio(permille: u32) -> Number {
    Number::Real(f64::from(permille) / 1000.0)
}

/// Exact up to 2^53, which is nine thousand years in microseconds.
fn u64_to_f64(value: u64) -> f64 {
    value as f64
}

/// A number, and what it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: Number,
}

/// One metric's samples, as they are collected.
#[derive(Default)]
pub struct Samples(Vec<Sample>);

impl Samples {
    /// Adds a sample with these labels.
    pub fn add(&mut self, labels: &[(&'static str, &str)], value: impl Into<Number>) {
        if self.0.len() < MAX_SAMPLES {
            let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned())).collect();
            self.0.push(Sample { labels, value: value.into() });
        }
    }

    /// All of them.
    pub fn finish(self) -> Vec<Sample> {
        self.0
    }
}
