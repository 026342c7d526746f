//! The program that a storm executes: a static ELF file of one page, written at run time so that no compiler is needed.
//!
//! It is as small as the kernel allows, because the benchmark is about what a sensor adds to an exec: whatever the
//! program itself did would only dilute that.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("src/program.rs holds machine code for x86-64 only: add this processor's exit(0)");

/// The file's length: one page, so that mapping it costs what mapping any small program costs.
const IMAGE_LEN: usize = 4096;
/// Where the page is mapped.
const BASE_ADDRESS: u64 = 0x40_0000;
const ELF_HEADER_LEN: u16 = 64;
const PROGRAM_HEADER_LEN: u16 = 56;
/// One `PT_LOAD` and one `PT_GNU_STACK`, the latter to have an ordinary stack that is not executable.
const PROGRAM_HEADERS: u16 = 2;
const CODE_OFFSET: u16 = ELF_HEADER_LEN + PROGRAM_HEADERS * PROGRAM_HEADER_LEN;

/// `exit(0)`.
const EXIT: &[u8] = &[
    0x31, 0xff, // xor edi, edi
    0xb8, 60, 0, 0, 0, // mov eax, SYS_exit
    0x0f, 0x05, // syscall
];

/// `fork()`; the parent waits for the child; both `exit(0)`. `exit(1)` where the fork is refused.
const FORK: &[u8] = &[
    0xb8, 57, 0, 0, 0, // mov eax, SYS_fork
    0x0f, 0x05, // syscall
    0x85, 0xc0, // test eax, eax
    0x78, 0x1c, // js refused
    0x74, 0x11, // jz exit
    0x83, 0xcf, 0xff, // or edi, -1
    0x31, 0xf6, // xor esi, esi
    0x31, 0xd2, // xor edx, edx
    0x45, 0x31, 0xd2, // xor r10d, r10d
    0xb8, 61, 0, 0, 0, // mov eax, SYS_wait4
    0x0f, 0x05, // syscall
    0x31, 0xff, // exit: xor edi, edi
    0xb8, 60, 0, 0, 0, // mov eax, SYS_exit
    0x0f, 0x05, // syscall
    0xbf, 1, 0, 0, 0, // refused: mov edi, 1
    0xb8, 60, 0, 0, 0, // mov eax, SYS_exit
    0x0f, 0x05, // syscall
];

/// What the program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// Exits at once.
    Exit,
    /// Forks a child that exits without an exec, waits for it, and exits.
    ForkAndExit,
}

/// A program that was written to disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Where it lies.
    pub path: PathBuf,
    /// The SHA-256 of the file in lower-case hexadecimal digits.
    pub sha256: String,
}

/// The bytes of the program.
#[must_use]
pub fn image(behaviour: Behaviour) -> Vec<u8> {
    let code = match behaviour {
        Behaviour::Exit => EXIT,
        Behaviour::ForkAndExit => FORK,
    };
    let mut image = Vec::with_capacity(IMAGE_LEN);
    elf_header(&mut image);
    // PT_LOAD, readable and executable: the whole file.
    program_header(&mut image, 1, 5, BASE_ADDRESS, IMAGE_LEN as u64, 0x1000);
    // PT_GNU_STACK, readable and writable.
    program_header(&mut image, 0x6474_e551, 6, 0, 0, 16);
    image.extend_from_slice(code);
    image.resize(IMAGE_LEN, 0);
    image
}

fn elf_header(image: &mut Vec<u8>) {
    // 64 bit, little endian, version 1, System V.
    image.extend_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    image.extend_from_slice(&2u16.to_le_bytes()); // ET_EXEC
    image.extend_from_slice(&62u16.to_le_bytes()); // EM_X86_64
    image.extend_from_slice(&1u32.to_le_bytes());
    image.extend_from_slice(&(BASE_ADDRESS + u64::from(CODE_OFFSET)).to_le_bytes()); // entry
    image.extend_from_slice(&u64::from(ELF_HEADER_LEN).to_le_bytes()); // program headers follow
    image.extend_from_slice(&0u64.to_le_bytes()); // no section headers
    image.extend_from_slice(&0u32.to_le_bytes()); // flags
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

/// Writes the program into `dir` and makes it executable. One that is there already stays as it is: a sensor may still
/// be about to read it, and would find another change time than the kernel saw.
///
/// # Errors
/// The file cannot be written.
pub fn write(dir: &Path, behaviour: Behaviour) -> Result<Program, Error> {
    let name = match behaviour {
        Behaviour::Exit => "linnet-bench-exit",
        Behaviour::ForkAndExit => "linnet-bench-fork",
    };
    let path = dir.join(name);
    let image = image(behaviour);
    if fs::read(&path).ok().as_ref() != Some(&image) {
        fs::write(&path, &image).map_err(Error::file("write", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(Error::file("make executable", &path))?;
    }
    let sha256 = Sha256::digest(&image).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Program { path, sha256 })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn both_programs_run_and_exit_with_zero() {
        let dir = tempfile::tempdir().unwrap();
        for behaviour in [Behaviour::Exit, Behaviour::ForkAndExit] {
            let program = write(dir.path(), behaviour).unwrap();
            let status = Command::new(&program.path).arg("token").env_clear().status().unwrap();
            assert_eq!(status.code(), Some(0), "{behaviour:?}");
        }
    }

    #[test]
    fn a_program_that_is_there_is_not_touched_and_another_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let program = write(dir.path(), Behaviour::Exit).unwrap();
        let changed = || fs::metadata(&program.path).unwrap().modified().unwrap();
        let before = changed();
        write(dir.path(), Behaviour::Exit).unwrap();
        assert_eq!(changed(), before);
        fs::write(&program.path, "other").unwrap();
        write(dir.path(), Behaviour::Exit).unwrap();
        assert_eq!(fs::read(&program.path).unwrap(), image(Behaviour::Exit));
    }

    #[test]
    fn the_program_is_one_page() {
        assert_eq!(image(Behaviour::Exit).len(), 4096);
        assert_eq!(image(Behaviour::ForkAndExit).len(), 4096);
    }

    #[test]
    fn the_digest_is_of_the_file_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let program = write(dir.path(), Behaviour::Exit).unwrap();
        let output = Command::new("sha256sum").arg(&program.path).output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().starts_with(&program.sha256));
    }
}
