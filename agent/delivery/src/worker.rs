//! A sink's thread: takes, filters, sends, and settles.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use linnet_fleet::dice;
use linnet_settings::sinks::{EventKind, NetworkSink};
use linnet_spool::{Reader, Settlement, Taken};

use crate::{
    backend::{Backend, Event, Verdict},
    load::Load,
    pace::Pace,
    refused::DeadLetters,
    report::Board,
    transport::Transport,
};

mod outcome;

/// How long a sink sleeps at most when nothing comes; then positions are stored and what is too old is dropped.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long what is left is delivered after the stop.
const GRACE: Duration = Duration::from_secs(4);
/// Pause after a segment that could not be read.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// A failure is named in the log once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// What a sink's thread works with.
pub(crate) struct Worker {
    pub name: String,
    pub reader: Reader,
    pub settings: NetworkSink,
    /// None until everything that it needs is there.
    pub transport: Option<Transport>,
    pub backend: Backend,
    pub pace: Pace,
    pub letters: DeadLetters,
    pub board: Arc<Board>,
    pub max_events: usize,
    pub max_bytes: usize,
    pub linger: Duration,
    /// Wanted, by number of the kind.
    pub wanted: [bool; linnet_spool::KINDS],
    pub body: Vec<u8>,
    pub logged: Option<Instant>,
    /// Something was named in the log since it delivered.
    pub complained: bool,
    pub stop_by: Option<Instant>,
    /// Requests of which something was taken.
    pub taken: u64,
    /// To rest before the next request: after what was refused, when that is settled.
    pub pause: Option<Duration>,
}

/// Which kinds a sink wants.
pub(crate) fn wanted(sink: &NetworkSink) -> [bool; linnet_spool::KINDS] {
    let mut wanted = [sink.events.is_none(); linnet_spool::KINDS];
    for kind in sink.events.iter().flatten() {
        if let Some(slot) = wanted.get_mut(*kind as usize) {
            *slot = true;
        }
    }
    debug_assert!(EventKind::ALL.len() <= wanted.len());
    wanted
}

/// Somebody wants the thread to end.
struct Stopped;

impl Worker {
    /// Until the spool is stopped and there is no more, or no more time.
    pub fn run(mut self) {
        loop {
            let mut settlement = Settlement::default();
            let mut load = match self.gather(&mut settlement) {
                Ok(Some(load)) => load,
                Ok(None) if self.is_over() => return,
                Ok(None) => continue,
                Err(Stopped) => return,
            };
            if self.deliver(&mut load, &mut settlement).is_err() {
                return;
            }
            self.reader.settle(&settlement);
            if self.is_over() && self.stop_by.is_some_and(|by| Instant::now() >= by) {
                return;
            }
        }
    }

    /// Whether the end has come; from the first time that it is seen, there is some time left.
    fn is_over(&mut self) -> bool {
        let stopped = self.reader.is_stopped();
        if stopped && self.stop_by.is_none() {
            self.stop_by = Some(Instant::now() + GRACE);
        }
        stopped
    }

    /// As much as fits into a request, or what came in the time that the first of it may wait.
    fn gather(&mut self, settlement: &mut Settlement) -> Result<Option<Load>, Stopped> {
        let mut load = Load::default();
        let mut until: Option<Instant> = None;
        let mut took = false;
        loop {
            let patience = until.map_or(PATIENCE, |until| until.saturating_duration_since(Instant::now()));
            match self.reader.take(patience) {
                Ok(Some(taken)) => {
                    took = true;
                    until = until.or_else(|| Some(Instant::now() + self.linger));
                    self.add(&taken, &mut load, settlement);
                    if load.events.len() >= self.max_events || load.lines.len() >= self.max_bytes {
                        return Ok(Some(load));
                    }
                }
                Ok(None) => return Ok(took.then_some(load)),
                Err(error) => {
                    self.complain(&error.to_string());
                    if took {
                        return Ok(Some(load));
                    }
                    if self.reader.rest(READ_AGAIN) {
                        return Err(Stopped);
                    }
                }
            }
        }
    }

    fn add(&self, taken: &Taken, load: &mut Load, settlement: &mut Settlement) {
        let mut lines = taken.lines().split_inclusive(|byte| *byte == b'\n');
        for &kind in taken.kinds() {
            // The sensor writes a line for each kind; were one missing, it would be told.
            let Some(line) = lines.next() else {
                settlement.dropped.entry("malformed").or_default().count(kind);
                continue;
            };
            if !self.wanted.get(usize::from(kind)).copied().unwrap_or(true) {
                settlement.filtered.count(kind);
                continue;
            }
            load.add(line, kind);
        }
    }

