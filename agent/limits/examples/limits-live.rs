//! Enters a cgroup of its own and says what came of it, for trying by hand on any kind of machine:
//! `limits-live [<cpu permille> <memory MiB> <pids> [<seconds to stay>]]`.
//!
//! The exit code is 0 when everything asked for is enforced, 1 when not, 2 on an error.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use linnet_limits::{LimitValues, Wanted, apply};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("limits-live: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u32>());
    let mut next = |default: u32| arguments.next().unwrap_or(Ok(default));
    let wanted = Wanted {
        cpu_quota_permille_of_a_core: next(500)?,
        memory_max_bytes: u64::from(next(128)?) << 20,
        pids_max: next(64)?,
        ..Wanted::default()
    };
    let seconds = next(0)?;

    let mut applied = apply(&wanted, "linnet")?;
    let limits = applied.limits();
    println!("mode       {}{}", limits.mode.as_str(), if limits.delegated { ", delegated" } else { "" });
    for (hierarchy, path) in &limits.cgroups {
        println!("cgroup     {hierarchy}: {path}");
    }
    println!("requested  {}", line(&limits.requested));
    println!("in force   {}", line(&limits.in_force));
    println!("effective  {}", line(&limits.effective));
    println!("enforced   {}", limits.enforced);
    for problem in &limits.problems {
        println!("problem    {problem}");
    }
    for note in &limits.notes {
        println!("note       {note}");
    }
    let enforced = limits.enforced;

    // Busy for a while, so that throttling shows.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(500) {
        std::hint::spin_loop();
    }
    println!("usage      {:?}", applied.usage());
    if seconds > 0 {
        std::thread::sleep(Duration::from_secs(seconds.into()));
        println!("later      enforced {}", applied.reread());
        for problem in &applied.limits().problems {
            println!("problem    {problem}");
        }
        println!("reapplied  enforced {}", applied.reapply());
    }
    match applied.release() {
        Ok(()) => println!("released"),
        Err(error) => println!("release    {error}"),
    }
    Ok(enforced)
}

fn line(values: &LimitValues) -> String {
    let show = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    format!(
        "cpu {} of {} µs, burst {} µs; memory high {}, max {}; pids {}",
        show(values.cpu_quota_us),
        show(values.cpu_period_us),
        show(values.cpu_burst_us),
        show(values.memory_high_bytes),
        show(values.memory_max_bytes),
        show(values.pids_max)
    )
}
