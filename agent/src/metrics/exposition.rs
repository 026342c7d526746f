//! Prometheus' text format, version 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write;

/// What is said in the header of an answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Samples of one metric at most: labels come from settings and plugins, which are bounded themselves.
pub const MAX_SAMPLES: usize = 256;

/// What a number does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the agent restarts.
    Counter,
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

/// One metric's samples, as they are collected.
pub struct Samples {
    name: &'static str,
    out: String,
    count: usize,
}

impl Samples {
    /// Begins a metric.
    pub fn of(name: &'static str) -> Self {
        Self { name, out: String::new(), count: 0 }
    }

    /// Adds a sample with these labels.
    pub fn add(&mut self, labels: &[(&str, &str)], value: impl Into<Number>) {
        if self.count >= MAX_SAMPLES {
            return;
        }
        self.count += 1;
        self.out.push_str(self.name);
        for (index, (label, value)) in labels.iter().enumerate() {
            let separator = if index == 0 { '{' } else { ',' };
            let _ = write!(self.out, "{separator}{label}=\"");
            escape(value, true, &mut self.out);
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = match value.into() {
            Number::Whole(value) => writeln!(self.out, " {value}"),
            Number::Real(value) => writeln!(self.out, " {value}"),
        };
    }

    /// Writes the metric with its description; a metric without samples is not written at all.
    pub fn finish(self, kind: Kind, help: &str, out: &mut String) {
        if self.count == 0 {
            return;
        }
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = write!(out, "# HELP {} ", self.name);
        escape(help, false, out);
        let _ = write!(out, "\n# TYPE {} {kind}\n{}", self.name, self.out);
    }
}

fn escape(text: &str, quotes: bool, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            // Allowed by the format, but it would move the terminal of who looks with curl.
            other if other.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_help_are_escaped_and_nothing_moves_a_terminal() {
        let mut samples = Samples::of("linnet_x");
        samples.add(&[("a", "q\"b\\s\nl\u{1b}[2J"), ("b", "雀")], 7);
        samples.add(&[], seconds(1_500_000));
        let mut out = String::new();
        samples.finish(Kind::Gauge, "A \\ \"quoted\"\nline.", &mut out);
        assert_eq!(
            out,
            "# HELP linnet_x A \\\\ \"quoted\"\\nline.\n# TYPE linnet_x gauge\nlinnet_x{a=\"q\\\"b\\\\s\\nl\u{fffd}[2J\",b=\"雀\"} 7\nlinnet_x 1.5\n"
        );
    }

    #[test]
    fn a_metric_without_samples_is_not_there_and_samples_are_bounded() {
        let mut out = String::new();
        Samples::of("linnet_x").finish(Kind::Counter, "X.", &mut out);
        assert_eq!(out, "");
        let mut samples = Samples::of("linnet_x");
        for number in 0..10_000_u64 {
            samples.add(&[("n", &number.to_string())], number);
        }
        samples.finish(Kind::Counter, "X.", &mut out);
        assert_eq!(out.lines().count(), MAX_SAMPLES + 2);
    }
}
