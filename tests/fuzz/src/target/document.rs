//! JSON that an operator or a publisher has written.

use std::{path::Path, str, sync::OnceLock};

use jiff::Timestamp;
use linnet_fleet::{
    health::Health,
    host::HostId,
    package,
    rollout::{FleetDocument, HostFacts, HostTraits, decide},
};
use linnet_plugin_manifest::{manifest, policy::Policy};
use linnet_settings::{
    fleet,
    glob::{PathPattern, WordPattern},
};

use rustix::time::{ClockId, clock_gettime};

use crate::seed::taken;

/// Settings, from the host's own file. What is taken can be written and is taken again, the same.
pub fn settings(bytes: &[u8]) {
    if let Ok(settings) = linnet_settings::parse(Path::new("linnet.json"), bytes) {
        taken();
        let written = serde_json::to_vec(&settings).unwrap();
        let again = linnet_settings::parse(Path::new("linnet.json"), &written);
        let is_same = again.is_ok_and(|again| again == settings);
        assert!(
            is_same,
            "what was taken is not taken again, the same: {}",
            String::from_utf8_lossy(&written)
        );
    }
}

/// Patterns of ignore rules, a pattern and a text apart by a line feed. A pattern says the same when it is written and read again,
/// and no pattern takes long over any text; one of words matches what a slow matcher says that it does.
pub fn ignore(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (pattern, text) = bytes.split_at(at);
    let text = text.get(1..).unwrap_or_default();
    let Ok(pattern) = str::from_utf8(pattern) else { return };
    let began = clock_gettime(ClockId::ThreadCPUTime);
    if let Ok(path) = PathPattern::try_from(pattern.to_owned()) {
        let again = PathPattern::try_from(String::from(path.clone())).unwrap();
        assert!(again == path && again.matches(text) == path.matches(text));
    }
    if let Ok(word) = WordPattern::try_from(pattern.to_owned()) {
        let matched = word.matches(text);
        if matched {
            taken();
        }
        if pattern.len() * text.len() <= 1 << 16 {
            assert_eq!(matched, matches_plainly(pattern.as_bytes(), text), "{pattern:?} on {text:?}");
        }
    }
    // By the processor's time: a machine that is busy with other things takes its own.
    let seconds = clock_gettime(ClockId::ThreadCPUTime).tv_sec - began.tv_sec;
    assert!(seconds < 2, "{seconds} s over {} bytes", bytes.len());
}

/// Which beginnings of the text each beginning of the pattern matches.
fn matches_plainly(pattern: &[u8], text: &[u8]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for byte in pattern {
        if *byte == b'*' {
            let first = reached.iter().position(|is_reached| *is_reached).unwrap_or(reached.len());
            reached[first..].fill(true);
        } else {
            for at in (0..text.len()).rev() {
                reached[at + 1] = reached[at] && text[at] == *byte;
            }
            reached[0] = false;
        }
    }
    reached[text.len()]
}

/// The fleet's document, which is signed, and whoever signs can be wrong. What the publisher's check takes, every host takes,
/// whatever it is called and whenever that is.
pub fn fleet(bytes: &[u8]) {
    static HOSTS: OnceLock<Vec<HostTraits>> = OnceLock::new();
    let Ok(document) = FleetDocument::parse(bytes) else { return };
    let is_good = fleet::check(&document).is_ok();
    if is_good {
        taken();
    }
    let hosts = HOSTS.get_or_init(|| {
        let id = |digit: &str| digit.repeat(32).parse::<HostId>().ok();
        let of = |id, hostname: &str, tags: &[&str]| HostTraits {
            id,
            hostname: hostname.to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        };
        vec![HostTraits::default(), of(id("3"), "web-1", &["pilot", "a"]), of(id("c"), "db", &["b"])]
    });
    for host in hosts {
        for second in [-377_705_023_201_i64, 0, 1_800_000_000, 253_402_207_200] {
            let now = Timestamp::from_second(second).unwrap();
            let settings = fleet::settings_of(&document, host, None, now);
            assert!(!is_good || settings.is_ok(), "checked, and refused by a host: {settings:?}");
            if let Ok(Some(update)) = document.update_for(host, now) {
                let facts = HostFacts { id: host.id, arch: "x86_64".to_owned() };
                let _ = decide(&update, &facts, now);
            }
        }
    }
}

/// Manifests of packages and of plugins. What a plugin asks for and a host grants is never more than it asked for.
pub fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = package::Manifest::parse(bytes) {
        taken();
        for path in manifest.files().keys() {
            let leads_down =
                !path.as_str().starts_with('/') && path.names().all(|name| !matches!(name, "" | "." | ".."));
            assert!(leads_down, "{path} does not lead down");
        }
    }
    if let Ok(manifest) = manifest::Manifest::parse(bytes) {
        taken();
        assert!(manifest::is_name(&manifest.name));
        let _ = Policy::default().grant(&manifest);
    }
}

/// The health document, which updater and monitoring read.
pub fn health(bytes: &[u8]) {
    if let Ok(health) = serde_json::from_slice::<Health>(bytes) {
        taken();
        for losses in health.losses.values() {
            let _ = (losses.ring_imbalance(), losses.agent_imbalance());
        }
    }
}
