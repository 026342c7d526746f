//! A connection that must keep moving: a layer between the socket and TLS that ends one which delivers less than the
//! lowest rate.
//!
//! It sits below TLS, because a peer that sends one byte of a record each second makes TLS read on and on while no
//! byte comes out above. Only the time spent waiting for the peer counts, so that a slow disk on our side is not laid
//! to the server's charge.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport, time};

/// The lowest rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) min_bytes_per_s: u64,
    pub(super) window: Duration,
}

impl Pace {
    /// What must come in a window, at least one byte.
    fn due(self) -> u64 {
        let millis = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        (self.min_bytes_per_s.saturating_mul(millis) / 1000).max(1)
    }
}

/// What the error of a connection that was too slow says.
#[derive(Debug)]
pub(super) struct TooSlow(Pace);

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "less than {} bytes came in {} ms", self.0.due(), self.0.window.as_millis())
    }
}

impl std::error::Error for TooSlow {}

/// Puts the layer on each connection.
#[derive(Debug)]
pub(super) struct PacedConnector(pub(super) Pace);

impl<In: Transport> Connector<In> for PacedConnector {
    type Out = Paced<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Paced<In>>, ureq::Error> {
        Ok(chained.map(|inner| Paced { inner, pace: self.0, waited: Duration::ZERO, came: 0 }))
    }
}

#[derive(Debug)]
pub(super) struct Paced<T> {
    inner: T,
    pace: Pace,
    /// The time waited for the peer in this window, and what came in it.
    waited: Duration,
    came: u64,
}

impl<T: Transport> Transport for Paced<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let called = Instant::now();
        loop {
            let left = self.pace.window.saturating_sub(self.waited).max(Duration::from_millis(1));
            let allowed = timeout.after.saturating_sub(called.elapsed());
            let after = time::Duration::Exact(left.min(allowed));
            let (before, started) = (self.inner.buffers().input().len(), Instant::now());
            let result = self.inner.await_input(NextTimeout { after, ..timeout });
            self.waited += started.elapsed();
            self.came += self.inner.buffers().input().len().saturating_sub(before) as u64;
            let ran_out = matches!(result, Err(ureq::Error::Timeout(_)));
            if self.waited >= self.pace.window || (ran_out && left <= allowed) {
                if self.came < self.pace.due() {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, TooSlow(self.pace)).into());
                }
                (self.waited, self.came) = (Duration::ZERO, 0);
                if ran_out && left < allowed {
                    // Enough came before the pause; the next window decides.
                    continue;
                }
            }
            return result;
        }
    }

    fn is_open(&mut self) -> bool {
        // A connection that is used again starts afresh.
        (self.waited, self.came) = (Duration::ZERO, 0);
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
