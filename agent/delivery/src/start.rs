//! The sinks' threads: started together, ended together.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use linnet_settings::{peer::shown, sinks::NetworkSink};
use linnet_spool::Spool;

use crate::{
    backend::Backend,
    pace::Pace,
    refused::DeadLetters,
    report::{Board, Report},
    worker::{Worker, wanted},
};

/// Why a sink does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The spool was not opened for it.
    #[error("sink {name}: the spool has no reader of this name")]
    NoReader {
        /// The sink.
        name: String,
    },
    /// No thread.
    #[error("sink {name}: thread: {source}")]
    Thread {
        /// The sink.
        name: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The sinks that run.
#[derive(Debug)]
pub struct Delivery {
    spool: Spool,
    sinks: Vec<(String, String, Arc<Board>)>,
    done: mpsc::Receiver<()>,
}

impl Delivery {
    /// Starts a thread for each sink. `directory` is where refused events are kept.
    ///
    /// # Errors
    /// [`StartError`], of the first that can't start; those before it end with the spool.
    pub fn start<'s>(
        spool: &Spool,
        sinks: impl Iterator<Item = (&'s String, &'s NetworkSink)>,
        directory: &Path,
    ) -> Result<Self, StartError> {
        let (sender, done) = mpsc::channel();
        let mut running = Vec::new();
        for (name, sink) in sinks {
            let backend = Backend::new(sink);
            let reader = spool.reader(name).ok_or_else(|| StartError::NoReader { name: name.clone() })?;
            let board = Arc::new(Board::default());
            let worker = Worker {
                name: name.clone(),
                reader,
                settings: sink.clone(),
                transport: None,
                backend,
                pace: Pace::new(Duration::from_secs(sink.retry_max_s.into())),
                letters: DeadLetters::new(directory, name, sink.refused_max_bytes),
                board: Arc::clone(&board),
                max_events: usize::try_from(sink.batch.max_events).unwrap_or(usize::MAX),
                max_bytes: usize::try_from(sink.batch.max_bytes).unwrap_or(usize::MAX),
                linger: Duration::from_millis(sink.batch.linger_ms.into()),
                wanted: wanted(sink),
                body: Vec::new(),
                logged: None,
                complained: false,
                stop_by: None,
                taken: 0,
                pause: None,
            };
            let sender = sender.clone();
            // The kernel keeps 15 bytes of a thread's name.
            let thread = std::thread::Builder::new().name(format!("linnet-to-{name}"));
            let run = move || {
                worker.run();
                let _ = sender.send(());
            };
            thread.spawn(run).map_err(|source| StartError::Thread { name: name.clone(), source })?;
            running.push((name.clone(), shown(&sink.url).to_owned(), board));
        }
        Ok(Self { spool: spool.clone(), sinks: running, done })
    }

    /// Each sink's name and url as it may be shown, and how it is.
    pub fn reports(&self) -> impl Iterator<Item = (&str, &str, Report)> {
        self.sinks.iter().map(|(name, url, board)| (name.as_str(), url.as_str(), board.read()))
    }

    /// Lets the sinks deliver what they can in this time, and stores how far they came. A thread that hangs in a request is left
    /// behind; the spool has its events.
    pub fn finish(&self, patience: Duration) {
        self.spool.stop();
        let until = Instant::now() + patience;
        for _ in &self.sinks {
            if self.done.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
                log::warn!("a sink hangs in a request and is left behind; what it was sending comes again");
                break;
            }
        }
        if let Err(error) = self.spool.close() {
            log::warn!("{error}: some events may be delivered twice");
        }
    }
}
