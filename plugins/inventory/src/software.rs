//! The operating system and the kernel that runs.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What runs, beside packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Software {
    /// `os` or `kernel`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) vendor: Option<String>,
    /// What identifies it to databases of vulnerabilities, where it says so.
    pub(crate) cpe: Option<String>,
    /// The kernel's build.
    pub(crate) build: Option<String>,
}

impl Software {
    /// What tells it from others.
    pub(crate) fn key(&self) -> String {
        format!("{}:{}", self.kind, self.name)
    }
}

/// Longest file that is read.
const MAX_BYTES: u64 = 64 * 1024;

fn text(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Kernel and operating system.
pub(crate) fn running(root: &Path) -> Vec<Software> {
    let kernel = text(Path::new("/proc/sys/kernel/osrelease")).map(|release| Software {
        kind: "kernel",
        name: "Linux kernel".to_owned(),
        version: release.trim().to_owned(),
        vendor: None,
        cpe: None,
        build: text(Path::new("/proc/sys/kernel/version")).map(|build| build.trim().to_owned()),
    });
    let release = text(&root.join("etc/os-release")).or_else(|| text(&root.join("usr/lib/os-release")));
    let os = release.map(|text| {
        let value = |name: &str| os_release_value(&text, name);
        Software {
            kind: "os",
            name: value("NAME").unwrap_or_else(|| "Linux".to_owned()),
            version: value("VERSION_ID")
                .or_else(|| value("BUILD_ID"))
                .unwrap_or_else(|| "unknown".to_owned()),
            vendor: value("VENDOR_NAME").or_else(|| value("ID")),
            cpe: value("CPE_NAME"),
            build: value("PRETTY_NAME"),
        }
    });
    [os, kernel].into_iter().flatten().collect()
}

/// A value of os-release(5), without its quotes.
fn os_release_value(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?.trim();
    let inner = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    Some(inner.unwrap_or(value).to_owned()).filter(|value| !value.is_empty())
}

/// Seconds since the epoch.
pub(crate) fn epoch_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lose_their_quotes_and_only_whole_names_count() {
        let text = "PRETTY_NAME=\"Debian 13\"\nVERSION_ID='13'\nNAME=Debian\nID=\n";
        assert_eq!(os_release_value(text, "NAME").as_deref(), Some("Debian"));
        assert_eq!(os_release_value(text, "VERSION_ID").as_deref(), Some("13"));
        assert_eq!(os_release_value(text, "ID"), None);
    }

    #[test]
    fn this_kernel_is_running() {
        let found = running(Path::new("/"));
        assert!(found.iter().any(|one| one.kind == "kernel" && !one.version.is_empty()));
    }
}
