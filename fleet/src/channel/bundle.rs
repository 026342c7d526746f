//! A channel out of a bundle: the transport for hosts that are brought one file.

use super::error::ChannelError;
use super::transport::{Body, Get, Reply, Transport, Validators};
use crate::bundle::Bundle;

impl Transport for Bundle {
    fn get(&self, get: &Get<'_>) -> Result<Reply, ChannelError> {
        let Some(mut reader) = Self::get(self, get.path) else { return Ok(Reply::Absent) };
        let start = reader.skip(get.from.map_or(0, |(from, _)| from));
        if reader.left() > get.max_bytes {
            return Err(ChannelError::TooLong { url: self.url(get.path), cap: get.max_bytes });
        }
        Ok(Reply::Found(Body { reader: Box::new(reader), start, validators: Validators::default() }))
    }

    fn url(&self, path: &str) -> String {
        format!("{}:{path}", self.path().display())
    }
}
