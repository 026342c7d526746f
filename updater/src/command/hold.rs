//! The operator's word: `enable`, `disable`, `pin`, `unpin`, `retry`.

use linnet_keys::release::Version;

use super::context::{Context, Failed};
use super::report::Report;
use crate::disk;
use crate::exit_code;
use crate::history::{self, Entry};
use crate::hold::{Hold, HoldError, Pin, Word};

/// What was said before; a damaged file says nothing any more, because something is being said anew.
fn before(context: &Context<'_>) -> Result<Hold, Failed> {
    match context.hold() {
        Err(HoldError::Damaged { .. }) => Ok(Hold::default()),
        other => Ok(other?),
    }
}

fn say(context: &Context<'_>, hold: &Hold, event: &str, why: Option<String>) -> Result<(), Failed> {
    disk::make_directories(&context.layout.state_dir, 0o755)?;
    hold.write(&context.layout.hold())?;
    let entry = Entry { why, ..Entry::new(context.now(), event) };
    if let Err(error) = history::append(&context.layout.history(), &entry) {
        context.tell(&format!("history: {error}"));
    }
    Ok(())
}

/// Allows updates again.
pub fn enable(context: &Context<'_>) -> Result<Report, Failed> {
    let hold = Hold { disabled: None, ..before(context)? };
    say(context, &hold, "enable", None)?;
    Ok(Report::done(match hold.pinned {
        Some(pin) => format!("updates are allowed, and this host stays pinned to {}", pin.version),
        None => "updates are allowed".to_owned(),
    }))
}

/// Forbids every change. An updater at work ends what it began.
pub fn disable(context: &Context<'_>, why: Option<String>) -> Result<Report, Failed> {
    let word = Word { since: context.now(), why: why.clone() };
    let hold = Hold { disabled: Some(word), ..before(context)? };
    say(context, &hold, "disable", why)?;
    Ok(Report::done("nothing is changed on this host any more, until `linnet-updater enable`"))
}

/// Wants one version. An explicit pin is also a word that a failed release may be tried again.
pub fn pin(context: &Context<'_>, version: Option<Version>, why: Option<String>) -> Result<Report, Failed> {
    let lock = context.lock()?;
    let tell = |text: &str| context.tell(text);
    let mut engine = context.engine(&lock, &tell)?;
    let installed = engine.state.installed.as_ref().map(|installed| installed.version);
    let explicit = version.is_some();
    let version = version
        .or(installed)
        .ok_or_else(|| Failed::new(exit_code::USAGE, "nothing is installed: say which version to pin"))?;
    if let Some(floor) = engine.state.floor
        && version < floor
    {
        return Err(Failed::new(exit_code::FLOOR, format!("{version} is below this host's floor {floor}")));
    }
    let word = Word { since: context.now(), why: why.clone() };
    let hold = Hold { pinned: Some(Pin { version, word }), ..before(context)? };
    say(context, &hold, &format!("pin {version}"), why)?;
    if explicit && engine.state.failures.forgive(|release| release.version == version) > 0 {
        engine.persist().map_err(|error| Failed::new(exit_code::ERROR, error))?;
    }
    Ok(Report::done(if installed == Some(version) {
        format!("this host stays at {version} until `linnet-updater unpin`")
    } else {
        format!("this host wants {version} until `linnet-updater unpin`; the next update takes it")
    }))
}

/// Follows the channel again.
pub fn unpin(context: &Context<'_>) -> Result<Report, Failed> {
    let hold = Hold { pinned: None, ..before(context)? };
    say(context, &hold, "unpin", None)?;
    Ok(Report::done(if hold.disabled.is_some() {
        "no longer pinned; updates are still disabled on this host"
    } else {
        "this host follows the channel again"
    }))
}

/// Lets releases that failed here be tried again.
pub fn retry(context: &Context<'_>, version: Option<Version>) -> Result<Report, Failed> {
    let lock = context.lock()?;
    let tell = |text: &str| context.tell(text);
    let mut engine = context.engine(&lock, &tell)?;
    let count =
        engine.state.failures.forgive(|release| version.is_none_or(|wanted| release.version == wanted));
    if count == 0 {
        return Ok(Report::done("no release is held back on this host"));
    }
    engine.persist().map_err(|error| Failed::new(exit_code::ERROR, error))?;
    engine.note("retry", version.map(|version| version.to_string()));
    Ok(Report::done(format!("{count} failed release(s) may be tried again at the next update")))
}
