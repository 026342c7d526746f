//! `config`: what the settings are, and whose value each is.

use std::fmt::Write;

use jiff::Timestamp;
use linnet_fleet::{channel::Enrolment, host::Host};
use linnet_settings::layers::{Effective, effective};
use serde_json::{Map, Value, json};

use super::load_settings;
use crate::{
    exit_code,
    remote::Follower,
    sensor::fleet::traits,
    terminal::{self, sanitised_lines},
};

/// Shows the host's own settings over the defaults; with `fleet`, what the channel's document makes of them too, as
/// the agent would follow it if it started now.
pub fn execute(named: Option<&std::path::Path>, fleet: bool, as_json: bool) -> anyhow::Result<u8> {
    let loaded = load_settings(named)?;
    let place = &loaded.settings.fleet;
    let enrolment = if fleet { Enrolment::read(&place.enrolment)? } else { None };
    let shown = match &enrolment {
        Some(enrolment) => {
            let mut follower = Follower::look(&place.state_dir, traits(&Host::read(), enrolment), &loaded);
            follower.effective(Timestamp::now())?
        }
        None => effective(&[], loaded.source.as_ref())?,
    };
    if as_json {
        terminal::print(&format!("{}\n", document(&shown)))?;
    } else {
        terminal::print(&sanitised_lines(&table(&shown)))?;
    }
    Ok(exit_code::OK)
}

fn document(shown: &Effective) -> Value {
    let origins: Map<_, _> =
        shown.origins.iter().map(|(key, origin)| (key.clone(), json!(origin.to_string()))).collect();
    json!({"settings": shown.settings, "origins": origins, "notes": shown.notes})
}

fn table(shown: &Effective) -> String {
    let mut text = String::new();
    for (key, value, origin) in shown.rows() {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{key:<32} {:<40} {origin}", value.to_string());
    }
    for note in &shown.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_shown_with_its_origin() {
        let local = json!({"hash": {"wait_ms": 7}});
        let shown = effective(&[], Some(&local)).unwrap();
        let text = table(&shown);
        let row = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        assert!(row("hash.wait_ms").ends_with("local") && row("hash.wait_ms").contains(" 7 "));
        assert!(row("argv_max_bytes").ends_with("default"));
        assert_eq!(text.lines().count(), shown.origins.len());
        assert_eq!(document(&shown)["origins"]["hash.wait_ms"], "local");
    }
}
