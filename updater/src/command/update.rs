//! `check`, `update` and `run`.

use linnet_fleet::health::Health;

use super::context::{Context, Failed};
use super::recover;
use super::report::Report;
use crate::engine::{Engine, Outcome};
use crate::exit_code;
use crate::layout::Link;
use crate::machine::{Cause, Failure, FailureKind, Input, Job, Phase, Release};
use crate::probation::Baseline;
use crate::release_dir;
use crate::source::policy::{self, Admission, Wish};
use crate::source::{self, Fetch, Offer, Source, SourceError, Wanted};

/// What is to be done, after the operator, the channel and the host were asked.
enum Plan {
    Take(Box<Offer>, Cause),
    /// The same, in place of what runs here and was revoked.
    Replace(Box<Offer>, Release),
    /// What runs here was revoked, and the channel has nothing better for this host.
    Leave,
    Rest(Report),
}

/// Whether there is an update; changes nothing but the trusted metadata.
pub fn check(context: &Context<'_>) -> Result<Report, Failed> {
    let lock = context.lock()?;
    let tell = |text: &str| context.tell(text);
    let engine = context.engine(&lock, &tell)?;
    let mut source = open(context)?;
    Ok(match plan(context, &engine, &mut source)? {
        Plan::Take(offer, _) => Report::new(exit_code::AVAILABLE, format!("{} is available", offer.release)),
        Plan::Replace(offer, revoked) => {
            let what = format!("{revoked}, which is installed, was revoked; {} is available", offer.release);
            Report::new(exit_code::AVAILABLE, what)
        }
        Plan::Leave => Report::new(
            exit_code::AVAILABLE,
            "the installed release was revoked: `update` goes back to the one before",
        ),
        Plan::Rest(report) => report,
    })
}

/// Takes what is wanted of this host.
pub fn update(context: &Context<'_>) -> Result<Report, Failed> {
    let lock = context.lock()?;
    let tell = |text: &str| context.tell(text);
    let mut engine = context.engine(&lock, &tell)?;
    let recovered = engine.recover(Input::Interrupted)?;
    if engine.state.phase != Phase::Idle {
        return Ok(Report::of(&recovered));
    }
    let mut source = match open(context) {
        // What was put right is worth more words than what could not be done afterwards.
        Err(failed) if recovered == Outcome::Nothing => return Err(failed),
        Err(failed) => {
            context.tell(&failed.error);
            return Ok(Report::of(&recovered));
        }
        Ok(source) => source,
    };
    match plan(context, &engine, &mut source)? {
        Plan::Rest(report) => Ok(report),
        Plan::Leave => {
            let failure = Failure::new(FailureKind::Release, "revoked by the publisher");
            let unfit = |release: &Release| source.is_revoked(release);
            let left = recover::to_previous(context, &mut engine, failure, unfit);
            left.map_err(|failed| {
                let what = "the installed release was revoked, and there is nothing to go to";
                Failed::new(
                    exit_code::FLOOR,
                    format!("{what}: {}; publish a release for this host", failed.error),
                )
            })
        }
        Plan::Replace(offer, revoked) => {
            let why = format!("{revoked} was revoked by the publisher: {} takes its place", offer.release);
            context.tell(&why);
            engine.note("revoked", Some(why));
            take(context, &mut engine, &mut source, *offer, Cause::Update)
        }
        Plan::Take(offer, cause) => take(context, &mut engine, &mut source, *offer, cause),
    }
}

/// What the timer does. Being held, or another updater at work, is no failure of the unit.
pub fn run(context: &Context<'_>) -> Result<Report, Failed> {
    let calm = |code| if matches!(code, exit_code::HELD | exit_code::LOCKED) { exit_code::OK } else { code };
    match update(context) {
        Ok(report) => Ok(Report { code: calm(report.code), ..report }),
        Err(failed) if calm(failed.code) == exit_code::OK => Ok(Report::done(failed.error)),
        // A host without network lives by bundles; its timer still finishes what was interrupted.
        Err(failed) if failed.code == exit_code::USAGE && context.settings.channel.is_none() => {
            Ok(Report::done(failed.error))
        }
        Err(failed) => Err(failed),
    }
}

/// The channel of this host.
pub fn open<'c>(context: &'c Context<'_>) -> Result<Source<'c>, Failed> {
    let settings = context.settings.channel.as_ref().ok_or_else(|| {
        Failed::new(
            exit_code::USAGE,
            "no channel is set: give channel.url in /etc/linnet/enrolment.json, or in the settings file",
        )
    })?;
    if !source::root_path(&context.layout).exists() {
        let message = "this host has no root of trust: run `linnet-updater install --from … --root …` first";
        return Err(Failed::new(exit_code::SIGNATURE, message));
    }
    Ok(Source::open(&context.layout, settings, context.traits())?)
}

