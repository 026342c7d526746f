//! What a sink tells of itself, for the health document.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// How a sink is. Its account is the spool's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Requests made.
    pub requests: u64,
    /// Of these, without success.
    pub failures: u64,
    /// In a row, until now.
    pub failures_in_row: u32,
    /// Whether the backend counts as down, and is only asked now and then.
    pub is_down: bool,
    /// Bytes of bodies that were sent, as they went over the wire.
    pub sent_bytes: u64,
    /// When something was delivered last.
    pub last_success: Option<Timestamp>,
    /// What went wrong last, until something goes well.
    pub last_error: Option<String>,
}

/// The report, shared with the sink's thread.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Report>);

impl Board {
    pub fn read(&self) -> Report {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn write(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
