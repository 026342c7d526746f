//! Its events: OCSF Software Inventory Info (5020), activity Collect.

use linnet_packages::Package;
use linnet_plugin::{Event, Severity};
use serde_json::{Map, Value, json};

use crate::software::Software;

const SOFTWARE_INFO: u32 = 5020;
const COLLECT: u8 = 2;

/// What happened to a thing since the last round.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'v> {
    /// It is there; part of a whole report.
    Present,
    /// It was not there before.
    New,
    /// It had this version before.
    From(&'v str),
}

impl Change<'_> {
    fn in_words(self, name: &str, version: &str) -> String {
        match self {
            Self::Present => format!("{name} {version} is installed"),
            Self::New => format!("{name} {version} was installed"),
            Self::From(before) => format!("{name} changed from {before} to {version}"),
        }
    }

    fn unmapped(self) -> Value {
        match self {
            Self::Present => json!({ "change": "none" }),
            Self::New => json!({ "change": "installed" }),
            Self::From(before) => json!({ "change": "version", "previous_version": before }),
        }
    }
}

fn event(message: String, unmapped: Value) -> Event {
    Event::new(SOFTWARE_INFO, COLLECT, Severity::Informational)
        .with("message", message)
        .with("unmapped", unmapped)
}

/// An object without its empty members.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let known = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(known.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// A package.
pub(crate) fn package(package: &Package, change: Change<'_>) -> Event {
    let version = package.full_version();
    let described = object([
        ("name", package.name.clone().into()),
        ("version", package.version.clone().into()),
        ("release", package.release.clone().into()),
        ("epoch", package.epoch.into()),
        ("architecture", package.architecture.clone().into()),
        ("package_manager", package.manager.into()),
        ("vendor_name", package.vendor.clone().into()),
        ("purl", purl(package).into()),
    ]);
    let mut unmapped = change.unmapped();
    if let (Some(source), Value::Object(members)) = (&package.source, &mut unmapped) {
        members.insert("source_package".to_owned(), source.clone().into());
    }
    event(change.in_words(&package.name, &version), unmapped).with("package", described)
}

/// Kernel or operating system.
pub(crate) fn software(software: &Software, change: Change<'_>) -> Event {
    let product = object([
        ("name", software.name.clone().into()),
        ("version", software.version.clone().into()),
        ("vendor_name", software.vendor.clone().into()),
        ("cpe_name", software.cpe.clone().into()),
    ]);
    let mut unmapped = change.unmapped();
    if let Value::Object(members) = &mut unmapped {
        members.insert("kind".to_owned(), software.kind.into());
        if let Some(build) = &software.build {
            members.insert("build".to_owned(), build.clone().into());
        }
    }
    let message = match change {
        Change::Present => format!("{} {} runs", software.name, software.version),
        other => other.in_words(&software.name, &software.version),
    };
    event(message, unmapped).with("product", product)
}

/// What is there no more, of which only key and version are remembered.
pub(crate) fn removed(key: &str, version: &str) -> Event {
    let mut parts = key.splitn(3, ':');
    let (manager, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let architecture = parts.next();
    let described = match architecture {
        Some(architecture) => object([
            ("name", name.into()),
            ("version", version.into()),
            ("architecture", architecture.into()),
            ("package_manager", manager.into()),
        ]),
        None => object([("name", name.into()), ("version", version.into())]),
    };
    let whose = if architecture.is_some() { "package" } else { "product" };
    event(format!("{name} {version} was removed"), json!({ "change": "removed" })).with(whose, described)
}

/// A package URL (purl), as scanners of vulnerabilities take it. The distribution's name space is the manager's business
/// and not in the database, so it is left out.
fn purl(package: &Package) -> String {
    let kind = if package.manager == "dpkg" { "deb" } else { "rpm" };
    let epoch = package.epoch.map_or_else(String::new, |epoch| format!("&epoch={epoch}"));
    let version = match &package.release {
        Some(release) => format!("{}-{release}", package.version),
        None => package.version.clone(),
    };
    format!(
        "pkg:{kind}/{}@{}?arch={}{epoch}",
        encoded(&package.name),
        encoded(&version),
        package.architecture
    )
}

/// Percent-encoding as purl has it.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_url_is_encoded() {
        let package = Package {
            manager: "dpkg",
            name: "libstdc++6".to_owned(),
            version: "1:2~rc".to_owned(),
            architecture: "amd64".to_owned(),
            ..Package::default()
        };
        assert_eq!(purl(&package), "pkg:deb/libstdc%2B%2B6@1%3A2~rc?arch=amd64");
    }

    #[test]
    fn what_was_removed_is_said_with_what_is_known() {
        let fields = Value::Object(removed("dpkg:dash:amd64", "0.5").into_fields());
        assert_eq!(fields["package"]["name"], "dash");
        assert_eq!(fields["message"], "dash 0.5 was removed");
        let fields = Value::Object(removed("os:Debian", "12").into_fields());
        assert_eq!(fields["product"]["version"], "12");
    }
}
