//! The thread that takes batches to the sinks, and what it has counted.
//!
//! The queue holds at most [`QUEUE_BATCHES`] batches. An event counts as delivered when one sink at least took its batch, and as dropped, with
//! the first sink's reason, when none did.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use linnet_ebpf::KINDS;
use linnet_fleet::health;
use smol::{Timer, channel::TrySendError, future::FutureExt};

use super::{DropReason, Sink, SinkError};

/// Batches between the sensor and the sinks.
pub const QUEUE_BATCHES: usize = 8;
/// A sink that fails is named in the log once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// Whole lines, and how many records of each kind they tell of.
#[derive(Default)]
pub struct Batch {
    /// The lines.
    pub lines: Vec<u8>,
    /// The kind of each line.
    pub kinds: Vec<u8>,
    /// Records of each kind.
    pub records: [u64; KINDS as usize],
    /// Events of plugins, by name.
    pub plugins: BTreeMap<Arc<str>, u64>,
}

impl Batch {
    /// Lines in it.
    pub fn events(&self) -> u64 {
        self.kinds.len() as u64
    }
}

/// What became of one plugin's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PluginCounts {
    /// Got out.
    pub delivered: u64,
    /// Did not, by reason.
    pub dropped: [u64; DropReason::ALL.len()],
}

/// What became of the batches; read by the sensor while the thread counts.
#[derive(Default)]
pub struct Shared {
    delivered: [AtomicU64; KINDS as usize],
    dropped: [[AtomicU64; DropReason::ALL.len()]; KINDS as usize],
    plugins: Mutex<BTreeMap<Arc<str>, PluginCounts>>,
    last_delivery_ms: AtomicI64,
    sinks: Mutex<Vec<health::Sink>>,
    /// The sink that is being written to, by its number, and since when.
    in_hand: Mutex<Option<(usize, Instant)>>,
}

impl Shared {
    /// The sink that is being written to, and for how long already.
    pub fn in_hand(&self) -> Option<(String, Duration)> {
        let (index, since) = (*self.in_hand.lock().unwrap_or_else(PoisonError::into_inner))?;
        let name = self.sinks().into_iter().nth(index)?.name;
        Some((name, since.elapsed()))
    }

    fn hand(&self, sink: Option<usize>) {
        let mut in_hand = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner);
        *in_hand = sink.map(|sink| (sink, Instant::now()));
    }

    /// Records of a kind that got out.
    pub fn delivered(&self, kind: usize) -> u64 {
        self.delivered.get(kind).map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// Records of a kind that did not, by reason.
    pub fn dropped(&self, kind: usize) -> [u64; DropReason::ALL.len()] {
        self.dropped
            .get(kind)
            .map_or([0; _], |counts| counts.each_ref().map(|count| count.load(Ordering::Acquire)))
    }

    /// When the last batch got out, in milliseconds since the epoch; 0 before the first.
    pub fn last_delivery_ms(&self) -> i64 {
        self.last_delivery_ms.load(Ordering::Acquire)
    }

    /// The sinks' own counts.
    pub fn sinks(&self) -> Vec<health::Sink> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What became of a plugin's events.
    pub fn plugin(&self, name: &str) -> PluginCounts {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or_default()
    }

    fn count(&self, batch: &Batch, outcome: Result<(), DropReason>) {
        if !batch.plugins.is_empty() {
            let mut counts = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
            for (name, events) in &batch.plugins {
                let one = counts.entry(Arc::clone(name)).or_default();
                match outcome {
                    Ok(()) => one.delivered += events,
                    Err(reason) => {
                        if let Some(slot) = one.dropped.get_mut(reason as usize) {
                            *slot += events;
                        }
                    }
                }
            }
        }
        for (kind, &records) in batch.records.iter().enumerate() {
            let slot = match outcome {
                Ok(()) => self.delivered.get(kind),
                Err(reason) => self.dropped.get(kind).and_then(|counts| counts.get(reason as usize)),
            };
            if let Some(slot) = slot {
                slot.fetch_add(records, Ordering::AcqRel);
            }
        }
    }
}

