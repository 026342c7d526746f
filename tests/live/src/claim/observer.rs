//! What an operator looks at: metrics, and the screen of `top`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::agent::{Agent, Room};
use crate::event::at;
use crate::program::Behaviour;
use crate::stage::Stage;
use crate::suite::Case;
use crate::trouble::{Doing, Result, not_here, wrong};
use crate::wholeness::{self, Expect};

pub const CASES: &[Case] = &[
    Case::Alone("metrics_say_what_the_health_document_says", metrics),
    Case::AloneOnHost("metrics_are_read_by_prometheus_own_parser", parsed),
    Case::AloneOnHost("metrics_that_can_not_be_told_keep_nothing_from_being_seen", taken),
    Case::AloneOnHost("top_shows_an_agent_in_a_terminal_and_leaves_it_as_it_was", screen),
    Case::AloneOnHost("top_once_is_plain_text_and_says_where_no_agent_runs", once),
];

fn scrape(stream: &mut (impl Read + Write)) -> Result<String> {
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").doing("ask for metrics")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).doing("read metrics")?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 OK") => Ok(body.to_owned()),
        _ => wrong(format!("this was answered: {answer}")),
    }
}

/// The value of the sample that begins so.
fn value(text: &str, sample: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let Some(value) = line else { return wrong(format!("{sample} is not in\n{text}")) };
    value.parse::<f64>().doing(sample).map(|value| value as u64)
}

fn metrics(stage: &Stage) -> Result<String> {
    let agent =
        Agent::start(stage, &json!({"metrics": {"listen": "127.0.0.1:0"}, "events": {"fork": true}}))?;
    let health =
        agent.await_health("the address of the metrics", |health| at(health, "metrics").is_string())?;
    let address = at(&health, "metrics").as_str().unwrap_or_default().to_owned();
    let tool = stage.program(Behaviour::Exit(0))?;
    for _ in 0..20 {
        stage.run_well(&tool.path, &["x"])?;
    }
    // Both are made of one document; the health file is looked at before and after, so that they are of the same.
    let (health, text) = stage.await_that("the same numbers at both places", || {
        let before = agent.room.health();
        let text = scrape(&mut TcpStream::connect(&address).doing("connect")?)?;
        let is_same =
            before == agent.room.health() && at(&before, "losses.exec.delivered").as_u64() >= Some(20);
        Ok(is_same.then_some((before, text)))
    })?;
    for kind in ["exec", "fork", "exit"] {
        for (metric, path) in [
            ("linnet_records_attempted_total", "attempted"),
            ("linnet_records_received_total", "received"),
            ("linnet_records_lost_in_ring_total", "lost_ring"),
            ("linnet_records_rate_limited_total", "rate_limited"),
            ("linnet_records_delivered_total", "delivered"),
            ("linnet_records_waiting", "waiting"),
        ] {
            let told = value(&text, &format!("{metric}{{kind=\"{kind}\"}}"))?;
            let wanted = at(&health, &format!("losses.{kind}.{path}"));
            if *wanted != told {
                return wrong(format!("{metric} of {kind} is {told}, the health document says {wanted}"));
            }
        }
    }
    for sample in
        ["linnet_events_total{family=\"exec\"}", "linnet_ring_peak_bytes", "linnet_files_hashed_total"]
    {
        if value(&text, sample)? == 0 {
            return wrong(format!("nothing increments {sample}"));
        }
    }
    let talks = at(&health, "talkers.programs").to_string();
    wholeness::check(&agent.stop()?, Expect::All)?;
    Ok(format!("{} lines; programs {talks}", text.lines().count()))
}

