//! The ring's reader: woken once, then coming back by itself.
//!
//! Waking a sleeper for each record costs more than the record. So the reader asks to be woken only before it goes to
//! sleep for good: while records flow it looks every coalescing period, and the kernel side wakes it sooner only for what
//! can't wait (an exec of a file whose hash is not known). An idle machine costs no wake-up at all.
//!
//! ```text
//! Busy    (records were found)      sleep one period, unarmed
//! Arming  (none; word just set)     sleep one period, look again: a program may have read the word before
//! Idle    (none again)              sleep until woken
//! ```

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use aya::maps::{Array, MapData, RingBuf};
use linnet_ebpf::{WAKE_COALESCE, WAKE_NEXT};
use smol::{Async, Timer, future::FutureExt};

use super::fill::Fill;

/// The word by which the reader asks to be woken.
pub struct WakeWord {
    map: Array<MapData, u32>,
}

impl WakeWord {
    /// Takes the map over.
    pub fn new(map: Array<MapData, u32>) -> Self {
        Self { map }
    }

    fn set(&mut self, value: u32) {
        if let Err(error) = self.map.set(0, value, 0) {
            // Costs latency only: records are then found by the next look.
            log::warn!("wake word: {error}");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Busy,
    Arming,
    Idle,
}

/// The next state after a look at the ring that found records or none.
fn next_state(state: State, found: bool) -> State {
    match (state, found) {
        (_, true) => State::Busy,
        (State::Busy, false) => State::Arming,
        (State::Arming | State::Idle, false) => State::Idle,
    }
}

/// Whether to go on taking records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enough {
    /// There is room for more.
    No,
    /// What was taken has to be passed on first.
    Yes,
}

/// How a look at the ring went.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// There were records.
    pub found: bool,
    /// None is left.
    pub empty: bool,
}

/// The ring, and the bell that calls its reader.
pub struct Ring {
    ring: RingBuf<MapData>,
    bell: RingBuf<MapData>,
    heard: Async<OwnedFd>,
    wake: WakeWord,
    state: State,
    fill: Fill,
    #[cfg(feature = "replay")]
    replay: super::replay::Replay,
}

impl Ring {
    /// Watches the bell.
    ///
    /// # Errors
    /// When its descriptor can't be watched, or its positions can't be read.
    pub fn new(
        ring: RingBuf<MapData>,
        bell: RingBuf<MapData>,
        wake: WakeWord,
        ring_bytes: u32,
    ) -> io::Result<Self> {
        let heard = Async::new_nonblocking(bell.as_fd().try_clone_to_owned()?)?;
        let fill = Fill::new(ring.as_fd(), u64::from(ring_bytes))?;
        Ok(Self {
            ring,
            bell,
            heard,
            wake,
            state: State::Busy,
            fill,
            #[cfg(feature = "replay")]
            replay: super::replay::Replay::from_environment()?,
        })
    }

    /// Bytes that wait in the ring now.
    pub fn fill_bytes(&self) -> u64 {
        self.fill.bytes()
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.fill.ring_bytes()
    }

    /// Gives records to `each` until it says that it has enough, and tells whether the ring is empty. A record stays in
    /// the ring until `each` returns.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8]) -> Enough) -> Drained {
        let mut found = false;
        #[cfg(feature = "replay")]
        if self.replay.drain(&mut each) {
            return Drained { found: true, empty: false };
        }
        while let Some(item) = self.ring.next() {
            found = true;
            #[cfg(feature = "replay")]
            self.replay.keep(&item);
            if each(&item) == Enough::Yes {
                return Drained { found, empty: false };
            }
        }
        Drained { found, empty: true }
    }

    /// Waits until it is worth looking again, given whether the last look found records.
    ///
    /// # Errors
    /// When the descriptor can't be watched.
    pub async fn wait(&mut self, found: bool, period: Duration) -> io::Result<()> {
        self.state = next_state(self.state, found);
        if self.state != State::Busy {
            self.wake.set(WAKE_NEXT);
        }
        match self.state {
            State::Idle => self.heard.readable().await?,
            State::Busy | State::Arming => {
                let pause = async {
                    Timer::after(period).await;
                    Ok(())
                };
                pause.or(self.heard.readable()).await?;
            }
        }
        while self.bell.next().is_some() {}
        if self.state != State::Busy {
            self.wake.set(WAKE_COALESCE);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_sleeps_for_good_only_after_two_empty_looks() {
        assert_eq!(next_state(State::Busy, true), State::Busy);
        assert_eq!(next_state(State::Busy, false), State::Arming);
        assert_eq!(next_state(State::Arming, false), State::Idle);
        assert_eq!(next_state(State::Idle, false), State::Idle);
        assert_eq!(next_state(State::Arming, true), State::Busy);
        assert_eq!(next_state(State::Idle, true), State::Busy);
    }
}
