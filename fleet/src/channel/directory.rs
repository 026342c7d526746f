//! A channel in a local directory, for hosts without network: `file:///media/stick/channel`.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::{ChannelError, disk_error};
use super::transport::{Body, Get, Reply, Transport, Validators};

/// Reads a channel from a directory. Names are taken as they are below it: never upwards.
#[derive(Debug)]
pub struct DirectoryTransport {
    directory: PathBuf,
}

impl DirectoryTransport {
    /// A channel in this directory.
    ///
    /// # Errors
    /// [`ChannelError::Settings`] for a relative path.
    pub fn new(directory: impl AsRef<Path>) -> Result<Self, ChannelError> {
        let directory = directory.as_ref();
        if !directory.is_absolute() {
            let message = format!("{directory:?} is not absolute: give file:///directory");
            return Err(ChannelError::Settings { key: "url", message });
        }
        Ok(Self { directory: directory.to_owned() })
    }

    fn path(&self, path: &str) -> Option<PathBuf> {
        let mut found = self.directory.clone();
        for name in path.split('/') {
            // A publisher writes the files under the names that their URLs have once decoded.
            let name = percent_decode(name)?;
            if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
                return None;
            }
            found.push(name);
        }
        Some(found)
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

impl Transport for DirectoryTransport {
    fn get(&self, get: &Get<'_>) -> Result<Reply, ChannelError> {
        // As a web server does, so that a name which leads nowhere ends the search for newer roots.
        let encoded = self.directory.join(get.path);
        let Some(path) = self.path(get.path) else { return Ok(Reply::Absent) };
        let open = |path: &Path| {
            // A fifo would wait for its other end.
            std::fs::OpenOptions::new()
                .read(true)
                .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
                .open(path)
        };
        let mut file = match open(&path) {
            // Some publishers write encoded names as they are.
            Err(error) if error.kind() == io::ErrorKind::NotFound && get.path.contains('%') => open(&encoded),
            other => other,
        };
        if let Ok(opened) = &file
            && !opened.metadata().map_err(disk_error("look at", &path))?.is_file()
        {
            file = Err(io::ErrorKind::NotFound.into());
        }
        let mut file = match file {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                // A directory that is not there at all is another mistake than a missing file.
                return match std::fs::metadata(&self.directory) {
                    Ok(_) => Ok(Reply::Absent),
                    Err(error) => Err(disk_error("open", &self.directory)(error)),
                };
            }
            Err(error) => return Err(disk_error("open", path)(error)),
        };
        let bytes = file.metadata().map_err(disk_error("look at", &path))?.len();
        let start = get.from.map_or(0, |(from, _)| from).min(bytes);
        file.seek(SeekFrom::Start(start)).map_err(disk_error("read", &path))?;
        if bytes - start > get.max_bytes {
            return Err(ChannelError::TooLong { url: self.url(get.path), cap: get.max_bytes });
        }
        Ok(Reply::Found(Body { reader: Box::new(file as File), start, validators: Validators::default() }))
    }

    fn url(&self, path: &str) -> String {
        format!("file://{}/{path}", self.directory.display())
    }
}
