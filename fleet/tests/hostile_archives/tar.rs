//! Archives made byte by byte, so that each can be wrong in the one way that its case is about.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// One header block and what follows it.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub prefix: Vec<u8>,
    pub kind: u8,
    pub mode: Vec<u8>,
    /// The size field as it stands there; by default the content's length.
    pub size: Option<Vec<u8>>,
    pub link: Vec<u8>,
    pub magic: [u8; 8],
    pub content: Vec<u8>,
    pub padding: u8,
    pub bad_checksum: bool,
}

impl Entry {
    pub fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            prefix: Vec::new(),
            kind: b'0',
            mode: b"0000644".to_vec(),
            size: None,
            link: Vec::new(),
            magic: *b"ustar\x0000",
            content: content.as_ref().to_vec(),
            padding: 0,
            bad_checksum: false,
        }
    }

    pub fn directory(name: impl AsRef<[u8]>) -> Self {
        Self { kind: b'5', mode: b"0000755".to_vec(), ..Self::file(name, "") }
    }

    /// A header of another kind, with a link name where the kind has one.
    pub fn special(kind: u8, name: impl AsRef<[u8]>, link: impl AsRef<[u8]>) -> Self {
        Self { kind, link: link.as_ref().to_vec(), ..Self::file(name, "") }
    }

    fn write(&self, tar: &mut Vec<u8>) {
        let mut block = [0_u8; 512];
        let mut put = |at: usize, value: &[u8]| block[at..at + value.len()].copy_from_slice(value);
        put(0, &self.name);
        put(100, &self.mode);
        put(108, b"0000000");
        put(116, b"0000000");
        let size = format!("{:011o}", self.content.len()).into_bytes();
        put(124, self.size.as_deref().unwrap_or(&size));
        put(136, b"00000000000");
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, &self.link);
        put(257, &self.magic);
        put(345, &self.prefix);
        let sum = block.iter().map(|&b| u32::from(b)).sum::<u32>() + u32::from(self.bad_checksum);
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend_from_slice(&block);
        tar.extend_from_slice(&self.content);
        tar.resize(tar.len().next_multiple_of(512), self.padding);
    }
}

/// Entries without an end mark.
pub fn tar_open(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    entries.iter().for_each(|entry| entry.write(&mut tar));
    tar
}

/// Entries and the end mark.
pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = tar_open(entries);
    tar.extend_from_slice(&[0; 1024]);
    tar
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// `manifest.json` of these files, as text so that a case can spoil it.
pub fn manifest(files: &[(&str, &[u8])]) -> String {
    let listed: Vec<_> =
        files.iter().map(|(path, content)| listing(path, content.len() as u64, content)).collect();
    document(&listed.join(","))
}

pub fn listing(path: &str, bytes: u64, content: &[u8]) -> String {
    let sha256 = Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect::<String>();
    format!(r#"{{"path":"{path}","mode":"0755","bytes":{bytes},"sha256":"{sha256}"}}"#)
}

pub fn document(files: &str) -> String {
    format!(
        r#"{{"schema_version":1,"kind":"release","version":"0.2.0","arch":"x86_64","minimum_kernel":"5.10","files":[{files}]}}"#
    )
}
