//! `enrol`: writes down which channel this host follows, and whom it trusts at first. Installations of every kind come
//! through here.
//!
//! A host that is enrolled stays so: another channel is another owner, and only `--replace` says that this is meant. The
//! root comes before the enrolment that names it, so a crash between the two leaves a host that is not enrolled.

use std::io::Read;
use std::path::{Path, PathBuf};

use linnet_fleet::atomic_file;
use linnet_fleet::capped;
use linnet_fleet::channel::{ChannelSettings, ENROLMENT_PATH, Enrolment, Get, ROOT_PATH, Reply};
use linnet_keys::{Sha256Digest, Trusted};

use super::arguments::Enrol;
use super::context::{Context, Failed};
use super::report::Report;
use crate::disk;
use crate::exit_code;
use crate::layout::below;

const MAX_ROOT_BYTES: usize = 512 << 10;
/// The root that every channel keeps; a later one is reached from it.
const FIRST_ROOT: &str = "1.root.json";

/// Enrols this host.
pub fn enrol(context: &Context<'_>, wanted: &Enrol) -> Result<Report, Failed> {
    let usage = |error: String| Failed::new(exit_code::USAGE, error);
    let lock = context.lock()?;
    let place = |path: &str| below(context.root(), Path::new(path));
    let (enrolment_path, root_path) = (place(ENROLMENT_PATH), place(ROOT_PATH));
    let channel = ChannelSettings {
        ca_file: wanted
            .ca_file
            .as_ref()
            .map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone())),
        proxy: wanted.proxy.clone(),
        ..ChannelSettings::new(&wanted.url)
    };
    let enrolment = Enrolment { channel, root: PathBuf::from(ROOT_PATH), tags: wanted.tags.clone() };
    let json = serde_json::to_vec_pretty(&enrolment).unwrap_or_default();
    // What an agent would refuse is not written.
    Enrolment::parse(&enrolment_path, &json).map_err(|error| usage(error.to_string()))?;
    let transport = enrolment.channel.transport().map_err(|error| usage(error.to_string()))?;

    let root = match &wanted.root {
        Some(file) => capped::read(file, MAX_ROOT_BYTES)
            .map_err(|error| usage(format!("read {file:?}: {error}")))?
            .ok_or_else(|| usage(format!("{file:?} is longer than {MAX_ROOT_BYTES} bytes")))?,
        None => fetch_root(transport.as_ref())?,
    };
    check_root(&root, wanted.root_sha256)?;

    let present = |path: &Path, limit| capped::read(path, limit).ok().flatten();
    let known = Enrolment::read(&enrolment_path).map_err(|error| usage(error.to_string()));
    let same_root = present(&root_path, MAX_ROOT_BYTES).is_none_or(|known| known == root);
    match known {
        Ok(Some(known)) if known == enrolment && same_root && root_path.exists() => {
            return Ok(Report::done(format!("this host follows {} already", enrolment.channel.shown_url())));
        }
        Ok(None) if same_root => {}
        _ if wanted.replace => {}
        Ok(Some(known)) => {
            let message = format!(
                "this host follows {} with tags {:?}; --replace enrols it anew",
                known.channel.shown_url(),
                known.tags
            );
            return Err(usage(message));
        }
        Ok(None) => {
            return Err(usage(format!(
                "{root_path:?} is another root of trust; --replace puts this one in its place"
            )));
        }
        Err(failed) => {
            return Err(Failed::new(failed.code, format!("{}; --replace enrols anew", failed.error)));
        }
    }
    if let Some(directory) = root_path.parent() {
        disk::make_directories(directory, 0o750)?;
    }
    let error = |error: atomic_file::AtomicFileError| Failed::new(exit_code::ERROR, error);
    atomic_file::write(&root_path, &root, 0o644).map_err(error)?;
    // A proxy's password may be in it.
    atomic_file::write(&enrolment_path, &json, 0o640).map_err(error)?;
    drop(lock);
    Ok(Report::done(format!("this host follows {}", enrolment.channel.shown_url())))
}

