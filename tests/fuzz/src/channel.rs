//! What the client of a channel reads out of headers, without the client.

#[path = "../../../fleet/src/channel/backoff.rs"]
mod backoff;
#[path = "../../../fleet/src/channel/error.rs"]
mod error;
#[path = "../../../fleet/src/channel/reply.rs"]
mod reply;
#[path = "../../../fleet/src/channel/transport.rs"]
mod transport;
#[path = "../../../fleet/src/channel/url.rs"]
mod url;

use ureq::http::{HeaderMap, Uri};

pub use backoff::Backoff;
pub use reply::retry_after;

/// Whether a range begins where it was asked from, and where a redirect leads; the validators are only kept.
pub fn read(headers: &HeaderMap, from: &Uri, start: u64) -> (bool, Result<Uri, String>) {
    let validators = reply::validators(headers);
    assert!(validators.is_empty() || validators.etag.is_some() || validators.last_modified.is_some());
    (reply::range_begins(headers, start), reply::redirect(from, headers))
}
