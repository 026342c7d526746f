//! A sink's thread: takes, filters, sends, and settles.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use linnet_fleet::dice;
use linnet_settings::sinks::{EventKind, NetworkSink};
use linnet_spool::{Counts, Reader, Settlement, Taken};

use crate::{
    backend::{Backend, Event, Item, Verdict},
    pace::Pace,
    refused::DeadLetters,
    report::Board,
    share::share,
    transport::Transport,
};

/// How long a sink sleeps at most when nothing comes; then positions are stored and what is too old is dropped.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long what is left is delivered after the stop.
const GRACE: Duration = Duration::from_secs(4);
/// Pause after a segment that could not be read.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// A failure is named in the log once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// A refused event that cannot be kept either.
const NOT_KEPT: &str = "refused_not_kept";
/// Events that the other side refused without saying which.
const UNNAMED: &str = "refused_unnamed";

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
    pub stop_by: Option<Instant>,
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

/// The events of a request, or of what is left of it.
#[derive(Default)]
struct Load {
    lines: Vec<u8>,
    events: Vec<(Range<usize>, u8)>,
}

impl Load {
    fn line(&self, event: usize) -> (&[u8], u8) {
        self.events
            .get(event)
            .map_or((&[], 0), |(range, kind)| (self.lines.get(range.clone()).unwrap_or_default(), *kind))
    }
}

/// Somebody wants the thread to end.
struct Stopped;

impl Worker {
    /// Until the spool is stopped and there is no more, or no more time.
    pub fn run(mut self) {
        loop {
            let mut settlement = Settlement::default();
            let load = match self.gather(&mut settlement) {
                Ok(Some(load)) => load,
                Ok(None) if self.is_over() => return,
                Ok(None) => continue,
                Err(Stopped) => return,
            };
            if self.deliver(&load, &mut settlement).is_err() {
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
            let start = load.lines.len();
            load.lines.extend_from_slice(line);
            load.events.push((start..load.lines.len(), kind));
        }
    }

    /// Sends until every event has found its end.
    fn deliver(&mut self, load: &Load, settlement: &mut Settlement) -> Result<(), Stopped> {
        let mut parts: VecDeque<Vec<usize>> = self.cut(load).into();
        while let Some(mut part) = parts.pop_front() {
            let most = self.pace.most_events(part.len());
            if most < part.len() {
                parts.push_front(part.split_off(most));
            }
            match self.send(load, &part) {
                Verdict::Accepted => {
                    self.pace.succeeded();
                    self.note_success();
                    part.iter().for_each(|&event| settlement.delivered.count(load.line(event).1));
                }
                Verdict::Each(items) => {
                    if let Some(rest) = self.settle_each(load, &part, items, settlement)? {
                        parts.push_front(rest);
                    }
                }
                Verdict::Partly { refused, why } => {
                    self.pace.succeeded();
                    self.note_success();
                    self.settle_partly(load, &part, refused, &why, settlement);
                }
                Verdict::Refused(why) if part.len() == 1 => {
                    self.refuse(load, part.first().copied().unwrap_or_default(), &why, settlement)?;
                }
                Verdict::TooLarge if part.len() == 1 => {
                    let why = "answered 413: too large, alone";
                    self.refuse(load, part.first().copied().unwrap_or_default(), why, settlement)?;
                }
                Verdict::Refused(_) | Verdict::TooLarge => {
                    let half = part.split_off(part.len() / 2);
                    parts.push_front(half);
                    parts.push_front(part);
                }
                Verdict::Later { why, after } => {
                    parts.push_front(part);
                    self.back_off(&why, after)?;
                }
                Verdict::Misconfigured(why) => {
                    parts.push_front(part);
                    // Secrets and certificates are read again: they may have been replaced.
                    self.transport = None;
                    self.back_off(&why, None)?;
                }
            }
        }
        Ok(())
    }

    /// Into requests of the allowed size.
    fn cut(&self, load: &Load) -> Vec<Vec<usize>> {
        let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (event, (line, _)) in load.events.iter().enumerate() {
            let len = line.len();
            if !part.is_empty() && (part.len() >= self.max_events || bytes + len > self.max_bytes) {
                parts.push(std::mem::take(&mut part));
                bytes = 0;
            }
            part.push(event);
            bytes += len;
        }
        if !part.is_empty() {
            parts.push(part);
        }
        parts
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
            Err(why) => {
                self.board.write(|report| report.requests += 1);
                Verdict::Later { why, after: None }
            }
        }
    }

