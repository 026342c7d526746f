//! Files in events: their hash, and the OCSF object of one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{FileType, Stat};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::event::text;
use crate::{Plugin, Stop, Turn};

/// Read between two looks at the clock.
const CHUNK: usize = 32 * 1024;

/// SHA-256 of a file in hexadecimal, or none where it is longer than `most` or can't be read to its end.
///
/// # Errors
/// [`Stop`], when the round is to end.
pub fn sha256<P: Plugin>(turn: &mut Turn<'_, P>, mut file: File, most: u64) -> Result<Option<String>, Stop> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut read: u64 = 0;
    loop {
        turn.pace()?;
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                read += count as u64;
                if read > most {
                    return Ok(None);
                }
                digest.update(buffer.get(..count).unwrap_or_default());
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Ok(None),
        }
    }
    // What was read once will not be read again soon, and would count as this plugin's memory.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    Ok(Some(hexadecimal(&digest.finalize())))
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// OCSF `file`.
#[must_use]
pub fn object(path: &Path, stat: Option<&Stat>, sha256: Option<&str>) -> Value {
    use std::os::unix::ffi::OsStrExt;
    let whole = text(path.as_os_str().as_bytes());
    let name = path.file_name().map_or_else(|| whole.clone(), |name| text(name.as_bytes()));
    let mut object = Map::new();
    object.insert("name".to_owned(), name.into());
    object.insert("path".to_owned(), whole.into());
    let kind = stat.map(|stat| FileType::from_raw_mode(stat.st_mode));
    object.insert("type_id".to_owned(), kind.map_or(0, type_id).into());
    if let Some(stat) = stat {
        object.insert("size".to_owned(), stat.st_size.into());
        object.insert("modified_time".to_owned(), (stat.st_mtime.saturating_mul(1000)).into());
        object.insert("owner".to_owned(), json!({ "uid": stat.st_uid.to_string() }));
        object.insert("xattributes".to_owned(), json!({ "mode": format!("{:04o}", stat.st_mode & 0o7777) }));
    }
    if let Some(sha256) = sha256 {
        object.insert("hashes".to_owned(), json!([{ "algorithm_id": 3, "value": sha256 }]));
    }
    Value::Object(object)
}

/// OCSF `file.type_id`.
fn type_id(kind: FileType) -> u8 {
    match kind {
        FileType::RegularFile => 1,
        FileType::Directory => 2,
        FileType::CharacterDevice => 3,
        FileType::BlockDevice => 4,
        FileType::Socket => 5,
        FileType::Fifo => 6,
        FileType::Symlink => 7,
        FileType::Unknown => 0,
    }
}
