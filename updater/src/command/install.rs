//! `install`: the first release of a host, with the same verification as every later one.

use std::io::ErrorKind;
use std::path::Path;

use linnet_fleet::bundle::{Bundle, BundleError};
use linnet_fleet::channel::{Channel, ChannelError, ChannelSettings};

use super::context::{Context, Failed};
use super::report::Report;
use super::update;
use crate::disk::{self, DiskError};
use crate::engine::EngineError;
use crate::exit_code;
use crate::layout::Link;
use crate::machine::{Cause, Input, Phase};
use crate::source::policy::{self, Admission, Wish};
use crate::source::{self, Source, Wanted};

const MAX_ROOT_BYTES: u64 = 512 << 10;

/// Brings the first release onto this host. On a host that has one it goes on from there, and the root stays.
///
/// `only_newer` is how packages call it: they may be older than what the host has, and they are no operator's word.
pub fn install(
    context: &Context<'_>,
    from: Option<&str>,
    root: Option<&Path>,
    only_newer: bool,
) -> Result<Report, Failed> {
    let lock = context.lock()?;
    let tell = |text: &str| context.tell(text);
    let mut engine = context.engine(&lock, &tell)?;
    for directory in [&context.layout.base, &context.layout.releases()] {
        disk::make_directories(directory, 0o755)?;
    }
    disk::make_directories(&context.layout.metadata(), 0o700)?;
    disk::make_directories(&context.layout.downloads(), 0o700)?;
    match engine.recover(Input::Interrupted) {
        // Nothing of what was here can run, so there is nothing to lose.
        Err(error @ EngineError::NothingWhole { .. }) => {
            tell(&error.to_string());
            engine.state.installed = None;
        }
        recovered => {
            let recovered = recovered?;
            if engine.state.phase != Phase::Idle {
                return Ok(Report::of(&recovered));
            }
        }
    }
    let installed = engine.state.installed.clone();
    let stays = |why: String| {
        after(context)?;
        let what = installed.as_ref().map_or_else(String::new, ToString::to_string);
        Ok(Report::done(format!("{what} stays: {why}")))
    };
    if only_newer
        && installed.is_some()
        && let Some(why) = decided_elsewhere(context)?
    {
        return stays(why);
    }
    trust(context, root)?;
    let mut source = open(context, from)?;
    if let Err(error) = source.refresh(context.now()) {
        let failed = too_old(&source, error.into());
        let old = matches!(failed.code, exit_code::FLOOR | exit_code::EXPIRED);
        return if only_newer && installed.is_some() && old { stays(failed.error) } else { Err(failed) };
    }
    let wanted = if engine.state.installed.is_none() {
        source.wanted_at_first(context.now())?
    } else {
        source.wanted(context.now())?
    };
    let offer = match wanted {
        Wanted::Offer(offer) => *offer,
        Wanted::Wait(why) | Wanted::Nothing(why) => return Err(Failed::new(exit_code::ERROR, why)),
    };
    if only_newer && installed.as_ref().is_some_and(|installed| installed.version >= offer.release.version) {
        return stays(format!("{} is no newer", offer.release));
    }
    let revoked = source.is_revoked(&offer.release);
    let host = source::host(&context.facts);
    match policy::admit(&offer.release, &offer.signed, revoked, &engine.state, &host) {
        Admission::Take => {}
        Admission::Installed => {
            after(context)?;
            return Ok(Report::done(format!("{} is installed already", offer.release)));
        }
        Admission::Refused(refused) => return Err(Failed::new(refused.exit, refused.why)),
    }
    let report = update::take(context, &mut engine, &mut source, offer, Cause::Install)?;
    if report.code == exit_code::OK {
        after(context)?;
    }
    Ok(report)
}

/// Who else has the say about the releases of this host: its operator, or the channel that it follows.
fn decided_elsewhere(context: &Context<'_>) -> Result<Option<String>, Failed> {
    let hold = context.hold().map_err(|error| Failed::new(exit_code::ERROR, error))?;
    Ok(match policy::wish(&hold) {
        Wish::Held(why) => Some(why),
        Wish::Version(version) => Some(format!("this host is pinned to {version}")),
        Wish::Follow => {
            context.settings.channel.as_ref().map(|channel| format!("this host follows {}", channel.url))
        }
    })
}