/// The sensor's end of the queue.
pub struct Writer {
    queue: smol::channel::Sender<Batch>,
    used: smol::channel::Receiver<Batch>,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(sinks: Vec<Box<dyn Sink>>) -> io::Result<Self> {
        let (queue, batches) = smol::channel::bounded::<Batch>(QUEUE_BATCHES);
        let (give_back, used) = smol::channel::bounded(QUEUE_BATCHES);
        let shared = Arc::new(Shared::default());
        *shared.sinks.lock().unwrap_or_else(PoisonError::into_inner) = sinks
            .iter()
            .map(|sink| health::Sink { name: sink.name().to_owned(), ..health::Sink::default() })
            .collect();
        let counts = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("linnet-sink".to_owned()).spawn(move || {
            let mut sinks: Vec<Slot> = sinks.into_iter().map(|sink| Slot { sink, logged: None }).collect();
            while let Ok(mut batch) = batches.recv_blocking() {
                deliver(&mut sinks, &batch, &counts);
                batch.lines.clear();
                batch.plugins.clear();
                batch.kinds.clear();
                batch.records = [0; KINDS as usize];
                // A full way back only means that the buffer is freed instead.
                let _ = give_back.try_send(batch);
            }
        })?;
        Ok(Self { queue, used, shared, thread })
    }

    /// What became of the batches.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// An empty batch, used before if there is one.
    pub fn fresh(&self) -> Batch {
        self.used.try_recv().unwrap_or_default()
    }

    /// Puts a batch into the queue, or gives it back if that is full.
    ///
    /// # Errors
    /// The batch.
    pub fn try_send(&self, batch: Batch) -> Result<(), Batch> {
        match self.queue.try_send(batch) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(batch)) => Err(batch),
            Err(TrySendError::Closed(_)) => {
                gone();
                Ok(())
            }
        }
    }

    /// Puts a batch into the queue, waiting while it is full. What comes of it does not borrow: who waits has other things to do.
    pub fn send(&self, batch: Batch) -> impl Future<Output = ()> + use<> {
        let queue = self.queue.clone();
        async move {
            if queue.send(batch).await.is_err() {
                gone();
            }
        }
    }

    /// Closes the queue and waits until everything in it is out, as long as something gets out, and until `last` if there is one.
    ///
    /// # Errors
    /// The sink that hangs.
    pub async fn finish(self, idle: Duration, last: Option<Instant>) -> Result<(), String> {
        drop(self.queue);
        // Only what comes back from now on says that something got out.
        while self.used.try_recv().is_ok() {}
        loop {
            let idle = Instant::now() + idle;
            let until = last.map_or(idle, |last| last.min(idle));
            // The thread's end of it is closed with the thread.
            let out = async { Some(self.used.recv().await.is_ok()) };
            let late = async {
                Timer::at(until).await;
                None
            };
            match out.or(late).await {
                Some(true) => {}
                Some(false) => {
                    let _ = self.thread.join();
                    return Ok(());
                }
                None => {
                    return Err(self
                        .shared
                        .in_hand()
                        .map_or_else(|| "an output".to_owned(), |(sink, _)| sink));
                }
            }
        }
    }
}

fn gone() {
    // The thread only ends when the queue does, or by a panic, which aborts the process.
    log::error!("the sinks' thread is gone");
}

struct Slot {
    sink: Box<dyn Sink>,
    logged: Option<Instant>,
}

fn deliver(sinks: &mut [Slot], batch: &Batch, shared: &Shared) {
    let mut outcome = if sinks.is_empty() { Ok(()) } else { Err(None) };
    for (index, slot) in sinks.iter_mut().enumerate() {
        shared.hand(Some(index));
        let result = slot.sink.write(&batch.lines, &batch.kinds);
        shared.hand(None);
        let mut reports = shared.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(report) = reports.get_mut(index) {
            match &result {
                Ok(()) => {
                    report.written_events += batch.events();
                    report.written_bytes += batch.lines.len() as u64;
                    report.last_error = None;
                }
                Err(error) => {
                    report.dropped += batch.events();
                    report.last_error = Some(error.to_string());
                }
            }
        }
        drop(reports);
        if let Err(error) = &result {
            log_seldom(slot, error, batch.events());
        }
        outcome = match (outcome, result) {
            (Ok(()), _) | (_, Ok(())) => Ok(()),
            (Err(first), Err(error)) => Err(first.or(Some(error.reason()))),
        };
    }
    if outcome.is_ok() {
        shared.last_delivery_ms.store(crate::event::clock::epoch_ms(), Ordering::Release);
    }
    shared.count(batch, outcome.map_err(|reason| reason.unwrap_or(DropReason::Io)));
}

