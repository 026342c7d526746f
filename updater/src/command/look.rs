//! `status` and `history`: for people first. Neither takes the lock, so both answer while an update is under way.

use std::fmt::Write;

use linnet_fleet::health::Health;
use linnet_fleet::lock;
use serde_json::json;

use super::context::{Context, Failed};
use super::report::Report;
use crate::clock::Clock;
use crate::exit_code;
use crate::history::{self, Entry};
use crate::layout::Link;
use crate::machine::{Phase, State};
use crate::release_dir;
use crate::store;

/// How things are.
pub fn status(context: &Context<'_>) -> Result<Report, Failed> {
    let layout = &context.layout;
    let (state, damaged) = match store::read(&layout.state()) {
        Ok(state) => (state.unwrap_or_default(), None),
        Err(error) => (State::default(), Some(error.to_string())),
    };
    let hold = context.hold();
    let holder = lock::holder(&layout.lock());
    let links: Vec<_> =
        Link::ALL.into_iter().map(|link| (link.name(), release_dir::read_link(layout, link))).collect();
    let agent = Health::read(&layout.health());
    let last = history::read(&layout.history(), 1).unwrap_or_default().pop();

    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    let current = links.first().and_then(|(_, name)| name.clone());
    line("installed", current.as_deref().unwrap_or("nothing"));
    line("phase", &phase_in_words(context, &state.phase, holder));
    if let Some(why) = &damaged {
        line("!", &format!("{why}; the next run puts it aside and goes on with what is on the disk"));
    }
    match &hold {
        Ok(hold) => {
            if let Some(word) = &hold.disabled {
                line("disabled", &format!("since {:.0}{}", word.since, because(word.why.as_ref())));
            }
            if let Some(pin) = &hold.pinned {
                line(
                    "pinned",
                    &format!(
                        "to {} since {:.0}{}",
                        pin.version,
                        pin.word.since,
                        because(pin.word.why.as_ref())
                    ),
                );
            }
            if *hold == crate::hold::Hold::default() {
                line("held", "no: this host follows its channel");
            }
        }
        Err(error) => line("!", &error.to_string()),
    }
    if let Some(settings) = &context.settings.channel {
        line("channel", &settings.shown_url());
    } else {
        line("channel", "none: give channel.url in the settings file");
    }
    for (name, release) in links.iter().skip(1) {
        line(name, release.as_deref().unwrap_or("none"));
    }
    line("floor", &state.floor.map_or_else(|| "none yet".to_owned(), |floor| floor.to_string()));
    match &agent {
        Ok(health) => {
            line("agent", &format!("{} {} (pid {})", health.version, health.state.as_str(), health.pid));
        }
        Err(error) => line("agent", &error.to_string()),
    }
    for failed in state.failures.iter() {
        let left = if failed.blocked { "left alone" } else { "may be tried again" };
        line("failed", &format!("{}, {left}: {}", failed.release, failed.last.why));
    }
    if let Some(last) = &last {
        line("last", &in_words(last));
    }
    let stuck = matches!(state.phase, Phase::Stuck { .. });
    let json = json!({
        "phase": state.phase,
        "state": state.phase.name(),
        "installed": state.installed,
        "links": links.iter().map(|(name, release)| ((*name).to_owned(), json!(release))).collect::<serde_json::Map<_, _>>(),
        "floor": state.floor,
        "failures": state.failures,
        "hold": hold.as_ref().ok(),
        "hold_error": hold.as_ref().err().map(ToString::to_string),
        "state_error": damaged,
        "updater_pid": holder,
        "channel": context.settings.channel.as_ref().map(linnet_fleet::channel::ChannelSettings::shown_url),
        "agent": agent.as_ref().ok().map(|health| json!({
            "version": health.version, "pid": health.pid, "state": health.state.as_str(),
        })),
        "last": last,
    });
    let code = if stuck { exit_code::STUCK } else { exit_code::OK };
    Ok(Report { code, text: text.trim_end().to_owned(), json })
}

fn because(why: Option<&String>) -> String {
    why.map(|why| format!(": {why}")).unwrap_or_default()
}

fn phase_in_words(context: &Context<'_>, phase: &Phase, holder: Option<u32>) -> String {
    let who = match (holder, phase) {
        (Some(pid), _) => format!(", an updater is at work (pid {pid})"),
        (None, Phase::Idle) => String::new(),
        (None, _) => ", and nobody is at work: the next run, or `recover`, goes on".to_owned(),
    };
    let what = match phase {
        Phase::Idle => "nothing is under way".to_owned(),
        Phase::Probation { job, probation } => {
            let left_ms = probation.deadline_up_ms.saturating_sub(context.clock.moment().up_ms);
            format!("{} on probation, dead-man in {} s", job.target, left_ms / 1000)
        }
        Phase::Stuck { job, why, .. } => format!("the rollback from {} failed: {why}", job.target),
        other => other.job().map(|job| job.target.to_string()).unwrap_or_default(),
    };
    format!("{}: {what}{who}", phase.name())
}

fn in_words(entry: &Entry) -> String {
    let mut words = format!("{:.0}  {:<12}", entry.at, entry.event);
    if let Some(release) = &entry.release {
        let _ = write!(words, " {release}");
    }
    if let Some(from) = &entry.from {
        let _ = write!(words, " from {from}");
    }
    if let Some(why) = &entry.why {
        let _ = write!(words, ": {why}");
    }
    words
}

/// What happened, oldest first.
pub fn history(context: &Context<'_>, lines: usize) -> Result<Report, Failed> {
    let path = context.layout.history();
    let entries = history::read(&path, lines)
        .map_err(|error| Failed::new(exit_code::ERROR, format!("read {path:?}: {error}")))?;
    let text = if entries.is_empty() {
        "nothing has happened yet".to_owned()
    } else {
        entries.iter().map(in_words).collect::<Vec<_>>().join("\n")
    };
    Ok(Report { code: exit_code::OK, text, json: json!({ "history": entries }) })
}
