//! Prints what it costs to write one exec event: `cargo run --release -p linnet-ocsf --example encode-speed`.

#[expect(dead_code, reason = "the golden tests use the other samples")]
#[path = "../tests/sample/mod.rs"]
mod sample;

use std::hint::black_box;
use std::time::Instant;

use linnet_ocsf::class::ProcessActivity;
use linnet_ocsf::line::write_line;

// A round is shorter than a time slice, so that the best one ran undisturbed on a busy machine.
const EVENTS: u32 = 200;
const ROUNDS: u32 = 3_000;

fn main() {
    let prelude = sample::prelude();
    let mut out = Vec::with_capacity(8192);
    println!(
        "{:<12} {:>9} {:>6} {:>9} {:>19}",
        "exec", "ancestors", "bytes", "write, ns", "build and write, ns"
    );
    for (place, in_pod) in [("on the host", false), ("in a pod", true)] {
        for ancestors in [1, 4, 8] {
            let write_ns = sample::exec(&prelude, ancestors, in_pod, |event| {
                best_ns(|| write(&mut out, black_box(event)))
            });
            let both_ns =
                best_ns(|| sample::exec(&prelude, ancestors, in_pod, |event| write(&mut out, event)));
            let bytes = out.len();
            println!("{place:<12} {ancestors:>9} {bytes:>6} {write_ns:>9.0} {both_ns:>19.0}");
        }
    }
}

fn write(out: &mut Vec<u8>, event: &ProcessActivity<'_>) {
    out.clear();
    if let Err(error) = write_line(out, event) {
        eprintln!("{error}");
    }
    black_box(out);
}

/// Nanoseconds that one call takes in the best round.
fn best_ns(mut act: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        (0..EVENTS).for_each(|_| act());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(EVENTS)
    };
    (0..ROUNDS).map(round).fold(f64::MAX, f64::min)
}
