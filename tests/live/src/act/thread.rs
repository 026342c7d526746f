//! Steps about threads: how a process ends that has several.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use super::say;
use crate::sys::{exit_group, exit_thread};
use crate::trouble::{Result, wrong};

/// Starts so many threads, which are all there at once, and waits for them.
pub fn run_threads(count: usize) -> Result {
    let all_there = Arc::new(Barrier::new(count));
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let all_there = Arc::clone(&all_there);
            std::thread::spawn(move || {
                all_there.wait();
                say("tid", rustix::thread::gettid().as_raw_nonzero())
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap_or_else(|_| wrong("a thread did not come to its end"))?;
    }
    Ok(())
}

/// The leader ends alone with code 3; another thread goes on for a while, and ends the process with a code.
pub fn leader_first(later_ms: u64, code: i32) -> Result {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(later_ms));
        exit_group(code)
    });
    exit_thread(3)
}

/// The leader and another thread end alone, in the same instant as far as two processors can, each with the code.
pub fn end_together(code: i32) -> Result {
    let go = Arc::new(AtomicBool::new(false));
    let ready = Arc::new(AtomicBool::new(false));
    let (their_go, their_ready) = (Arc::clone(&go), Arc::clone(&ready));
    std::thread::spawn(move || {
        their_ready.store(true, Ordering::Release);
        while !their_go.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        exit_thread(code)
    });
    while !ready.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    go.store(true, Ordering::Release);
    exit_thread(code)
}