    fn carry(&mut self, body: &[u8], events: usize) -> Result<(Verdict, u64), String> {
        let transport = match &mut self.transport {
            Some(transport) => transport,
            none => none.insert(Transport::new(&self.settings, &self.backend)?),
        };
        transport.send(&self.backend, body, events)
    }

    /// Each event by its own answer; gives what has to be sent again.
    fn settle_each(
        &mut self,
        load: &Load,
        part: &[usize],
        items: Vec<Item>,
        settlement: &mut Settlement,
    ) -> Result<Option<Vec<usize>>, Stopped> {
        let (mut rest, mut why_later, mut accepted) = (Vec::new(), None, false);
        let mut refused = Vec::new();
        for (&event, item) in part.iter().zip(items) {
            match item {
                Item::Accepted => {
                    accepted = true;
                    settlement.delivered.count(load.line(event).1);
                }
                Item::Refused(why) => refused.push((event, why)),
                Item::Later(why) => {
                    rest.push(event);
                    why_later = Some(why);
                }
            }
        }
        if accepted {
            self.pace.succeeded();
            self.note_success();
        }
        for (event, why) in refused {
            self.refuse(load, event, &why, settlement)?;
        }
        if let Some(why) = why_later {
            self.back_off(&why, None)?;
        }
        Ok((!rest.is_empty()).then_some(rest))
    }

    /// So many of them are gone and nobody says which: their number is exact, their kinds are shared out.
    fn settle_partly(
        &mut self,
        load: &Load,
        part: &[usize],
        refused: usize,
        why: &str,
        settlement: &mut Settlement,
    ) {
        let mut sent = Counts::default();
        part.iter().for_each(|&event| sent.count(load.line(event).1));
        let gone = share(&sent, refused as u64);
        settlement.delivered = settlement.delivered.plus(&sent.minus(&gone));
        let slot = settlement.dropped.entry(UNNAMED).or_default();
        *slot = slot.plus(&gone);
        self.complain(&format!("{why}; it is not said which, they count as dropped ({UNNAMED})"));
    }

    /// One event that the other side does not want for what it is.
    fn refuse(
        &mut self,
        load: &Load,
        event: usize,
        why: &str,
        settlement: &mut Settlement,
    ) -> Result<(), Stopped> {
        let (line, kind) = load.line(event);
        match self.letters.keep(line, why, Timestamp::now()) {
            Ok(()) => settlement.refused.count(kind),
            Err(error) => {
                settlement.dropped.entry(NOT_KEPT).or_default().count(kind);
                self.complain(&format!("a refused event could not be kept: {error}"));
            }
        }
        self.complain(&format!("an event was refused and put aside: {why}"));
        match self.pace.refused(dice()) {
            Some(wait) => self.rest(wait),
            None => Ok(()),
        }
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

    fn note_success(&mut self) {
        let was_down = self.board.read().failures_in_row > 0;
        self.board.write(|report| {
            report.failures_in_row = 0;
            report.is_down = false;
            report.last_success = Some(Timestamp::now());
            report.last_error = None;
        });
        if was_down {
            self.logged = None;
            log::info!("sink {}: delivers again", self.name);
        }
    }

    fn complain(&mut self, why: &str) {
        self.board.write(|report| report.last_error = Some(why.to_owned()));
        let now = Instant::now();
        if self.logged.is_none_or(|at| now.duration_since(at) >= LOG_INTERVAL) {
            self.logged = Some(now);
            log::warn!("sink {}: {why}", self.name);
        }
    }
}