fn log_seldom(slot: &mut Slot, error: &SinkError, events: u64) {
    let now = Instant::now();
    if slot.logged.is_none_or(|at| now.duration_since(at) >= LOG_INTERVAL) {
        slot.logged = Some(now);
        log::error!("{error}; {events} events of this batch did not get there, and are counted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(usize);

    impl Sink for Failing {
        fn name(&self) -> &'static str {
            "failing"
        }

        fn write(&mut self, _lines: &[u8], _kinds: &[u8]) -> Result<(), SinkError> {
            if self.0 == 0 {
                return Ok(());
            }
            self.0 -= 1;
            Err(SinkError::Full { what: "disk".to_owned() })
        }
    }

    fn finish(writer: Writer) -> Arc<Shared> {
        let shared = Arc::clone(writer.shared());
        let long = Duration::from_secs(60);
        smol::block_on(writer.finish(long, None)).unwrap();
        shared
    }

    /// Takes nothing until it is told to.
    struct Still(std::sync::mpsc::Receiver<()>);

    impl Sink for Still {
        fn name(&self) -> &'static str {
            "still"
        }

        fn write(&mut self, _lines: &[u8], _kinds: &[u8]) -> Result<(), SinkError> {
            let _ = self.0.recv();
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_hangs_is_named_and_is_not_waited_for_for_ever() {
        let (go_on, told) = std::sync::mpsc::channel();
        let writer = Writer::start(vec![Box::new(Failing(0)), Box::new(Still(told))]).unwrap();
        let shared = Arc::clone(writer.shared());
        while writer.try_send(batch([0, 1, 0])).is_ok() {}
        while shared.in_hand().is_none_or(|(sink, _)| sink != "still") {
            std::thread::yield_now();
        }
        let finished = writer.finish(Duration::from_millis(50), None);
        assert_eq!(smol::block_on(finished), Err("still".to_owned()));
        assert_eq!(shared.delivered(1), 0);
        // Whatever it still does is counted.
        drop(go_on);
        while shared.delivered(1) < QUEUE_BATCHES as u64 {
            std::thread::yield_now();
        }
        assert!(shared.in_hand().is_none_or(|(_, time)| time < Duration::from_secs(60)));
    }

    fn batch(records: [u64; KINDS as usize]) -> Batch {
        let kinds = vec![0; records.iter().sum::<u64>() as usize];
        Batch { lines: b"{}\n".to_vec(), kinds, records, ..Batch::default() }
    }

    #[test]
    fn each_record_is_delivered_or_dropped_with_a_reason() {
        let writer = Writer::start(vec![Box::new(Failing(2))]).unwrap();
        smol::block_on(async {
            for _ in 0..5 {
                writer.send(batch([0, 3, 1])).await;
            }
        });
        let shared = finish(writer);
        assert_eq!(shared.delivered(1), 9);
        assert_eq!(shared.dropped(1), [6, 0, 0]);
        assert_eq!((shared.delivered(2), shared.dropped(2)), (3, [2, 0, 0]));
        assert_eq!(shared.sinks().first().map(|sink| (sink.written_events, sink.dropped)), Some((12, 8)));
    }

    #[test]
    fn a_plugin_s_events_are_delivered_or_dropped_with_a_reason() {
        let writer = Writer::start(vec![Box::new(Failing(1))]).unwrap();
        smol::block_on(async {
            for _ in 0..3 {
                let mut batch = batch([0, 0, 0]);
                batch.plugins.insert("inventory".into(), 5);
                writer.send(batch).await;
            }
        });
        let shared = finish(writer);
        assert_eq!(shared.plugin("inventory"), PluginCounts { delivered: 10, dropped: [5, 0, 0] });
        assert_eq!(shared.plugin("other"), PluginCounts::default());
    }

    #[test]
    fn one_sink_that_works_is_enough_for_delivery() {
        let writer = Writer::start(vec![Box::new(Failing(9)), Box::new(Failing(0))]).unwrap();
        smol::block_on(writer.send(batch([1, 1, 1])));
        let shared = finish(writer);
        assert_eq!(shared.delivered(0), 1);
        assert_eq!(shared.dropped(0), [0, 0, 0]);
    }
}