fn parsed(stage: &Stage) -> Result<String> {
    const READ: &str = "import sys\nfrom prometheus_client.parser import text_string_to_metric_families as read\n\
        families = list(read(sys.stdin.read()))\nassert all(f.documentation and f.type in ('counter', 'gauge') for f in families)\n\
        print(len(families), sum(len(f.samples) for f in families))";
    let python = Path::new("/usr/bin/python3");
    if stage.run(python, &["-c", "import prometheus_client"]).map_or(true, |deed| !deed.status.success()) {
        return not_here("python3-prometheus-client is not installed");
    }
    let room = Room::new(stage)?;
    let socket = room.dir.join("metrics.sock");
    let listen = json!({"metrics": {"listen": format!("unix:{}", socket.display())}});
    let agent = Agent::start_in(stage, room, &listen, &[])?;
    agent.await_health("the address of the metrics", |health| at(health, "metrics").is_string())?;
    let text = scrape(&mut UnixStream::connect(&socket).doing("connect to the socket")?)?;
    let mut reader = stage.start(python, &["-c", READ])?;
    if let Some(stdin) = reader.stdin.as_mut() {
        stdin.write_all(text.as_bytes()).doing("hand the metrics over")?;
    }
    let deed = stage.finish(reader)?;
    if !deed.status.success() {
        return wrong(format!("the parser refuses them: {}\n{text}", deed.complaint));
    }
    wholeness::check(&agent.stop()?, Expect::All)?;
    if socket.exists() {
        return wrong("the socket stays behind");
    }
    Ok(format!("families and samples: {}", deed.said.trim()))
}

/// Somebody else has the port.
fn taken(stage: &Stage) -> Result<String> {
    let other = std::net::TcpListener::bind("127.0.0.1:0").doing("listen")?;
    let address = other.local_addr().doing("listen")?.to_string();
    let agent = Agent::start(stage, &json!({"metrics": {"listen": address}}))?;
    let is_told = |health: &Value| at(health, "degraded").to_string().contains("metrics are not told");
    let health = agent.await_health("the reason", is_told)?;
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.run_well(&tool.path, &[&token])?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    run.exec(&token)?.is_of(&tool.sha256)?;
    Ok(at(&health, "degraded").to_string())
}

/// A terminal: tmux with a server of its own.
struct Tmux<'s> {
    stage: &'s Stage,
    socket: String,
}

impl<'s> Tmux<'s> {
    const PROGRAM: &'static str = "/usr/bin/tmux";

