//! A host that follows the channel, and what must hold on its disk whatever the server does.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use linnet_fleet::channel::{Channel, ChannelError, ChannelSettings, Refresh};

use crate::published::{Files, Published, now};
use crate::server::{Server, Trick};

/// No case may take longer, slow servers included: the limits below are short.
const PATIENCE: Duration = Duration::from_secs(20);

pub const BIG: &str = "release/big.tar.gz";

pub struct World {
    pub name: String,
    pub channel: Published,
    pub server: Server,
    pub settings: ChannelSettings,
    directory: tempfile::TempDir,
    /// Everything that was ever published.
    ever: Vec<Files>,
}

impl World {
    /// A host that has taken version 1; the server's channel is at version 2, with a big target.
    pub fn new(name: &str) -> Self {
        let server = Server::plain();
        let url = format!("http://127.0.0.1:{}", server.port);
        Self::behind(name, server, url)
    }

    pub fn behind(name: &str, server: Server, url: String) -> Self {
        let settings = ChannelSettings {
            proxy: Some("none".to_owned()),
            connect_timeout_ms: 2000,
            request_timeout_ms: 2500,
            download_timeout_ms: 3000,
            min_bytes_per_s: 1000,
            rate_window_ms: 900,
            ..ChannelSettings::new(url)
        };
        let mut world = Self {
            name: name.to_owned(),
            channel: Published::new(),
            server,
            settings,
            directory: tempfile::tempdir().unwrap(),
            ever: Vec::new(),
        };
        world.serve();
        fs::create_dir(world.metadata()).unwrap();
        Channel::initialize(&world.metadata(), world.channel.root()).unwrap();
        world
    }

    /// Takes version 1, then version 2 with a big target is published.
    pub fn at_version_1(mut self) -> Self {
        self.refresh(now()).unwrap();
        let big: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        self.channel.publish(BIG, big);
        self.serve();
        self
    }

    pub fn serve(&mut self) {
        self.ever.push(self.channel.files.clone());
        self.server.state.lock().unwrap().files = self.channel.files.clone();
    }

    pub fn trick(
        &self,
        trick: impl FnMut(&crate::server::Request, &Files) -> Option<Vec<crate::server::Step>> + Send + 'static,
    ) {
        self.server.set_trick(Some(Box::new(trick) as Trick));
    }

    pub fn metadata(&self) -> PathBuf {
        self.directory.path().join("metadata")
    }

    pub fn target(&self) -> PathBuf {
        self.directory.path().join("big.tar.gz")
    }

    pub fn part(&self) -> PathBuf {
        self.directory.path().join(".big.tar.gz.part")
    }

    pub fn open(&self) -> Result<Channel, ChannelError> {
        Channel::open(&self.metadata(), self.settings.transport()?)
    }

    /// One refresh, held to the invariants.
    pub fn refresh(&self, now: Timestamp) -> Result<Refresh, ChannelError> {
        let (before, started) = (self.stored(), Instant::now());
        let result = self.open().and_then(|mut channel| channel.refresh(now));
        self.check(&before, started);
        result
    }

    pub fn download(&self) -> Result<Vec<u8>, ChannelError> {
        let (before, started) = (self.stored(), Instant::now());
        let result = self.open().and_then(|mut channel| {
            let target = channel.target(BIG, now())?;
            channel.download(&target, &self.target())
        });
        self.check(&before, started);
        let big = self.big();
        if let Ok(there) = fs::read(self.target()) {
            assert!(there == big, "{}: something else stands under the target's name", self.name);
        }
        result.map(|file| {
            assert_eq!(file.bytes(), big.len() as u64, "{}", self.name);
            assert!(!self.part().exists(), "{}: a part is left", self.name);
            fs::read(self.target()).unwrap()
        })
    }

    pub fn big(&self) -> Vec<u8> {
        let at = self.channel.files.keys().find(|path| path.ends_with(".big.tar.gz")).unwrap();
        self.channel.files[at].clone()
    }

    /// The stored documents by their file.
    pub fn stored(&self) -> BTreeMap<String, Vec<u8>> {
        fs::read_dir(self.metadata())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
            .filter(|(name, _)| name != "timestamp.validators")
            .collect()
    }

    /// Each stored document is as it was, or one that was really published; and there is nothing else.
    fn check(&self, before: &BTreeMap<String, Vec<u8>>, started: Instant) {
        let name = &self.name;
        assert!(started.elapsed() < PATIENCE, "{name} took {:?}", started.elapsed());
        for (file, bytes) in self.stored() {
            let role = file.strip_suffix(".json").unwrap_or_else(|| panic!("{name} left {file}"));
            let genuine = |files: &Files| {
                files.iter().any(|(path, published)| {
                    *published == bytes && (*path == file || path.ends_with(&format!(".{role}.json")))
                })
            };
            assert!(
                before.get(&file) == Some(&bytes) || self.ever.iter().any(genuine),
                "{name}: {file} is neither as it was nor was it ever published"
            );
        }
    }

    /// The server is good again: the next refresh and download come out.
    pub fn recovers(self) {
        self.server.set_trick(None);
        let name = &self.name;
        self.refresh(now()).unwrap_or_else(|error| panic!("{name}: then, from a good server: {error}"));
        for (file, bytes) in self.stored() {
            let current = self.channel.files.iter().rev().any(|(_, published)| *published == bytes);
            assert!(current, "{name}: {file} is not a current one");
        }
        if self.channel.files.keys().any(|path| path.ends_with(".big.tar.gz")) {
            let got =
                self.download().unwrap_or_else(|error| panic!("{name}: then, from a good server: {error}"));
            assert!(got == self.big(), "{name}");
        }
    }
}

impl World {
    /// The timestamp of version 1.
    pub fn first_timestamp(&self) -> Vec<u8> {
        self.ever[0]["timestamp.json"].clone()
    }
}
