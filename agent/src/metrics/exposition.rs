//! Prometheus' text format, version 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write;

use super::{
    catalog::Metric,
    sample::{Kind, Number, Sample},
};

/// What is said in the header of an answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes a metric with its description; one without samples is not written at all.
pub fn write(metric: &Metric, samples: &[Sample], out: &mut String) {
    if samples.is_empty() {
        return;
    }
    let kind = match metric.kind {
        Kind::Counter | Kind::Account => "counter",
        Kind::Gauge => "gauge",
    };
    let name = metric.name;
    let _ = write!(out, "# HELP {name} ");
    escape(metric.help, false, out);
    let _ = writeln!(out, "\n# TYPE {name} {kind}");
    for Sample { labels, value } in samples {
        out.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            let separator = if index == 0 { '{' } else { ',' };
            let _ = write!(out, "{separator}{label}=\"");
            escape(value, true, out);
            out.push('"');
        }
        if !labels.is_empty() {
            out.push('}');
        }
        let _ = match value {
            Number::Whole(value) => writeln!(out, " {value}"),
            Number::Real(value) => writeln!(out, " {value}"),
        };
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
    use linnet_fleet::health::Health;

    use super::*;
    use crate::metrics::{
        catalog::metric,
        sample::{MAX_SAMPLES, Samples, seconds},
    };

    fn written(kind: Kind, help: &'static str, collect: fn(&Health, &mut Samples)) -> String {
        let mut out = String::new();
        let metric = metric("linnet_x", kind, help, collect);
        write(&metric, &metric.samples(&Health::default()), &mut out);
        out
    }

    #[test]
    fn labels_and_help_are_escaped_and_nothing_moves_a_terminal() {
        let text = written(Kind::Gauge, "A \\ \"quoted\"\nline.", |_, samples| {
            samples.add(&[("a", "q\"b\\s\nl\u{1b}[2J"), ("b", "雀")], 7);
            samples.add(&[], seconds(1_500_000));
        });
        assert_eq!(
            text,
            "# HELP linnet_x A \\\\ \"quoted\"\\nline.\n# TYPE linnet_x gauge\nlinnet_x{a=\"q\\\"b\\\\s\\nl\u{fffd}[2J\",b=\"雀\"} 7\nlinnet_x 1.5\n"
        );
    }

    #[test]
    fn a_metric_without_samples_is_not_there_and_samples_are_bounded() {
        assert_eq!(written(Kind::Counter, "X.", |_, _| {}), "");
        let text = written(Kind::Account, "X.", |_, samples| {
            for number in 0..10_000_u64 {
                samples.add(&[("n", &number.to_string())], number);
            }
        });
        assert_eq!(text.lines().count(), MAX_SAMPLES + 2);
        assert!(text.contains("# TYPE linnet_x counter"), "{text}");
    }
}
