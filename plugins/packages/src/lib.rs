//! What dpkg and rpm have installed, read from their databases without their programs.
//!
//! Both readers hand one package after the other to the caller, who may stop in between, and hold no more than one. The
//! databases are written by root, and yet read as hostile: every length is checked and every reading is bounded.
#![forbid(unsafe_code)]

pub mod dpkg;
pub mod ownership;
pub mod rpm;

/// An installed package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// `dpkg` or `rpm`.
    pub manager: &'static str,
    /// Its name.
    pub name: String,
    /// Version, for rpm without the release.
    pub version: String,
    /// rpm's release.
    pub release: Option<String>,
    /// rpm's epoch.
    pub epoch: Option<u32>,
    /// Architecture, as the manager calls it.
    pub architecture: String,
    /// Who packaged it.
    pub vendor: Option<String>,
    /// The source package, where it has another name.
    pub source: Option<String>,
}

impl Package {
    /// What tells it from other packages of the same host: name and architecture, since several architectures of one
    /// package may be installed.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}:{}:{}", self.manager, self.name, self.architecture)
    }

    /// Epoch, version and release in one, as the manager writes them.
    #[must_use]
    pub fn full_version(&self) -> String {
        let epoch = self.epoch.map_or_else(String::new, |epoch| format!("{epoch}:"));
        let release = self.release.as_deref().map_or_else(String::new, |release| format!("-{release}"));
        format!("{epoch}{}{release}", self.version)
    }
}