fn fetch_root(transport: &dyn linnet_fleet::channel::Transport) -> Result<Vec<u8>, Failed> {
    let url = transport.url(FIRST_ROOT);
    let network = |error: String| Failed::new(exit_code::NETWORK, format!("fetch {url}: {error}"));
    let reply = transport
        .get(&Get::whole(FIRST_ROOT, MAX_ROOT_BYTES as u64))
        .map_err(|error| network(error.to_string()))?;
    let Reply::Found(body) = reply else { return Err(network("there is no such file".to_owned())) };
    let mut bytes = Vec::new();
    body.reader
        .take(MAX_ROOT_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| network(error.to_string()))?;
    Ok(bytes)
}

fn check_root(root: &[u8], wanted: Option<Sha256Digest>) -> Result<(), Failed> {
    let digest = Sha256Digest::of(root);
    if let Some(wanted) = wanted
        && wanted != digest
    {
        let message = format!("the root of trust has the digest {digest}, and {wanted} was asked for");
        return Err(Failed::new(exit_code::SIGNATURE, message));
    }
    Trusted::from_root(root)
        .map(|_| ())
        .map_err(|error| Failed::new(exit_code::SIGNATURE, format!("this is no root of trust: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use linnet_keys::Sha256Digest;

    use crate::command::{Arguments, execute};

    /// A root of trust as `linnet-keys init` makes it.
    const ROOT: &[u8] = include_bytes!("../../fixtures/1.root.json");

    struct Scratch(tempfile::TempDir);

    impl Scratch {
        fn new() -> Self {
            let scratch = Self(tempfile::tempdir().unwrap());
            std::fs::create_dir(scratch.0.path().join("channel")).unwrap();
            std::fs::write(scratch.0.path().join("channel/1.root.json"), ROOT).unwrap();
            scratch
        }

        fn url(&self) -> String {
            format!("file://{}/channel", self.0.path().display())
        }

        fn enrol(&self, more: &[&str]) -> u8 {
            let host = self.0.path().join("host");
            std::fs::create_dir_all(&host).unwrap();
            let all = ["linnet-updater", "--root-dir", host.to_str().unwrap(), "enrol"];
            execute(&Arguments::try_parse_from(all.iter().chain(more)).unwrap())
        }

        fn file(&self, name: &str) -> Option<Vec<u8>> {
            std::fs::read(self.0.path().join("host/etc/linnet").join(name)).ok()
        }
    }

    #[test]
    fn a_host_is_enrolled_once_and_another_channel_needs_a_word() {
        let scratch = Scratch::new();
        let digest = Sha256Digest::of(ROOT).to_string();
        let url = scratch.url();
        assert_eq!(scratch.enrol(&["--url", &url, "--root-sha256", &digest, "--tag", "web"]), 0);
        assert_eq!(scratch.file("root.json").as_deref(), Some(ROOT));
        let first = scratch.file("enrolment.json").unwrap();
        assert_eq!(scratch.enrol(&["--url", &url, "--root-sha256", &digest, "--tag", "web"]), 0);
        assert_eq!(scratch.enrol(&["--url", &url, "--root-sha256", &digest, "--tag", "db"]), 2);
        assert_eq!(scratch.file("enrolment.json").unwrap(), first);
        assert_eq!(scratch.enrol(&["--url", &url, "--root-sha256", &digest, "--tag", "db", "--replace"]), 0);
        assert_ne!(scratch.file("enrolment.json").unwrap(), first);
    }

    #[test]
    fn what_is_not_the_root_that_was_meant_leaves_no_trace() {
        let scratch = Scratch::new();
        let (url, other) = (scratch.url(), "0".repeat(64));
        assert_eq!(scratch.enrol(&["--url", &url, "--root-sha256", &other]), 21);
        let root = scratch.0.path().join("channel/1.root.json");
        std::fs::write(&root, b"{}").unwrap();
        assert_eq!(scratch.enrol(&["--url", &url, "--root", root.to_str().unwrap()]), 21);
        std::fs::remove_file(&root).unwrap();
        assert_eq!(scratch.enrol(&["--url", &url, "--root-sha256", &other]), 20);
        assert_eq!(scratch.enrol(&["--url", "nowhere", "--root-sha256", &other]), 2);
        assert_eq!(scratch.enrol(&["--url", &url, "--root-sha256", &other, "--tag", "a b"]), 2);
        assert_eq!((scratch.file("root.json"), scratch.file("enrolment.json")), (None, None));
    }

    #[test]
    fn an_enrolment_needs_a_root_or_its_digest() {
        assert!(
            Arguments::try_parse_from(["linnet-updater", "enrol", "--url", "https://x.example/"]).is_err()
        );
    }
}
