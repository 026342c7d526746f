//! An event as a line for people: time, container, who, what, and from where.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use crate::{
    sink::{Sink, SinkError},
    terminal::sanitised,
};

/// Longest command line that is shown.
const COMMAND_CHARS: usize = 160;
/// Digits of a container id that are shown; the events have all.
const CONTAINER_CHARS: usize = 12;

const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const BLUE: &str = "\x1b[34m";
const CYAN: &str = "\x1b[36m";
const RESET: &str = "\x1b[0m";

/// The terminal as a sink.
pub struct View {
    colours: bool,
}

impl View {
    /// With colours or without.
    pub fn new(colours: bool) -> Self {
        Self { colours }
    }
}

impl Sink for View {
    fn name(&self) -> &'static str {
        "terminal"
    }

    fn write(&mut self, lines: &[u8], _kinds: &[u8]) -> Result<(), SinkError> {
        let mut text = String::new();
        for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            if let Ok(event) = serde_json::from_slice::<Value>(line) {
                let shown = Line { colours: self.colours, event: &event }.render();
                text.push_str(&shown);
            }
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| SinkError::new("terminal", error))
    }
}

struct Line<'e> {
    colours: bool,
    event: &'e Value,
}

impl Line<'_> {
    fn render(&self) -> String {
        let class = self.number("/class_uid");
        let activity = self.number("/activity_id");
        let mut out = String::new();
        let _ = write!(out, "{} ", self.paint(DIM, &self.time()));
        match (class, activity) {
            (1007, 1) => self.launch(&mut out),
            (1007, 2) => self.end(&mut out),
            (1009, _) => self.script(&mut out),
            _ => self.other(&mut out),
        }
        out.push('\n');
        out
    }

    fn launch(&self, out: &mut String) {
        let forked = self.number("/launch_type_id") == 2;
        let what = if forked { self.paint(DIM, "fork") } else { self.paint(GREEN, "exec") };
        let _ = write!(out, "{what} {} ", self.place());
        let command = self.text("/process/cmd_line");
        let command = if command.is_empty() { self.text("/process/name") } else { command };
        let _ = write!(out, "{} {}", self.pid(), shortened(&command, COMMAND_CHARS));
        let marks = self.marks();
        if !marks.is_empty() {
            let _ = write!(out, " {}", self.paint(RED, &marks));
        }
        let hash: String = self.text("/process/file/hashes/0/value").chars().take(8).collect();
        let hash = if hash.is_empty() { self.text("/process/file/xattributes/hash_missing") } else { hash };
        let _ = write!(out, "{}", self.paint(DIM, &format!("  [{hash}]")));
        let ancestors = self.ancestors();
        if !ancestors.is_empty() {
            let _ = write!(out, "{}", self.paint(DIM, &format!(" ← {ancestors}")));
        }
    }

    fn end(&self, out: &mut String) {
        let _ = write!(
            out,
            "{} {} {} {}",
            self.paint(DIM, "exit"),
            self.place(),
            self.pid(),
            self.text("/process/name")
        );
        let signal = self.number("/process/xattributes/signal");
        let how = if signal != 0 {
            format!("signal {signal}")
        } else {
            format!("code {}", self.number("/exit_code"))
        };
        let failed = signal != 0 || self.number("/exit_code") != 0;
        let _ = write!(out, " {}", self.paint(if failed { YELLOW } else { DIM }, &how));
        let runtime_ms = self.number("/process/xattributes/runtime_ns") / 1_000_000;
        let _ = write!(out, "{}", self.paint(DIM, &format!(" after {runtime_ms} ms")));
    }

    fn script(&self, out: &mut String) {
        let size = self.number("/script/file/size");
        let first = self.text("/script/script_content/value");
        let first =
            first.lines().find(|line| !line.starts_with("#!") && !line.trim().is_empty()).unwrap_or_default();
        let _ = write!(
            out,
            "{} {} {} {} {}",
            self.paint(BLUE, "script"),
            self.place(),
            self.text("/script/file/path"),
            self.paint(DIM, &format!("{size} B:")),
            shortened(first, 80)
        );
    }

    fn other(&self, out: &mut String) {
        let colour = if self.number("/severity_id") > 1 { RED } else { YELLOW };
        let _ = write!(out, "{}", self.paint(colour, &format!("linnet {}", self.text("/message"))));
    }

    /// Container and user.
    fn place(&self) -> String {
        let container = |path: &str| self.text(path).chars().take(CONTAINER_CHARS).collect::<String>();
        let mut id = container("/process/container/uid");
        if id.is_empty() {
            id = container("/actor/process/container/uid");
        }
        if id.is_empty() {
            self.paint(DIM, &format!("{:<CONTAINER_CHARS$}", "host"))
        } else {
            self.paint(CYAN, &format!("{id:<CONTAINER_CHARS$}"))
        }
    }

    fn pid(&self) -> String {
        self.paint(DIM, &format!("{:>7}", self.number("/process/pid")))
    }

    fn marks(&self) -> String {
        let attribute = |name: &str| {
            self.event.pointer(&format!("/process/xattributes/{name}")) == Some(&Value::Bool(true))
        };
        let mut marks = Vec::new();
        for (name, mark) in
            [("set_uid", "set-uid"), ("set_gid", "set-gid"), ("by_descriptor", "by descriptor")]
        {
            if attribute(name) {
                marks.push(mark);
            }
        }
        if self.event.pointer("/process/file/xattributes/memfd") == Some(&Value::Bool(true)) {
            marks.push("memfd");
        }
        if self.event.pointer("/process/file/is_deleted") == Some(&Value::Bool(true)) {
            marks.push("deleted");
        }
        marks.join(", ")
    }

    fn ancestors(&self) -> String {
        let list = self.event.pointer("/process/ancestry").and_then(Value::as_array);
        let names = list.into_iter().flatten().filter_map(|one| one.get("name")?.as_str());
        names.map(|name| sanitised(name).into_owned()).collect::<Vec<_>>().join(" ← ")
    }

    fn time(&self) -> String {
        let at = self.event.pointer("/time").and_then(Value::as_i64).unwrap_or(0);
        let time = Timestamp::from_millisecond(at).unwrap_or_default().to_zoned(TimeZone::system());
        time.strftime("%H:%M:%S%.3f").to_string()
    }

    fn number(&self, pointer: &str) -> i64 {
        self.event.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
    }

    fn text(&self, pointer: &str) -> String {
        let text = self.event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        // Line ends are kept for the script's first line, and shown as escapes everywhere else.
        if pointer.ends_with("script_content/value") { text.to_owned() } else { sanitised(text).into_owned() }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }
}

