//! What a poll with nothing new costs: processor time of this process, threads that look up names included.
//!
//! `poll_cost URL METADATA_DIR CA_FILE POLLS`; `METADATA_DIR` holds a trusted `root.json`. The first refresh is not counted.
#![expect(clippy::print_stdout, reason = "a measuring tool")]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use jiff::Timestamp;
use linnet_fleet::channel::{Channel, ChannelSettings};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, metadata, ca_file, polls] = arguments.as_slice() else {
        bail!("usage: poll_cost URL METADATA_DIR CA_FILE POLLS")
    };
    let polls: u32 = polls.parse()?;
    let mut settings = ChannelSettings::new(url);
    settings.ca_file = Some(ca_file.into());
    let opening = used()?;
    let mut channel = Channel::open(Path::new(metadata), settings.transport()?)?;
    let _ = channel.refresh(Timestamp::now())?;
    // The second one finds out what the first one left to be known, as the validators of the timestamp.
    let _ = channel.poll(Timestamp::now())?;
    let opened = used()?;
    let started = Instant::now();
    for _ in 0..polls {
        if channel.poll(Timestamp::now())?.updated {
            bail!("the channel changed meanwhile");
        }
    }
    let each = |time: Duration| time.as_secs_f64() * 1000.0 / f64::from(polls);
    println!(
        "{:.3} ms of processor time a poll, {:.3} ms of time; {:.1} ms to open and refresh",
        each(used()?.saturating_sub(opened)),
        each(started.elapsed()),
        opened.saturating_sub(opening).as_secs_f64() * 1000.0
    );
    Ok(())
}

/// Processor time of this process until now.
fn used() -> Result<Duration> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}
