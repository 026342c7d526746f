//! The commands, one file each. A command returns what it has to say; errors end it before anything is published.

pub mod add;
pub mod bundle;
pub mod config;
pub mod difference;
pub mod init;
pub mod inspect;
pub mod reach;
pub mod refresh;
pub mod revoke;
pub mod rotate;
pub mod sign;
pub mod verify;

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use linnet_keys::metadata::Targets;

use crate::channel::{self, Channel};
use crate::draft::{self, Clock, Signers};
use crate::effect;
use crate::key_store::KeyStore;
use crate::page;
use crate::publish::{Change, Outcome, publish};

/// What every command works on.
pub struct Context {
    pub channel: PathBuf,
    pub store: KeyStore,
    pub clock: Clock,
}

impl Context {
    /// The channel, to be changed: nobody else does so meanwhile.
    pub fn open(&self) -> Result<(Channel, linnet_fleet::lock::Lock)> {
        // The lock would make the directory.
        if !self.channel.join("1.root.json").exists() {
            Channel::load(&self.channel)?;
        }
        let lock = channel::lock(&self.channel)?;
        effect::sweep(&self.channel)?;
        Ok((Channel::load(&self.channel)?, lock))
    }

    /// Publishes the next version of one targets role.
    pub fn publish_targets(
        &self,
        channel: &Channel,
        role: &str,
        next: &Targets,
        done: &str,
    ) -> Result<String> {
        let signers = Signers::of(role, &[channel.root()], &[channel.targets("targets")?])?;
        let envelope = draft::sign(&self.store, next, &signers)?;
        let mut change = Change::default();
        change.documents.insert(role.to_owned(), envelope);
        self.publish(channel, &change, done)
    }

    /// Publishes, and says so.
    pub fn publish(&self, channel: &Channel, change: &Change, done: &str) -> Result<String> {
        let outcome = publish(channel, &self.store, self.clock, change)?;
        let mut told = tell(&outcome, done);
        if matches!(outcome, Outcome::Published(_))
            && let Err(error) = Channel::load(&self.channel).and_then(|new| page::write(&new, self.clock))
        {
            let _ = writeln!(told, "{} was not written, which no host minds: {error:#}", page::NAME);
        }
        Ok(told)
    }
}

/// `page`: writes the page anew.
pub fn page(context: &Context) -> Result<String> {
    let (channel, _lock) = context.open()?;
    page::write(&channel, context.clock)?;
    Ok(format!("wrote {}\n", channel.directory().join(page::NAME).display()))
}

/// What became of a change, for people.
fn tell(outcome: &Outcome, done: &str) -> String {
    let mut text = String::new();
    match outcome {
        Outcome::Published(versions) => {
            let versions: Vec<_> =
                versions.iter().map(|(role, version)| format!("{role} {version}")).collect();
            let _ = writeln!(text, "{done}\npublished: {}", versions.join(", "));
        }
        Outcome::Waiting(waiting) => {
            let _ = writeln!(text, "not published yet: more signatures are needed");
            for document in waiting {
                let _ = writeln!(
                    text,
                    "  {}   {} of {} signatures",
                    document.path.display(),
                    document.have,
                    document.need
                );
            }
            let files: Vec<_> = waiting.iter().map(|document| document.path.display().to_string()).collect();
            let _ = writeln!(
                text,
                "\nGive a copy to the other holders of keys; each runs\n  linnet-keys --keys THEIR_KEYS sign FILE\n\
                 and with all copies, where the keys of snapshot and timestamp are:\n  linnet-keys merge {} THEIR_COPIES…",
                files.join(" ")
            );
        }
    }
    text
}

/// Text from a document, safe for a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
