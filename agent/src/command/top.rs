//! `top`: the running agent, live, or once as plain text.

use std::{io::IsTerminal, path::Path, time::Duration};

use anyhow::bail;
use jiff::Timestamp;
use linnet_fleet::{
    health::{Health, HealthError},
    lock,
};
use linnet_settings::Settings;

use super::load_settings;
use crate::{
    exit_code, terminal,
    top::{
        figures::{Figures, figures},
        picture::{Choice, picture, plain},
        screen,
    },
};

/// A document older than this many intervals is not of a living agent.
const STALE_INTERVALS: u32 = 6;
/// Lines of the plain text.
const PLAIN_LINES: u16 = 40;
/// How often the plain text looks for a second document.
const LOOK: Duration = Duration::from_millis(100);

/// Shows the agent, and gives the exit code: 0, or 1 where none runs.
pub fn execute(named: Option<&Path>, once: bool) -> anyhow::Result<u8> {
    let settings = load_settings(named)?.settings;
    let mut source = Source { settings, last: None, before: None };
    if once {
        let figures = source.settled()?;
        terminal::print(&plain(&picture(&figures, Choice::default(), PLAIN_LINES, "")))?;
        return Ok(exit_code::OK);
    }
    // Said before the screen is taken, so that it stays to be read.
    source.look().map_err(anyhow::Error::msg)?;
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!("this is no terminal: use --once");
    }
    let colours = std::env::var_os("NO_COLOR").is_none();
    screen::run(colours, || source.look())?;
    Ok(exit_code::OK)
}

/// Where the figures come from.
struct Source {
    settings: Settings,
    last: Option<Health>,
    before: Option<Health>,
}

impl Source {
    /// The figures as they are now.
    fn look(&mut self) -> Result<Figures, String> {
        if lock::holder(&self.settings.lock_path()).is_none() {
            let path = self.settings.lock_path();
            return Err(format!(
                "no agent runs (nobody holds {}): start it by `systemctl start linnet-agent`, or name its settings by --settings; root sees it best",
                path.display()
            ));
        }
        let document = match Health::read(&self.settings.health_path()) {
            Ok(document) => document,
            Err(HealthError::Missing { .. }) => return Err("the agent is starting".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        if self.last.as_ref().is_none_or(|last| last.updated_at != document.updated_at) {
            self.before = self.last.replace(document);
        }
        let stale_s = i64::from(self.settings.health.interval_s) * i64::from(STALE_INTERVALS);
        self.last
            .as_ref()
            .map(|last| figures(last, self.before.as_ref(), Timestamp::now(), stale_s))
            .ok_or_else(|| "the agent is starting".to_owned())
    }

    /// Waits for a second document, so that rates are of now; not longer than two intervals.
    fn settled(&mut self) -> anyhow::Result<Figures> {
        let mut figures = self.look().map_err(anyhow::Error::msg)?;
        let most = Duration::from_secs(u64::from(self.settings.health.interval_s)) * 2;
        let from = std::time::Instant::now();
        while figures.since_start && from.elapsed() < most {
            std::thread::sleep(LOOK);
            figures = self.look().map_err(anyhow::Error::msg)?;
        }
        Ok(figures)
    }
}
