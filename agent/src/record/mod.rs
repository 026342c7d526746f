//! Records of the ring, checked and given names: bytes in, typed and borrowed values out.
//!
//! A record is data from another program, which may be of another release (pinned maps) or damaged: every length is
//! checked against the record, nothing panics, and what does not fit is a [`DecodeError`] that the caller counts.

mod names;

pub use names::Path;

use linnet_ebpf::{Header, KIND_EXEC, KIND_EXIT, KIND_FORK, PathSpan, RECORD_VERSION, Span};
use zerocopy::FromBytes;

/// Why a record was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than its layout needs.
    #[error("a record of {got} bytes, where {need} are needed")]
    Short {
        /// Bytes there.
        got: usize,
        /// Bytes needed.
        need: usize,
    },
    /// A kind that this release does not know.
    #[error("record kind {0} is not known")]
    Kind(u16),
    /// Layouts of another release.
    #[error("record version {0}, where {RECORD_VERSION} is known")]
    Version(u16),
}

/// A checked record.
#[derive(Debug)]
pub enum Record<'r> {
    /// A process was made.
    Fork(Fork<'r>),
    /// A process replaced its image.
    Exec(Box<Exec<'r>>),
    /// A process ended.
    Exit(&'r linnet_ebpf::Exit),
}

/// A fork, with its tail.
#[derive(Debug)]
pub struct Fork<'r> {
    /// Fixed part.
    pub body: &'r linnet_ebpf::Fork,
    /// cgroup path.
    pub cgroup: Path<'r>,
}

/// An exec, with its tail.
#[derive(Debug)]
pub struct Exec<'r> {
    /// Fixed part.
    pub body: &'r linnet_ebpf::Exec,
    /// Arguments, each ended by a NUL, the last one perhaps cut.
    pub argv: &'r [u8],
    /// Path as given to exec.
    pub filename: &'r [u8],
    /// Interpreter as the script names it; empty when there is none.
    pub interp: &'r [u8],
    /// Path of the executable.
    pub exe: Path<'r>,
    /// Path of the script.
    pub script: Path<'r>,
    /// Working directory.
    pub cwd: Path<'r>,
    /// cgroup path.
    pub cgroup: Path<'r>,
}

/// Kind of a record, for counting, even of one that is otherwise not understood.
pub fn kind(bytes: &[u8]) -> Option<u16> {
    Some(Header::ref_from_prefix(bytes).ok()?.0.kind)
}

/// Checks a record.
///
/// # Errors
/// [`DecodeError`]; the stream can go on with the next record.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, DecodeError> {
    let header = fixed::<Header>(bytes)?.0;
    if header.version != RECORD_VERSION {
        return Err(DecodeError::Version(header.version));
    }
    match header.kind {
        KIND_FORK => {
            let (body, rest) = fixed::<linnet_ebpf::Fork>(bytes)?;
            let mut tail = Tail { rest, record_len: bytes.len() };
            Ok(Record::Fork(Fork { body, cgroup: tail.names(body.cgroup)? }))
        }
        KIND_EXEC => decode_exec(bytes).map(|exec| Record::Exec(Box::new(exec))),
        KIND_EXIT => Ok(Record::Exit(fixed::<linnet_ebpf::Exit>(bytes)?.0)),
        kind => Err(DecodeError::Kind(kind)),
    }
}

/// Checks a record that is known to be an exec.
///
/// # Errors
/// As [`decode`].
pub fn decode_exec(bytes: &[u8]) -> Result<Exec<'_>, DecodeError> {
    let (body, rest) = fixed::<linnet_ebpf::Exec>(bytes)?;
    let mut tail = Tail { rest, record_len: bytes.len() };
    Ok(Exec {
        body,
        argv: tail.take(body.argv_len as usize)?,
        filename: without_nul(tail.take(usize::from(body.filename.len))?),
        interp: without_nul(tail.take(usize::from(body.interp.len))?),
        exe: tail.path(body.exe_path)?,
        script: tail.path(body.script_path)?,
        cwd: tail.path(body.cwd)?,
        cgroup: tail.names(body.cgroup)?,
    })
}

fn fixed<T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable>(
    bytes: &[u8],
) -> Result<(&T, &[u8]), DecodeError> {
    T::ref_from_prefix(bytes).map_err(|_| DecodeError::Short { got: bytes.len(), need: size_of::<T>() })
}

fn without_nul(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(&[0]).unwrap_or(bytes)
}

struct Tail<'r> {
    rest: &'r [u8],
    record_len: usize,
}

impl<'r> Tail<'r> {
    fn take(&mut self, len: usize) -> Result<&'r [u8], DecodeError> {
        let short =
            DecodeError::Short { got: self.record_len, need: self.record_len - self.rest.len() + len };
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn names(&mut self, span: Span) -> Result<Path<'r>, DecodeError> {
        Ok(Path { below: self.take(usize::from(span.len))?, above: &[], bind: &[], flags: span.flags })
    }

    fn path(&mut self, span: PathSpan) -> Result<Path<'r>, DecodeError> {
        Ok(Path {
            below: self.take(usize::from(span.below))?,
            above: self.take(usize::from(span.above))?,
            bind: self.take(usize::from(span.bind))?,
            flags: span.flags,
        })
    }
}

#[cfg(test)]
mod tests;
