//! The results as a Markdown table, and as a JSON document with every round in it.

use serde::Serialize;

use crate::figures::Spread;
use crate::rounds::{Record, Turn};
use crate::session::{Plan, Timed};

const MEGA: f64 = 1_000_000.0;
const NS_PER_US: f64 = 1_000.0;
const NS_PER_S: f64 = 1_000_000_000.0;

/// A row: what it is, and how it comes from a turn.
struct Row {
    label: String,
    decimals: usize,
    without: Option<fn(&Turn) -> f64>,
    with: fn(&Turn) -> f64,
}

fn rows(plan: &Plan) -> Vec<Row> {
    let row = |label: &str, decimals, with| Row { label: label.to_owned(), decimals, without: None, with };
    let execs = plan.execs;
    vec![
        Row {
            label: format!("{execs} execs, 1 worker: time over none (none: µs an exec)"),
            decimals: 2,
            without: Some(|turn| us_per_exec(turn.none.one.elapsed_ns, &turn.none.one)),
            with: |turn| ratio(&turn.session.one, &turn.none.one),
        },
        Row {
            label: format!("{execs} execs, 2 workers: time over none (none: µs an exec)"),
            decimals: 2,
            without: Some(|turn| us_per_exec(turn.none.two.elapsed_ns, &turn.none.two)),
            with: |turn| ratio(&turn.session.two, &turn.none.two),
        },
        Row {
            label: "all processors for an exec, 1 worker: µs more (none: µs)".to_owned(),
            decimals: 1,
            without: Some(|turn| us_per_exec(turn.none.one.busy_ns, &turn.none.one)),
            with: |turn| more_us(&turn.session.one, &turn.none.one),
        },
        Row {
            label: "all processors for an exec, 2 workers: µs more (none: µs)".to_owned(),
            decimals: 1,
            without: Some(|turn| us_per_exec(turn.none.two.busy_ns, &turn.none.two)),
            with: |turn| more_us(&turn.session.two, &turn.none.two),
        },
        row("own processor time for 10,000 execs, 2 workers: s", 2, |turn| {
            turn.session.two.own_ns as f64 / NS_PER_S * 10_000.0 / f64::from(turn.session.two.execs.max(1))
        }),
        row("memory charged, idle: MB", 1, |turn| turn.session.idle.charged_bytes as f64 / MEGA),
        row("memory charged, after all events: MB", 1, |turn| turn.session.after.charged_bytes as f64 / MEGA),
        row("memory charged, peak: MB", 1, |turn| turn.session.peak.charged_bytes as f64 / MEGA),
        row("memory resident, idle: MB", 1, |turn| turn.session.idle.resident_bytes as f64 / MEGA),
        row("memory resident, after all events: MB", 1, |turn| {
            turn.session.after.resident_bytes as f64 / MEGA
        }),
        row("memory resident, peak: MB", 1, |turn| turn.session.peak.resident_bytes as f64 / MEGA),
        row("output for an exec: bytes", 0, |turn| turn.session.bytes_per_exec),
        row("output for an exec: lines", 1, |turn| turn.session.lines_per_exec),
        row("the line with the argv: bytes", 0, |turn| turn.session.argv_line_bytes),
        row("start to first event: s", 2, |turn| turn.session.first_event_ns as f64 / NS_PER_S),
        row("start to first event readable: s", 2, |turn| turn.session.first_visible_ns as f64 / NS_PER_S),
        row("drained after the storm of 2 workers: s", 2, |turn| turn.session.two.drain_ns as f64 / NS_PER_S),
    ]
}

fn us_per_exec(ns: u64, timed: &Timed) -> f64 {
    ns as f64 / NS_PER_US / f64::from(timed.execs.max(1))
}

fn ratio(with: &Timed, without: &Timed) -> f64 {
    with.elapsed_ns as f64 / without.elapsed_ns.max(1) as f64
}

fn more_us(with: &Timed, without: &Timed) -> f64 {
    us_per_exec(with.busy_ns, with) - us_per_exec(without.busy_ns, without)
}

/// The table, with what there is to say about it below.
pub fn markdown(machine: &str, plan: &Plan, records: &[Record], warning: Option<&str>) -> String {
    let ran: Vec<&Record> = records.iter().filter(|record| !record.turns.is_empty()).collect();
    let mut text = format!(
        "{machine}. Medians [lowest–highest] of {} interleaved rounds; {} execs a session.\n\n| | none |",
        plan.rounds, plan.events
    );
    for record in &ran {
        text += &format!(" {} |", record.title);
    }
    text += &format!("\n|---|{}\n", "---|".repeat(ran.len() + 1));
    for row in rows(plan) {
        let every_turn = ran.iter().flat_map(|record| &record.turns);
        let none = row.without.and_then(|without| Spread::of(every_turn.map(without)));
        text += &format!("| {} | {} |", row.label, cell(none, row.decimals));
        for record in &ran {
            text += &format!(" {} |", cell(Spread::of(record.turns.iter().map(row.with)), row.decimals));
        }
        text.push('\n');
    }
    text += "| captured | |";
    for record in &ran {
        text += &format!(" {} |", captured(&record.turns));
    }
    text += "\n| executables on disk: MB | |";
    for record in &ran {
        text += &format!(" {:.1} |", record.executables_bytes as f64 / MEGA);
    }
    text.push('\n');
    for record in records {
        if let Some(trouble) = &record.trouble {
            let what = if record.missing { "NOT RUN" } else { "FAILED" };
            text += &format!("\n**{what}: {}**: {trouble}\n", record.title);
        }
    }
    if let Some(warning) = warning {
        text += &format!("\n**Warning**: {warning}.\n");
    }
    text
}

