//! The passphrase of the private keys: from a file, the environment, or the terminal.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The environment variable that may hold it.
pub const VARIABLE: &str = "LINNET_KEYS_PASSPHRASE";
/// Longer ones are surely not meant.
const MAX_BYTES: u64 = 4096;

/// Where the passphrase is to be had.
#[derive(Clone)]
pub enum Source {
    /// The first line of a file.
    File(PathBuf),
    /// The environment, read once at start.
    Given(Zeroizing<String>),
    /// Ask.
    Terminal,
    /// None: the keys are not encrypted.
    None,
}

impl Source {
    /// The passphrase; `None` where the keys are not encrypted. For new keys the terminal asks twice.
    pub fn read(&self, new: bool) -> Result<Option<Zeroizing<String>>> {
        let passphrase = match self {
            Self::None => return Ok(None),
            Self::Given(passphrase) => passphrase.clone(),
            Self::File(path) => first_line(path)?,
            Self::Terminal => {
                let first =
                    ask(if new { "passphrase for the new keys: " } else { "passphrase of the keys: " })?;
                if new && *ask("the same again: ")? != *first {
                    bail!("the two passphrases differ: nothing was done");
                }
                first
            }
        };
        if passphrase.is_empty() {
            bail!("the passphrase is empty: choose one, or ask for keys without by --unencrypted");
        }
        Ok(Some(passphrase))
    }
}

fn first_line(path: &Path) -> Result<Zeroizing<String>> {
    let file = File::open(path).with_context(|| format!("open the passphrase file {path:?}"))?;
    let mut line = Zeroizing::new(String::new());
    BufReader::new(file.take(MAX_BYTES)).read_line(&mut line).with_context(|| format!("read {path:?}"))?;
    Ok(Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned()))
}

fn ask(prompt: &str) -> Result<Zeroizing<String>> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").with_context(|| {
        format!("there is no terminal to ask for the passphrase: give --passphrase-file or {VARIABLE}")
    })?;
    (&terminal).write_all(prompt.as_bytes())?;
    let before = tcgetattr(&terminal).context("read the terminal's modes")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    tcsetattr(&terminal, OptionalActions::Flush, &silent).context("silence the terminal")?;
    let mut line = Zeroizing::new(String::new());
    let read = BufReader::new((&terminal).take(MAX_BYTES)).read_line(&mut line);
    tcsetattr(&terminal, OptionalActions::Flush, &before).context("restore the terminal")?;
    read.context("read the passphrase")?;
    Ok(Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned()))
}
