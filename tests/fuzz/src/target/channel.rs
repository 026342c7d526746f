//! What comes from a channel or from a server: signed metadata, packages, bundles, headers.

use std::{fs, io::Read, sync::OnceLock, time::Duration};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use linnet_fleet::{
    bundle::Bundle,
    package::{Caps, Root, unpack, verify_tree},
};
use linnet_keys::{
    Search, Sha256Digest, TimestampChange, Trusted,
    envelope::Envelope,
    release::{Package, revoked},
    sign::PrivateKey,
};
use serde_json::{Value, json};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::{
    channel::{Backoff, read, retry_after},
    place, repair,
    seed::taken,
};

/// Signed metadata as it comes. Nothing is trusted but what the shipped root signed: the fuzzer has no key.
pub fn metadata(bytes: &[u8]) {
    const ROOT: &[u8] = include_bytes!("../../../../updater/fixtures/1.root.json");
    static SHIPPED: OnceLock<Trusted> = OnceLock::new();
    if let Ok(envelope) = Envelope::parse(bytes) {
        let again = Envelope::parse(&envelope.to_bytes());
        assert!(again.is_ok(), "what was parsed is not parsed again");
        taken();
    }
    let _ = Trusted::from_root(bytes);
    let mut trusted = SHIPPED.get_or_init(|| Trusted::from_root(ROOT).unwrap()).clone();
    assert!(trusted.update_root(bytes).is_err(), "a root that nobody signed is trusted");
    assert!(trusted.load_stored_timestamp(bytes).is_err(), "a timestamp that nobody signed is trusted");
}

/// Metadata that the right keys have signed, and that is wrong all the same: a document, which of the four its `_type` says.
/// Versions never go back, and a target that is found is one that the document lists.
pub fn signed(bytes: &[u8]) {
    // Only here is known what the key is called.
    let text = String::from_utf8_lossy(bytes);
    let public = key().public();
    let text =
        text.replace("@ID@", public.id().as_str()).replace("\"@KEY@\"", &public.to_object().to_string());
    let Ok(document) = serde_json::from_str::<Value>(&text) else { return };
    let Some(envelope) = sign(&document) else { return };
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let version = document.get("version").and_then(Value::as_u64).unwrap_or(1);
    let mut trusted = shipped();
    match document.get("_type").and_then(Value::as_str) {
        Some("root") => {
            if let Ok(change) = trusted.update_root(&envelope) {
                taken();
                assert_eq!(change.version, 2, "a root that is not the next");
                assert!(trusted.update_root(&envelope).is_err(), "the same root twice");
                let _ = trusted.finish_roots(now);
            }
        }
        Some("timestamp") => {
            trusted.finish_roots(now).unwrap();
            if trusted.update_timestamp(&envelope, now).is_ok() {
                taken();
                let again = trusted.update_timestamp(&envelope, now);
                assert!(matches!(again, Ok(TimestampChange::Unchanged)), "{again:?}");
                let _ = trusted.snapshot_needed();
            }
        }
        Some("snapshot") => {
            trusted.finish_roots(now).unwrap();
            if follow(&mut trusted, version, None).is_none() {
                return;
            }
            if trusted.update_snapshot(&envelope, now).is_ok() {
                taken();
                assert!(trusted.snapshot_needed().is_none());
                let _ = trusted.targets_wanted("targets");
            }
        }
        Some("targets") => {
            trusted.finish_roots(now).unwrap();
            if follow(&mut trusted, 1, Some(version)).is_none() {
                return;
            }
            if trusted.update_targets("targets", "root", &envelope, now).is_ok() {
                taken();
                search(&trusted);
            }
        }
        _ => {}
    }
}

fn search(trusted: &Trusted) {
    let listed: Vec<String> = trusted.listed().map(str::to_owned).collect();
    for path in listed.iter().map(String::as_str).chain(["config/fleet.json", "plugin/x"]) {
        if let Ok(Search::Found(target)) = trusted.find(path) {
            assert!(target.path() == path && listed.iter().any(|one| one == path));
            let url = target.url_path();
            assert!(!url.starts_with('/') && url.split('/').all(|name| name != ".."), "{url:?}");
        }
    }
    let Some(targets) = trusted.targets("targets") else { return };
    for file in targets.targets.values() {
        if let Ok(package) = Package::from_custom(&file.custom) {
            assert_eq!(Package::from_custom(&package.to_custom().unwrap()).unwrap(), package);
        }
    }
    for digest in revoked(targets) {
        assert!(trusted.is_revoked(&digest));
    }
}

const EXPIRES: &str = "2030-01-01T00:00:00Z";

fn key() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| PrivateKey::from_seed(&[7; 32]).unwrap())
}

fn sign(document: &Value) -> Option<Vec<u8>> {
    let mut envelope = Envelope::unsigned(document.clone()).ok()?;
    envelope.sign(key());
    Some(envelope.to_bytes())
}

