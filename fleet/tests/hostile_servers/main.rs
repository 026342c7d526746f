//! Hostile servers: each case is named, runs against a real socket, and ends in its own error within seconds.
//!
//! After each: every stored document is as it was or one that was really published, no other file lies there, and the
//! next refresh and download from a good server come out.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test's own building blocks: a panic is its failure"
)]

use std::io::Write;

mod downloads;
mod host;
mod metadata;
mod proxy;
mod published;
mod server;
mod stored;
mod tls;

#[test]
fn no_server_changes_what_is_trusted_or_holds_the_host_up() {
    let counts = std::thread::scope(|scope| {
        [metadata::all, downloads::all, stored::all, tls::all, proxy::all]
            .map(|suite| scope.spawn(suite))
            .map(|running| running.join().unwrap())
    });
    let [metadata, downloads, stored, tls, proxy] = counts;
    let all: usize = counts.iter().sum();
    // Not `println!`, which a passing test hides: the count is part of what the suite says.
    writeln!(
        std::io::stdout(),
        "hostile servers: {all} cases ({metadata} metadata, {downloads} downloads, {stored} stored, {tls} tls, {proxy} \
         proxy)"
    )
    .unwrap();
    assert!(all > 100);
}
