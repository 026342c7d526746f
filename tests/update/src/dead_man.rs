//! The updater dies while a release is on probation, and nobody starts it again: the dead-man rolls back.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::Tools;
use crate::host::Stage;
use crate::score::Score;

/// stable + patience + dead-man of the test settings is 9 s.
const PATIENCE: Duration = Duration::from_secs(25);

/// Runs the suite.
pub fn run(tools: &Tools, score: &mut Score) -> anyhow::Result<()> {
    let stage = Stage::new(tools)?;
    let points = ["armed", "after-switch-current", "after-units", "after-switch", "agent-restarted"];
    score.many("dead-man rolls back what nobody watches", tools.jobs, &points, |point| {
        let host = stage.host(tools, "0.2.0")?;
        let done = host.run(&["update"], &[("LINNET_KILL_AT", point)])?;
        ensure!(done.code.is_none(), "{point}: not killed: {}", done.said);
        let until = Instant::now() + PATIENCE;
        loop {
            std::thread::sleep(Duration::from_millis(300));
            match host.check("0.1.0") {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > until => {
                    return Err(error).with_context(|| format!("{point}, after 25 s"));
                }
                Err(_) => {}
            }
        }
    });
    Ok(())
}
