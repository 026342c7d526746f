//! Whether a release that the channel offers may be taken by this host. Pure.

use linnet_keys::release::{KernelVersion, Release as Signed, Version};

use crate::exit_code;
use crate::hold::Hold;
use crate::machine::{Release, State};

/// What the decision needs to know of the host.
#[derive(Clone, Debug)]
pub struct Host {
    /// The machine, as `uname -m` has it.
    pub arch: String,
    /// The running kernel; none where its release is not understood.
    pub kernel: Option<KernelVersion>,
}

/// Why a release is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In words, with what to do.
    pub why: String,
    /// The exit code.
    pub exit: u8,
}

/// What is to be done with an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may be taken.
    Take,
    /// It is what runs.
    Installed,
    /// It is not taken.
    Refused(Refused),
}

/// What the operator of this host lets happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Whatever the channel wants.
    Follow,
    /// This version, whatever the channel wants.
    Version(Version),
    /// Nothing.
    Held(String),
}

/// The operator's word. Disabling outranks a pin.
#[must_use]
pub fn wish(hold: &Hold) -> Wish {
    let because = |why: &Option<String>| why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    match (&hold.disabled, &hold.pinned) {
        (Some(word), _) => Wish::Held(format!(
            "updates are disabled on this host since {:.0}{}: `linnet-updater enable` allows them again",
            word.since,
            because(&word.why)
        )),
        (None, Some(pin)) => Wish::Version(pin.version),
        (None, None) => Wish::Follow,
    }
}

/// Judges an offer. What protects the host comes first, so that nothing else hides it.
#[must_use]
pub fn admit(offered: &Release, signed: &Signed, revoked: bool, state: &State, host: &Host) -> Admission {
    let refused = |exit, why: String| Admission::Refused(Refused { why, exit });
    if revoked {
        return refused(exit_code::FLOOR, format!("{offered} was revoked by the publisher"));
    }
    if state.installed.as_ref() == Some(offered) {
        return Admission::Installed;
    }
    if let Some(floor) = state.floor
        && signed.version < floor
    {
        return refused(
            exit_code::FLOOR,
            format!("{offered} is below this host's floor {floor}: publish a release at or above it"),
        );
    }
    if signed.arch != host.arch {
        return refused(
            exit_code::UNSUPPORTED,
            format!("{offered} is for {}, this host is {}", signed.arch, host.arch),
        );
    }
    if host.kernel.is_none_or(|kernel| kernel < signed.minimum_kernel) {
        let kernel = host.kernel.map_or_else(|| "unknown".to_owned(), |kernel| kernel.to_string());
        return refused(
            exit_code::UNSUPPORTED,
            format!("{offered} needs a kernel {} or newer, this one is {kernel}", signed.minimum_kernel),
        );
    }
    if let Some(failed) = state.failures.blocked(&offered.digest) {
        return refused(
            exit_code::HELD,
            format!(
                "{offered} failed on this host before ({}): a newer release is waited for; `linnet-updater retry` tries \
                 this one again",
                failed.last.why
            ),
        );
    }
    Admission::Take
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::hold::{Pin, Word};
    use crate::machine::{Failure, FailureKind};

    fn offer(version: &str) -> (Release, Signed) {
        let version = version.parse().unwrap();
        let signed = Signed {
            version,
            arch: "x86_64".to_owned(),
            minimum_kernel: "5.10".parse().unwrap(),
            security_floor: "0.1.0".parse().unwrap(),
            unpacked_bytes: 1,
            notes: String::new(),
        };
        (Release { version, digest: "b".repeat(64).parse().unwrap() }, signed)
    }

    fn host() -> Host {
        Host { arch: "x86_64".to_owned(), kernel: "6.1".parse().ok() }
    }

    fn exit_of(admission: &Admission) -> u8 {
        match admission {
            Admission::Refused(refused) => refused.exit,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_offer_is_taken_unless_something_speaks_against_it() {
        let (release, signed) = offer("0.2.0");
        let mut state = State::default();
        assert_eq!(admit(&release, &signed, false, &state, &host()), Admission::Take);
        assert_eq!(exit_of(&admit(&release, &signed, true, &state, &host())), 22);
        state.floor = "0.2.1".parse().ok();
        assert_eq!(exit_of(&admit(&release, &signed, false, &state, &host())), 22);
        state.floor = "0.2.0".parse().ok();
        assert_eq!(admit(&release, &signed, false, &state, &host()), Admission::Take);
        let old_kernel = Host { kernel: "5.4".parse().ok(), ..host() };
        assert_eq!(exit_of(&admit(&release, &signed, false, &state, &old_kernel)), 3);
        assert_eq!(exit_of(&admit(&release, &signed, false, &state, &Host { kernel: None, ..host() })), 3);
        let other = Host { arch: "aarch64".to_owned(), ..host() };
        assert_eq!(exit_of(&admit(&release, &signed, false, &state, &other)), 3);
        state.failures.remember(&release, &Failure::new(FailureKind::Release, "it leaked"));
        let refused = admit(&release, &signed, false, &state, &host());
        assert_eq!(exit_of(&refused), 11);
        state.failures.forgive(|_| true);
        assert_eq!(admit(&release, &signed, false, &state, &host()), Admission::Take);
        state.installed = Some(release.clone());
        assert_eq!(admit(&release, &signed, false, &state, &host()), Admission::Installed);
    }

    #[test]
    fn an_older_release_may_be_ordered_down_to_the_floor() {
        let (release, signed) = offer("0.2.0");
        let state =
            State { installed: Some(offer("0.3.0").0), floor: "0.1.0".parse().ok(), ..State::default() };
        assert_eq!(admit(&release, &signed, false, &state, &host()), Admission::Take);
    }

    #[test]
    fn the_word_of_the_host_s_operator_outranks_the_channel_and_no_outranks_which() {
        let word = Word { since: Timestamp::UNIX_EPOCH, why: Some("freeze".to_owned()) };
        let mut hold = Hold::default();
        assert_eq!(wish(&hold), Wish::Follow);
        hold.pinned = Some(Pin { version: "0.2.0".parse().unwrap(), word: word.clone() });
        assert_eq!(wish(&hold), Wish::Version("0.2.0".parse().unwrap()));
        hold.disabled = Some(word);
        assert!(matches!(wish(&hold), Wish::Held(why) if why.contains("freeze") && why.contains("enable")));
    }
}