    /// Sends until every event has found its end.
    fn deliver(&mut self, load: &mut Load, settlement: &mut Settlement) -> Result<(), Stopped> {
        let mut parts = load.cut(0, self.max_events, self.max_bytes);
        while let Some(mut part) = parts.pop_front() {
            if let Some(wait) = self.pause.take() {
                self.rest(wait)?;
            }
            if let Some(rest) = part.cut(self.pace.most_events(part.events.len())) {
                parts.push_front(rest);
            }
            let alone = match part.events.as_slice() {
                [event] => Some(*event),
                _ => None,
            };
            match (self.send(load, &part.events), alone) {
                (Verdict::Accepted, _) => {
                    self.note_success();
                    part.events.iter().for_each(|&event| settlement.delivered.count(load.line(event).1));
                }
                (Verdict::Each(items), _) => {
                    self.settle_each(load, &part, items, settlement, &mut parts)?;
                }
                (Verdict::Partly { refused, why }, _) => {
                    self.note_success();
                    self.settle_partly(load, &part.events, refused, &why, settlement);
                }
                (Verdict::Refused(why), Some(event)) => {
                    self.put_aside(load, event, &why, settlement);
                    self.pause = self.pace.refused(1, dice());
                }
                (Verdict::TooLarge, Some(event)) => {
                    self.put_aside(load, event, "answered 413: too large, alone", settlement);
                    self.pause = self.pace.refused(1, dice());
                }
                (Verdict::Refused(_) | Verdict::TooLarge, None) => {
                    let half = part.events.len() / 2;
                    if let Some(other) = part.cut(half) {
                        parts.push_front(other);
                    }
                    parts.push_front(part);
                }
                (Verdict::Later { why, after }, _) => {
                    parts.push_front(part);
                    self.back_off(&why, after)?;
                }
                (Verdict::Failed(why), _) => {
                    self.take_differently(load, part, &why, settlement, &mut parts);
                    self.back_off(&why, None)?;
                }
                (Verdict::Misconfigured(why), _) => {
                    parts.push_front(part);
                    self.transport = None;
                    self.back_off(&why, None)?;
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, load: &Load, part: &[usize]) -> Verdict {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        let events = part.iter().map(|&event| {
            let (line, kind) = load.line(event);
            Event { line, kind }
        });
        self.backend.encode(events, &mut body);
        let result = self.carry(&body, part.len());
        self.body = body;
        match result {
            Ok((verdict, sent)) => {
                self.board.write(|report| {
                    report.requests += 1;
                    report.sent_bytes += sent;
                });
                verdict
            }
            Err(verdict) => {
                // Secrets and certificates are read again: they may have been replaced.
                self.transport = None;
                self.board.write(|report| report.requests += 1);
                verdict
            }
        }
    }

    fn carry(&mut self, body: &[u8], events: usize) -> Result<(Verdict, u64), Verdict> {
        let transport = match &mut self.transport {
            Some(transport) => transport,
            none => none.insert(
                Transport::new(&self.settings, &self.backend)
                    .map_err(|why| Verdict::Later { why, after: None })?,
            ),
        };
        transport.send(&self.backend, body, events)
    }

    fn back_off(&mut self, why: &str, asked: Option<Duration>) -> Result<(), Stopped> {
        let wait = self.pace.failed(asked, dice());
        let is_down = self.pace.is_down();
        self.board.write(|report| {
            report.failures += 1;
            report.failures_in_row += 1;
            report.is_down = is_down;
        });
        self.complain(why);
        self.rest(wait)
    }

    fn rest(&mut self, wait: Duration) -> Result<(), Stopped> {
        // At the end nothing is worth waiting for: the spool keeps it.
        if self.reader.rest(wait) { Err(Stopped) } else { Ok(()) }
    }

    /// Something was taken.
    fn note_success(&mut self) {
        self.pace.succeeded();
        self.taken += 1;
        self.board.write(|report| {
            report.failures_in_row = 0;
            report.is_down = false;
            report.last_success = Some(Timestamp::now());
            report.last_error = None;
        });
        if std::mem::take(&mut self.complained) {
            log::info!("sink {}: delivers again", self.name);
        }
    }

    fn complain(&mut self, why: &str) {
        self.board.write(|report| report.last_error = Some(why.to_owned()));
        let now = Instant::now();
        if self.logged.is_none_or(|at| now.duration_since(at) >= LOG_INTERVAL) {
            self.logged = Some(now);
            self.complained = true;
            log::warn!("sink {}: {why}", self.name);
        }
    }
}