    fn start(stage: &'s Stage, dir: &Path) -> Result<Self> {
        if !Path::new(Self::PROGRAM).exists() {
            return not_here("tmux is not installed");
        }
        let tmux = Self { stage, socket: dir.join("tmux").to_string_lossy().into_owned() };
        tmux.ask(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "env PS1='$ ' /bin/sh"])?;
        Ok(tmux)
    }

    fn ask(&self, args: &[&str]) -> Result<String> {
        let mut command = self.stage.command(Path::new(Self::PROGRAM), &["-S", &self.socket]);
        let output = command
            .args(args)
            .env("TERM", "screen-256color")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .doing("run tmux")?;
        if !output.status.success() {
            return wrong(format!("tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn keys(&self, keys: &[&str]) -> Result {
        self.ask(&[&["send-keys"], keys].concat()).map(drop)
    }

    /// What a user sees.
    fn sees(&self) -> Result<String> {
        self.ask(&["capture-pane", "-p"])
    }

    fn await_sight(&self, what: &str, is_so: impl Fn(&str) -> bool) -> Result<String> {
        let last = std::cell::RefCell::new(String::new());
        let seen = self.stage.await_that(what, || {
            let text = self.sees()?;
            last.borrow_mut().clone_from(&text);
            Ok(is_so(&text).then_some(text))
        });
        seen.or_else(|trouble| wrong(format!("{trouble}; the screen shows\n{}", last.borrow())))
    }

    /// The cursor is there, the screen is the first one, and what is typed is shown and read line by line.
    fn is_as_it_was(&self) -> Result {
        self.keys(&[
            "clear; stty -a | tr ' ' '\\n' | grep -xE -- '-?(echo|icanon|isig|opost);?' | xargs; echo DONE",
            "Enter",
        ])?;
        let text = self.await_sight("the terminal's state", |text| text.contains("\nDONE"))?;
        if !text.contains("isig icanon echo") || text.contains("-opost") {
            return wrong(format!("the terminal is not as it was: {text}"));
        }
        match self.ask(&["display-message", "-p", "#{cursor_flag} #{alternate_on}"])?.trim() {
            "1 0" => Ok(()),
            other => wrong(format!("cursor and alternate screen are {other}")),
        }
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let _ = self.ask(&["kill-server"]);
    }
}

fn screen(stage: &Stage) -> Result<String> {
    let agent = Agent::start(stage, &json!({}))?;
    let tmux = Tmux::start(stage, &agent.room.dir)?;
    let settings = agent.room.dir.join("linnet.json");
    let top = format!("{} top --settings {}; echo CODE $?", stage.agent.display(), settings.display());
    let tool = stage.program(Behaviour::Exit(0))?;
    tmux.keys(&[&top, "Enter"])?;
    let (pid, path) = (format!("pid {}", agent.pid()), tool.text());
    // The tool is executed until it is seen: what talks is told for one interval.
    let is_whole = |text: &str| {
        [&*pid, "! limits are switched off", "exec/s", "by all", &path, "memory", "q quit"]
            .iter()
            .all(|word| text.contains(word))
    };
    let seen = stage.await_that("the agent and a busy program on the screen", || {
        for _ in 0..20 {
            stage.run_well(&tool.path, &["x"])?;
        }
        let text = tmux.sees()?;
        Ok(is_whole(&text).then_some(text))
    })?;
    if seen.lines().count() > 24 || seen.lines().any(|line| line.chars().count() > 80) {
        return wrong(format!("it does not fit: {seen}"));
    }
    tmux.keys(&["s"])?;
    tmux.await_sight("another order", |text| text.contains("by fork"))?;
    tmux.keys(&["p"])?;
    tmux.await_sight("a pause", |text| text.contains("PAUSED"))?;
    tmux.ask(&["resize-window", "-x", "60", "-y", "10"])?;
    tmux.await_sight("a word on the size", |text| text.contains("at least 80 x 24"))?;
    tmux.ask(&["resize-window", "-x", "120", "-y", "40"])?;
    tmux.await_sight("the agent again", |text| text.contains(&pid))?;
    tmux.keys(&["q"])?;
    tmux.await_sight("the end", |text| text.contains("CODE 0"))?;
    tmux.is_as_it_was()?;

    // Ended by a signal, while the agent ends as well.
    let note = agent.room.dir.join("top.pid");
    let noted = format!(
        "clear; sh -c 'echo $$ > {}; exec {} top --settings {}'; echo CODE $?",
        note.display(),
        stage.agent.display(),
        settings.display()
    );
    tmux.keys(&[&noted, "Enter"])?;
    tmux.await_sight("the agent again", |text| text.contains(&pid))?;
    let run = agent.stop()?;
    wholeness::check(&run, Expect::All)?;
    tmux.await_sight("a word that the agent is gone", |text| text.contains("no agent runs"))?;
    let pid: i32 = fs::read_to_string(&note).doing("read top's pid")?.trim().parse().doing("top's pid")?;
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return wrong("top's pid is no pid") };
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).doing("end top")?;
    tmux.await_sight("the end", |text| text.contains("CODE 0"))?;
    tmux.is_as_it_was()?;
    Ok(String::new())
}

fn once(stage: &Stage) -> Result<String> {
    let room = Room::new(stage)?;
    let settings = room.settings(&json!({}))?.to_string_lossy().into_owned();
    let nobody = stage.run(&stage.agent, &["top", "--once", "--settings", &settings])?;
    if nobody.status.code() != Some(1) || !nobody.complaint.contains("no agent runs") {
        return wrong(format!("without an agent it says {:?} {:?}", nobody.said, nobody.complaint));
    }
    let agent = Agent::start_in(stage, room, &json!({}), &[])?;
    agent.await_health("a health document", |health| at(health, "pid").is_u64())?;
    let deed = stage.run_well(&stage.agent, &["top", "--once", "--settings", &settings])?;
    let no_screen = stage.run(&stage.agent, &["top", "--settings", &settings])?;
    if no_screen.status.code() != Some(1) || !no_screen.complaint.contains("--once") {
        return wrong(format!("into a pipe it says {:?} {:?}", no_screen.said, no_screen.complaint));
    }
    fs::write(agent.room.dir.join("top"), &deed.said).doing("keep what was said")?;
    wholeness::check(&agent.stop()?, Expect::All)?;
    let wanted = ["! limits are switched off", "attempted", "memory", "left out  nothing", "now/s"];
    match wanted.iter().find(|word| !deed.said.contains(**word)) {
        Some(word) => wrong(format!("{word} is not in\n{}", deed.said)),
        None if deed.said.contains('\u{1b}') => wrong("plain text has escape sequences"),
        None => Ok(deed.said.lines().next().unwrap_or_default().to_owned()),
    }
}
