//! The programs that the claims execute: static ELF files of one page, made at run time.
//!
//! No compiler, no libraries and no shell are needed, so they run in an empty root as well. Each file holds a salt, so
//! that no two of them have the same hash.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::trouble::{Doing, Result};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("src/program.rs holds machine code for x86-64 only: add this processor's");

const IMAGE_LEN: usize = 4096;
const BASE_ADDRESS: u64 = 0x40_0000;
const ELF_HEADER_LEN: u16 = 64;
const PROGRAM_HEADER_LEN: u16 = 56;
const PROGRAM_HEADERS: u16 = 2;
const CODE_OFFSET: u16 = ELF_HEADER_LEN + PROGRAM_HEADERS * PROGRAM_HEADER_LEN;

/// What a program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Exits at once with this code.
    Exit(u8),
    /// Sleeps, then exits with this code.
    Sleep(Duration, u8),
    /// Writes to address 0: SIGSEGV.
    Crash,
}

/// A program on disk.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of the file in lower-case hexadecimal digits.
    pub sha256: String,
}

impl Program {
    /// Writes it to `path` with mode 0755. `salt` makes its content different from all others.
    pub fn write(path: PathBuf, behaviour: Behaviour, salt: &str) -> Result<Self> {
        let image = image(behaviour, salt);
        put(&path, &image, 0o755)?;
        Ok(Self { path, sha256: sha256(&image) })
    }

    /// The path as text; the suite's own paths are UTF-8.
    pub fn text(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// Writes a whole file and sets its mode.
pub fn put(path: &Path, content: &[u8], mode: u32) -> Result {
    fs::write(path, content).doing(format_args!("write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .doing(format_args!("chmod {}", path.display()))
}

/// SHA-256 in lower-case hexadecimal digits.
pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a program.
pub fn image(behaviour: Behaviour, salt: &str) -> Vec<u8> {
    let mut image = Vec::with_capacity(IMAGE_LEN);
    elf_header(&mut image);
    // PT_LOAD, readable and executable: the whole page.
    program_header(&mut image, 1, 5, BASE_ADDRESS, IMAGE_LEN as u64, 0x1000);
    // PT_GNU_STACK, readable and writable.
    program_header(&mut image, 0x6474_e551, 6, 0, 0, 16);
    code(&mut image, behaviour);
    image.extend_from_slice(salt.as_bytes());
    image.resize(IMAGE_LEN, 0);
    image
}

fn code(image: &mut Vec<u8>, behaviour: Behaviour) {
    match behaviour {
        Behaviour::Exit(code) => exit(image, code),
        Behaviour::Sleep(time, code) => {
            // The timespec stands behind the exit, 9 + 12 bytes after the end of the lea.
            image.extend_from_slice(&[0x48, 0x8d, 0x3d, 21, 0, 0, 0]); // lea rdi, [rip + 21]
            image.extend_from_slice(&[0x31, 0xf6]); // xor esi, esi
            image.extend_from_slice(&[0xb8, 35, 0, 0, 0, 0x0f, 0x05]); // mov eax, SYS_nanosleep; syscall
            exit(image, code);
            image.extend_from_slice(&time.as_secs().to_le_bytes());
            image.extend_from_slice(&u64::from(time.subsec_nanos()).to_le_bytes());
        }
        Behaviour::Crash => image.extend_from_slice(&[0x31, 0xc0, 0x89, 0x00]), // xor eax, eax; mov [rax], eax
    }
}

fn exit(image: &mut Vec<u8>, code: u8) {
    image.extend_from_slice(&[0xbf, code, 0, 0, 0]); // mov edi, code
    image.extend_from_slice(&[0xb8, 231, 0, 0, 0, 0x0f, 0x05]); // mov eax, SYS_exit_group; syscall
}

fn elf_header(image: &mut Vec<u8>) {
    // 64 bit, little endian, version 1, System V.
    image.extend_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    image.extend_from_slice(&2_u16.to_le_bytes()); // ET_EXEC
    image.extend_from_slice(&62_u16.to_le_bytes()); // EM_X86_64
    image.extend_from_slice(&1_u32.to_le_bytes());
    image.extend_from_slice(&(BASE_ADDRESS + u64::from(CODE_OFFSET)).to_le_bytes()); // entry
    image.extend_from_slice(&u64::from(ELF_HEADER_LEN).to_le_bytes()); // program headers follow
    image.extend_from_slice(&0_u64.to_le_bytes()); // no section headers
    image.extend_from_slice(&0_u32.to_le_bytes()); // flags
    for half in [ELF_HEADER_LEN, PROGRAM_HEADER_LEN, PROGRAM_HEADERS, 0, 0, 0] {
        image.extend_from_slice(&half.to_le_bytes());
    }
}

fn program_header(image: &mut Vec<u8>, kind: u32, flags: u32, address: u64, len: u64, align: u64) {
    image.extend_from_slice(&kind.to_le_bytes());
    image.extend_from_slice(&flags.to_le_bytes());
    for word in [0, address, address, len, len, align] {
        image.extend_from_slice(&word.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_programs_do_what_they_say() {
        let dir = std::env::temp_dir().join(format!("linnet-live-program-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let nap = Duration::from_millis(1030);
        for (number, (behaviour, code, signal)) in [
            (Behaviour::Exit(0), Some(0), None),
            (Behaviour::Exit(42), Some(42), None),
            (Behaviour::Sleep(nap, 7), Some(7), None),
            (Behaviour::Crash, None, Some(11)),
        ]
        .into_iter()
        .enumerate()
        {
            let program = Program::write(dir.join(number.to_string()), behaviour, "salt").unwrap();
            let start = Instant::now();
            let status = Command::new(&program.path).arg("token").env_clear().status().unwrap();
            assert_eq!((status.code(), status.signal()), (code, signal), "{behaviour:?}");
            assert_eq!(matches!(behaviour, Behaviour::Sleep(..)), start.elapsed() >= nap, "{behaviour:?}");
            assert_eq!(sha256(&fs::read(&program.path).unwrap()), program.sha256);
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