/// A root whose one key is here.
fn shipped() -> Trusted {
    static SHIPPED: OnceLock<Trusted> = OnceLock::new();
    let make = || {
        let public = key().public();
        let id = public.id();
        let role = json!({ "keyids": [id.as_str()], "threshold": 1 });
        let root = json!({
            "_type": "root", "spec_version": "1.0.33", "version": 1, "expires": EXPIRES, "consistent_snapshot": true,
            "keys": { id.as_str(): public.to_object() },
            "roles": { "root": role, "targets": role, "snapshot": role, "timestamp": role },
        });
        Trusted::from_root(&sign(&root).unwrap()).unwrap()
    };
    SHIPPED.get_or_init(make).clone()
}

/// A timestamp that lists this version of the snapshot; and, for a version of targets, that snapshot. None where they can't be.
fn follow(trusted: &mut Trusted, snapshot: u64, targets: Option<u64>) -> Option<()> {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let of = |kind: &str, meta: Value| json!({ "_type": kind, "spec_version": "1.0.33", "version": 1, "expires": EXPIRES, "meta": meta });
    let timestamp = sign(&of("timestamp", json!({ "snapshot.json": { "version": snapshot } })))?;
    trusted.update_timestamp(&timestamp, now).ok()?;
    if let Some(targets) = targets {
        let meta = json!({ "targets.json": { "version": targets }, "plugins.json": { "version": 1 } });
        trusted.update_snapshot(&sign(&of("snapshot", meta))?, now).ok()?;
    }
    Some(())
}

/// A package, as the tar below its compression; the first byte says whether checksums are put right. Whatever it holds, nothing
/// is written outside of its directory, and what is taken is there whole.
pub fn archive(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let mut tar = bytes.to_vec();
    if mode & 1 == 1 {
        repair::tar(&mut tar);
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    std::io::Write::write_all(&mut gzip, &tar).unwrap();
    // The fuzzer's own gzip, as it is.
    let packed = if mode & 2 == 2 { tar } else { gzip.finish().unwrap() };
    let room = place::empty("archive");
    let (package, into) = (room.join("package"), room.join("into"));
    fs::write(&package, &packed).unwrap();
    fs::create_dir(&into).unwrap();
    let file = fs::File::open(&package).unwrap();
    let caps = Caps { entries: 64, unpacked_bytes: 1 << 20 };
    let root = Root::open(&into).unwrap();
    let done = unpack(&file, packed.len() as u64, Sha256Digest::of(&packed), &root, caps);
    assert_eq!(done.is_ok(), into.join("manifest.json").exists());
    if let Ok(done) = done {
        verify_tree(&root, done.manifest()).unwrap();
        taken();
    }
    let names: Vec<_> = fs::read_dir(&room).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "something was written beside: {names:?}");
}

/// A bundle; the first byte says whether checksums are put right. No more comes out of it than it holds, and nothing follows its
/// end.
pub fn bundle(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let mut tar = bytes.to_vec();
    if mode & 1 == 1 {
        repair::tar(&mut tar);
    }
    let Ok(bundle) = Bundle::open(&place::file("bundle", &tar)) else { return };
    taken();
    assert!(tar.iter().rev().take(1024).all(|byte| *byte == 0), "something is hidden behind the end");
    for path in ["../x", "/etc/passwd", ""] {
        assert!(bundle.get(path).is_none(), "{path:?} is in it");
    }
    let head = bundle.head();
    let named = head.releases.iter().chain(&head.plugins).map(String::as_str);
    for path in named.chain(["timestamp.json", "1.root.json"]) {
        if let Some(mut entry) = bundle.get(path) {
            let (left, mut content) = (entry.left(), Vec::new());
            assert!(left <= tar.len() as u64);
            assert_eq!(entry.read_to_end(&mut content).unwrap() as u64, left);
        }
    }
}

/// The headers of an answer, a line each; the first byte is where a range was asked from. A redirect stays on its host and does
/// not leave TLS; what a server asks for in time is bounded.
pub fn answer(bytes: &[u8]) {
    let Some((from, lines)) = bytes.split_first() else { return };
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(600));
    let asked = retry_after(&headers, now);
    if asked.is_some() {
        taken();
    }
    let wait = backoff.after_failure(asked, u64::MAX);
    assert!(wait <= Backoff::MAX_RETRY_AFTER + Duration::from_secs(600));
    for asked in ["https://channel.example/a/timestamp.json", "http://channel.example:8080/x"] {
        let asked: Uri = asked.parse().unwrap();
        let (begins, target) = read(&headers, &asked, u64::from(*from));
        if begins {
            taken();
        }
        match target {
            Ok(target) => {
                taken();
                assert_eq!(target.host(), asked.host(), "a redirect leaves its host");
                assert!(asked.scheme_str() != Some("https") || target.scheme_str() == Some("https"));
            }
            Err(why) => assert!(!why.contains(char::is_control), "{why:?}"),
        }
    }
}
