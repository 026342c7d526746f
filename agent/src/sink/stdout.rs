//! Standard output.

use std::io::{self, Write};

use super::{Sink, SinkError};

/// Lines to standard output, unbuffered beyond the batch.
pub struct Stdout;

impl Sink for Stdout {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn write(&mut self, lines: &[u8], _kinds: &[u8]) -> Result<(), SinkError> {
        let mut out = io::stdout().lock();
        out.write_all(lines)
            .and_then(|()| out.flush())
            .map_err(|error| SinkError::new("standard output", error))
    }
}
