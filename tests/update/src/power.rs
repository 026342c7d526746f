//! Bad days: bad releases, full and read-only disks, damaged files, two updaters at once, wrong clocks.

use crate::Tools;
use crate::score::Score;

/// Runs the suite.
pub fn run(_tools: &Tools, _score: &mut Score) -> anyhow::Result<()> {
    Ok(())
}