/// The root of trust is set once. After that only its own rotation changes it.
fn trust(context: &Context<'_>, root: Option<&Path>) -> Result<(), Failed> {
    let path = source::root_path(&context.layout);
    if path.exists() {
        return Ok(());
    }
    let root = root.or(context.enrolled_root.as_deref()).ok_or_else(|| {
        Failed::new(
            exit_code::USAGE,
            "whom to trust? give --root, or enrol this host first (`linnet-updater enrol`)",
        )
    })?;
    let mut bytes = Vec::new();
    std::fs::File::open(root)
        .and_then(|file| {
            std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_ROOT_BYTES), &mut bytes)
        })
        .map_err(|error| Failed::new(exit_code::USAGE, format!("read {root:?}: {error}")))?;
    Channel::initialize(&context.layout.metadata(), &bytes).map_err(|error| match error {
        ChannelError::Disk { .. } => Failed::new(exit_code::ERROR, error),
        _ => Failed::new(exit_code::SIGNATURE, format!("{root:?} is no root of trust: {error}")),
    })
}

/// What to install from: the URL of a channel, its directory, or a bundle. Later updates follow the settings.
fn open<'c>(context: &'c Context<'_>, from: Option<&str>) -> Result<Source<'c>, Failed> {
    let Some(from) = from else { return update::open(context) };
    let url = if from.contains("://") {
        from.to_owned()
    } else {
        let path = std::fs::canonicalize(from)
            .map_err(|error| Failed::new(exit_code::USAGE, format!("{from:?}: {error}")))?;
        if !path.is_dir() {
            let bundle = Bundle::open(&path).map_err(unusable)?;
            return Ok(Source::carried(&context.layout, bundle, context.traits())?);
        }
        source::directory_url(&path)
    };
    let settings = match context.settings.channel.clone() {
        Some(settings) => ChannelSettings { url, ..settings },
        None => ChannelSettings::new(url),
    };
    Ok(Source::open(&context.layout, &settings, context.traits())?)
}

/// Expiry holds for a bundle too: what an old one carries may have been revoked since.
fn too_old(source: &Source<'_>, mut failed: Failed) -> Failed {
    if source.is_bundle() && failed.code == exit_code::EXPIRED {
        failed.error += "; make the bundle anew: `linnet-keys refresh`, then `linnet-keys bundle`";
    }
    failed
}

/// A bundle that is damaged is no better than a package that is.
fn unusable(error: BundleError) -> Failed {
    let code = match &error {
        BundleError::Io { .. } => exit_code::ERROR,
        BundleError::Foreign { .. } | BundleError::Newer { .. } => exit_code::USAGE,
        BundleError::Entry { .. }
        | BundleError::Archive { .. }
        | BundleError::Head { .. }
        | BundleError::TooMany { .. } => exit_code::SIGNATURE,
    };
    Failed::new(code, error)
}

/// What a host has once, besides its releases: the commands, and units that start at boot.
fn after(context: &Context<'_>) -> Result<(), Failed> {
    for (name, link) in [("linnet-agent", Link::Current), ("linnet-updater", Link::Committed)] {
        let target = context.layout.link(link).join("bin").join(name);
        let path = context.layout.bin_dir.join(name);
        // A /usr that may not be written to is no reason against the rest: units and updater know the links' targets.
        if let Err(error) = link_command(&path, &target) {
            context.tell(&format!("{error}; {target:?} is the one to use"));
        }
    }
    context.service.enable().map_err(|error| Failed::new(exit_code::ERROR, error))
}

fn link_command(path: &Path, target: &Path) -> Result<(), DiskError> {
    match std::fs::read_link(path) {
        Ok(led) if led == target => return Ok(()),
        // Somebody's own file is not replaced.
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            return Err(disk::refused("replace a file that is no link", path)(error));
        }
        _ => {}
    }
    let Some((directory, name)) = path.parent().zip(path.file_name()) else { return Ok(()) };
    disk::make_directories(directory, 0o755)?;
    let temporary = directory.join(format!(".{}.tmp", name.to_string_lossy()));
    disk::remove_file(&temporary)?;
    std::os::unix::fs::symlink(target, &temporary).map_err(disk::refused("link", &temporary))?;
    std::fs::rename(&temporary, path).map_err(disk::refused("link", path))?;
    disk::sync_directory(directory)
}
