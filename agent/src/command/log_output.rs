//! The log: one line each to standard error, where systemd and a terminal both pick it up.

use std::io::Write;

use log::{Level, Log, Metadata, Record};

struct Stderr {
    journal: bool,
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries speak up only when something is wrong.
        metadata.target().starts_with("linnet") || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = record.args().to_string();
        let text = crate::terminal::sanitised(&message);
        let line = if self.journal {
            // sd-daemon(3): a line may begin with its syslog priority.
            let priority = match record.level() {
                Level::Error => 3,
                Level::Warn => 4,
                Level::Info => 6,
                Level::Debug | Level::Trace => 7,
            };
            format!("<{priority}>{text}\n")
        } else {
            format!("linnet-agent: {}: {text}\n", record.level().as_str().to_ascii_lowercase())
        };
        // A closed standard error must not stop the sensor.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// Starts logging from this level on.
pub fn start(level: log::LevelFilter) {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    if log::set_boxed_logger(Box::new(Stderr { journal })).is_ok() {
        log::set_max_level(level);
    }
}
