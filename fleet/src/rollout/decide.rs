//! One host's answer: take it, wait, or nothing to do.

use jiff::Timestamp;

use crate::host::HostId;

use super::bucket::Bucket;
use super::update::Update;

/// What the decision needs to know of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// Draws its bucket. A host without one (no machine id) counts as the last: it takes a release only when
    /// everybody may.
    pub id: Option<HostId>,
    /// The machine as `uname -m` says it.
    pub arch: String,
}

/// What the fleet's document wants of this host now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// Have this target path.
    Take(String),
    /// Not yet.
    Wait {
        /// What for.
        why: WaitReason,
        /// The earliest time at which this document can give another answer; `None` where only another document can.
        until: Option<Timestamp>,
    },
    /// The operator stopped all changes.
    Halted,
    /// No release is named for this host.
    Nothing,
}

/// What a host waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Its wave has not begun, or no wave includes it.
    Wave,
    /// The window is closed.
    Window,
}

/// Decides for one host at one time. Halt outranks waves, and waves outrank the window.
#[must_use]
pub fn decide(update: &Update, host: &HostFacts, now: Timestamp) -> Rollout {
    if update.halt {
        return Rollout::Halted;
    }
    let Some(path) = update.release.as_ref().and_then(|release| release.for_arch(&host.arch)) else {
        return Rollout::Nothing;
    };
    if let Some(begins) = wave_of(update, host) {
        match begins {
            Some(at) if at <= now => {}
            until => return Rollout::Wait { why: WaitReason::Wave, until },
        }
    }
    if let Some(opens) = update.window.as_ref().and_then(|window| window.opens_after(now)) {
        return Rollout::Wait { why: WaitReason::Window, until: Some(opens) };
    }
    Rollout::Take(path.to_owned())
}

/// When the first wave that includes the host begins; the outer `None` means that there are no waves, the inner that
/// none includes it. Shares never fall, so a host that is in one wave is in all later ones.
#[expect(clippy::option_option, reason = "no waves and not in any wave are different answers")]
fn wave_of(update: &Update, host: &HostFacts) -> Option<Option<Timestamp>> {
    if update.waves.is_empty() {
        return None;
    }
    let bucket = host.id.as_ref().map_or(Bucket::LAST, |id| Bucket::of(&update.salt, id));
    Some(update.waves.iter().find(|wave| bucket.is_in(wave.permille)).map(|wave| wave.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::FleetDocument;

    fn update(section: &str) -> Update {
        FleetDocument::parse(format!(r#"{{"version":1,"update":{section}}}"#).as_bytes())
            .unwrap()
            .update
            .unwrap()
    }

    fn host(machine_id: &str) -> HostFacts {
        HostFacts { id: HostId::derive(machine_id), arch: "x86_64".to_owned() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const RELEASE: &str = "release/linnet-0.2.0-x86_64.tar.gz";
    const WAVES: &str = r#"[{"at":"2026-11-20T00:00:00Z","permille":10},{"at":"2026-11-21T00:00:00Z","permille":500},
        {"at":"2026-11-22T00:00:00Z","permille":1000}]"#;

    #[test]
    fn without_waves_and_window_everybody_takes_it_now() {
        let update = update(&format!(r#"{{"release":"{RELEASE}"}}"#));
        for machine in ["0c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b", ""] {
            let answer = decide(&update, &host(machine), Timestamp::UNIX_EPOCH);
            assert_eq!(answer, Rollout::Take(RELEASE.to_owned()));
        }
    }

    #[test]
    fn halt_outranks_all_and_no_release_is_nothing() {
        let here = host("0c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b");
        let now = at("2026-11-23T00:00:00Z");
        let halted = update(&format!(r#"{{"release":"{RELEASE}","halt":true,"waves":{WAVES}}}"#));
        assert_eq!(decide(&halted, &here, now), Rollout::Halted);
        assert_eq!(decide(&update("{}"), &here, now), Rollout::Nothing);
        let other = update(r#"{"release":{"aarch64":"release/a.tar.gz"}}"#);
        assert_eq!(decide(&other, &here, now), Rollout::Nothing);
    }

    #[test]
    fn each_host_waits_for_its_own_wave_and_never_leaves_it() {
        let update = update(&format!(r#"{{"release":"{RELEASE}","salt":"s","waves":{WAVES}}}"#));
        let times =
            ["2026-11-19T23:59:59Z", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"];
        let mut taken = [0; 4];
        for number in 1..=2_000_u32 {
            let host = host(&format!("{number:032x}"));
            let mut was_in = false;
            for (count, now) in taken.iter_mut().zip(times) {
                match decide(&update, &host, at(now)) {
                    Rollout::Take(_) => {
                        *count += 1;
                        was_in = true;
                    }
                    Rollout::Wait { why: WaitReason::Wave, until: Some(until) } => {
                        assert!(until > at(now) && !was_in);
                        assert_eq!(decide(&update, &host, until), Rollout::Take(RELEASE.to_owned()));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        // 20 and 1000 expected; five standard deviations are 22 and 112.
        assert!(taken[0] == 0 && (1..=42).contains(&taken[1]), "{taken:?}");
        assert!((888..=1112).contains(&taken[2]) && taken[3] == 2_000, "{taken:?}");
    }

    #[test]
    fn a_host_that_no_wave_includes_waits_for_another_document() {
        let update = update(&format!(
            r#"{{"release":"{RELEASE}","waves":[{{"at":"2026-11-20T00:00:00Z","permille":0}}]}}"#
        ));
        let answer = decide(&update, &host("0c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b"), at("2030-01-01T00:00:00Z"));
        assert_eq!(answer, Rollout::Wait { why: WaitReason::Wave, until: None });
    }

    #[test]
    fn a_host_without_an_id_is_the_last() {
        let update = update(&format!(r#"{{"release":"{RELEASE}","waves":{WAVES}}}"#));
        let wait = decide(&update, &host("uninitialized"), at("2026-11-21T12:00:00Z"));
        assert_eq!(wait, Rollout::Wait { why: WaitReason::Wave, until: Some(at("2026-11-22T00:00:00Z")) });
        let take = decide(&update, &host("uninitialized"), at("2026-11-22T00:00:00Z"));
        assert_eq!(take, Rollout::Take(RELEASE.to_owned()));
    }

    #[test]
    fn a_host_in_its_wave_waits_for_the_window() {
        let update = update(&format!(
            r#"{{"release":"{RELEASE}","waves":{WAVES},"window":{{"days":["tue"],"from":"01:00","to":"05:00"}}}}"#
        ));
        let here = host("0c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b");
        let wait = decide(&update, &here, at("2026-11-23T12:00:00Z"));
        assert_eq!(wait, Rollout::Wait { why: WaitReason::Window, until: Some(at("2026-11-24T01:00:00Z")) });
        assert_eq!(decide(&update, &here, at("2026-11-24T01:00:00Z")), Rollout::Take(RELEASE.to_owned()));
    }
}