fn shortened(text: &str, most: usize) -> String {
    let safe = sanitised(text);
    if safe.chars().count() <= most {
        return safe.into_owned();
    }
    safe.chars().take(most).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plain(event: &Value) -> String {
        Line { colours: false, event }.render()
    }

    #[test]
    fn a_launch_shows_container_command_hash_and_ancestors() {
        let line = plain(&json!({
            "class_uid": 1007, "activity_id": 1, "launch_type_id": 3, "time": 0,
            "process": {
                "pid": 42, "cmd_line": "ls -la", "container": {"uid": "0123456789abcdef"},
                "file": {"hashes": [{"value": "feedfacecafe"}]},
                "ancestry": [{"name": "sh"}, {"name": "containerd-shim"}],
                "xattributes": {"set_uid": true}
            }
        }));
        assert!(
            line.contains("exec 0123456789ab      42 ls -la set-uid  [feedface] ← sh ← containerd-shim\n"),
            "{line}"
        );
    }

    #[test]
    fn no_escape_of_a_process_reaches_the_terminal() {
        let hostile = "\u{1b}[2J\u{9b}31m\nfake line";
        let line = plain(&json!({
            "class_uid": 1007, "activity_id": 1, "time": 0,
            "process": {"pid": 1, "cmd_line": hostile, "name": hostile, "ancestry": [{"name": hostile}],
                "file": {"xattributes": {"hash_missing": hostile}}, "container": {"uid": hostile}}
        }));
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(!line.trim_end().contains(|character: char| character.is_control()), "{line:?}");
        let script =
            plain(&json!({"class_uid": 1009, "time": 0, "script": {"script_content": {"value": hostile}}}));
        assert!(!script.trim_end().contains(|character: char| character.is_control()), "{script:?}");
    }
}