fn cell(spread: Option<Spread>, decimals: usize) -> String {
    spread.map_or_else(String::new, |spread| spread.text(decimals))
}

/// Every round counts here: one that lost something is not hidden by a median.
fn captured(turns: &[Turn]) -> String {
    let expected: u64 = turns.iter().map(|turn| turn.session.expected).sum();
    let captured: u64 = turns.iter().map(|turn| turn.session.captured).sum();
    if captured == expected { format!("all {expected}") } else { format!("{captured} of {expected}") }
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    machine: &'a str,
    plan: &'a Plan,
    warning: Option<&'a str>,
    subjects: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    record: &'a Record,
    figures: Vec<Figure>,
}

#[derive(Serialize)]
struct Figure {
    label: String,
    #[serde(flatten)]
    spread: Spread,
}

/// Everything, for a program to read.
pub fn json(
    machine: &str,
    plan: &Plan,
    records: &[Record],
    warning: Option<&str>,
) -> serde_json::Result<String> {
    let entry = |record| {
        let figures = rows(plan).into_iter().filter_map(|row| {
            let spread = Spread::of(figures_of(record).iter().map(row.with))?;
            Some(Figure { label: row.label, spread })
        });
        Entry { record, figures: figures.collect() }
    };
    let subjects = records.iter().map(entry).collect();
    serde_json::to_string_pretty(&Document { version: 1, machine, plan, warning, subjects })
}

fn figures_of(record: &Record) -> &[Turn] {
    &record.turns
}

#[cfg(test)]
mod tests {
    use linnet_bench::birth::Birth;

    use super::*;
    use crate::session::{Memory, Session};
    use crate::subject::none::Baseline;

    const PLAN: Plan =
        Plan { rounds: 1, execs: 1000, events: 10_000, warm_up_execs: 100, birth: Birth::Fork };

    fn timed(elapsed_us: u64) -> Timed {
        let ns = elapsed_us * 1000;
        Timed { execs: 1000, elapsed_ns: ns, busy_ns: ns * 2, own_ns: 20_000_000, drain_ns: 0 }
    }

    fn record(trouble: Option<&str>, captured: u64) -> Record {
        let memory = Memory { charged_bytes: 3_000_000, resident_bytes: 4_000_000 };
        let session = Session {
            first_event_ns: 250_000_000,
            first_visible_ns: 260_000_000,
            one: timed(110_000),
            two: timed(130_000),
            idle: memory,
            after: memory,
            peak: memory,
            expected: 10_000,
            captured,
            bytes_per_exec: 1157.4,
            lines_per_exec: 6.0,
            argv_line_bytes: 90.0,
        };
        let none = Baseline { one: timed(100_000), two: timed(65_000) };
        Record {
            name: "x",
            title: "X 1.0".to_owned(),
            trouble: trouble.map(str::to_owned),
            missing: true,
            executables_bytes: 1_500_000,
            turns: if trouble.is_some() { Vec::new() } else { vec![Turn { none, session }] },
        }
    }

    #[test]
    fn the_table_shows_ratios_and_what_is_more() {
        let table = markdown("M", &PLAN, &[record(None, 10_000)], None);
        for row in [
            "| 1000 execs, 1 worker: time over none (none: µs an exec) | 100.00 [100.00–100.00] | 1.10 [1.10–1.10] |",
            "| 1000 execs, 2 workers: time over none (none: µs an exec) | 65.00 [65.00–65.00] | 2.00 [2.00–2.00] |",
            "| all processors for an exec, 2 workers: µs more (none: µs) | 130.0 [130.0–130.0] | 130.0 [130.0–130.0] |",
            "| own processor time for 10,000 execs, 2 workers: s |  | 0.20 [0.20–0.20] |",
            "| captured | | all 10000 |",
            "| executables on disk: MB | | 1.5 |",
        ] {
            assert!(table.contains(row), "{row}\n{table}");
        }
    }

    #[test]
    fn what_was_not_captured_is_told() {
        assert!(markdown("M", &PLAN, &[record(None, 9_999)], None).contains("| 9999 of 10000 |"));
    }

    #[test]
    fn a_subject_that_did_not_run_is_told_below_the_table() {
        let table = markdown("M", &PLAN, &[record(Some("install it"), 0)], Some("noise"));
        assert!(table.contains("**NOT RUN: X 1.0**: install it"), "{table}");
        assert!(table.contains("**Warning**: noise."), "{table}");
    }

    #[test]
    fn the_document_has_every_turn_and_every_figure() {
        let text = json("M", &PLAN, &[record(None, 10_000)], None).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["subjects"][0]["turns"][0]["session"]["two"]["elapsed_ns"], 130_000_000);
        assert_eq!(value["subjects"][0]["figures"][1]["median"], 2.0);
    }
}