fn plan(context: &Context<'_>, engine: &Engine<'_>, source: &mut Source<'_>) -> Result<Plan, Failed> {
    let rest = |code, text: String| Ok(Plan::Rest(Report::new(code, text)));
    let mut leaves = false;
    let (offer, cause) = match policy::wish(&context.hold()?) {
        Wish::Held(why) => return rest(exit_code::HELD, why),
        Wish::Version(version) => {
            if engine.state.installed.as_ref().is_some_and(|installed| installed.version == version) {
                return rest(exit_code::HELD, format!("pinned to {version}, which is installed"));
            }
            source.refresh(context.now())?;
            (source.version(version, context.now())?, Cause::Operator)
        }
        Wish::Follow => {
            source.refresh(context.now())?;
            let installed = engine.state.installed.as_ref();
            leaves = installed.is_some_and(|installed| source.is_revoked(installed));
            // A revoked release is left at once: the publisher's offline word outranks waves, windows and halt.
            let wanted = if leaves {
                match source.wanted_at_first(context.now()) {
                    // Settings that still give hosts what was revoked hold nobody on it.
                    Err(SourceError::Content { path, why }) => Wanted::Nothing(format!("{path}: {why}")),
                    other => other?,
                }
            } else {
                source.wanted(context.now())?
            };
            match wanted {
                Wanted::Offer(offer) if !leaves || Some(&offer.release) != installed => {
                    (*offer, Cause::Update)
                }
                Wanted::Wait(why) | Wanted::Nothing(why) if !leaves => return rest(exit_code::OK, why),
                _ => return Ok(Plan::Leave),
            }
        }
    };
    let revoked = source.is_revoked(&offer.release);
    match policy::admit(&offer.release, &offer.signed, revoked, &engine.state, &source::host(&context.facts))
    {
        Admission::Refused(_) if leaves => Ok(Plan::Leave),
        Admission::Take if leaves => Ok(match engine.state.installed.clone() {
            Some(revoked) => Plan::Replace(Box::new(offer), revoked),
            None => Plan::Take(Box::new(offer), cause),
        }),
        Admission::Take => Ok(Plan::Take(Box::new(offer), cause)),
        Admission::Installed => {
            rest(exit_code::OK, format!("{} is installed, nothing newer is wanted", offer.release))
        }
        Admission::Refused(refused) => rest(refused.exit, refused.why),
    }
}

/// Takes an offer that was admitted.
pub fn take(
    context: &Context<'_>,
    engine: &mut Engine<'_>,
    source: &mut Source<'_>,
    offer: Offer,
    cause: Cause,
) -> Result<Report, Failed> {
    if !context.service.runs() {
        if engine.state.installed.is_some() {
            let message = format!(
                "systemd does not run here, so {} could be neither tried nor watched: set service.kind to `commands` in \
                 the updater's settings, or update the image that this host was made from",
                offer.release
            );
            return Err(Failed::new(exit_code::UNSUPPORTED, message));
        }
        context.tell("systemd does not run here: nothing is tried or started now, but at the next boot");
    }
    let most = context.settings.disk.max_release_bytes;
    if offer.signed.unpacked_bytes > most {
        let message = format!(
            "{} has {} bytes unpacked, disk.max_release_bytes allows {most}",
            offer.release, offer.signed.unpacked_bytes
        );
        return Err(Failed::new(exit_code::SIZE, message));
    }
    let linked = |link| {
        let name = release_dir::read_link(&context.layout, link)?;
        Some(release_dir::read_marker(&context.layout, &name)?.release)
    };
    let from = engine.state.installed.clone();
    let job = Job {
        cause,
        target: offer.release.clone(),
        previous: linked(Link::Previous).filter(|previous| Some(previous) != from.as_ref()),
        from,
        floor: Some(offer.signed.security_floor),
        allowance_ms: u64::try_from(context.settings.allowance().as_millis()).unwrap_or(u64::MAX),
        baseline: Health::read(&context.layout.health()).map_or_else(|_| absent(), |old| Baseline::of(&old)),
    };
    let whole = release_dir::verify(&context.layout, &job.target.dir_name());
    let outcome = if whole.is_ok_and(|marker| marker.release == job.target) {
        engine.drive(Input::BeginStaged(Box::new(job)), None)?
    } else {
        let mut fetch = Fetch { source, offer };
        engine.drive(Input::Begin(Box::new(job)), Some(&mut fetch))?
    };
    Ok(Report::of(&outcome))
}

/// Nothing is known of an agent that is not there; a host may be one without cgroups.
fn absent() -> Baseline {
    Baseline { unlimited: true, ..Baseline::default() }
}
