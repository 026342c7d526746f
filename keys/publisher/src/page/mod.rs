//! `index.html` in the channel: what an operator sees of it in a browser.
//!
//! It is written at each publishing, atomically, after the moment of publishing: a page that can't be written is told and
//! stops nothing. It is *not* signed, hosts never read it, and it says so. It needs no network and no other file, and its
//! policy (`Content-Security-Policy`) allows its own style and script by their digests and nothing else. Whatever stands in
//! it that somebody wrote goes through [`html::Html::text`].

mod html;
mod rollout;
mod sections;

use anyhow::Result;
use base64::Engine as _;
use jiff::Timestamp as Time;
use linnet_fleet::rollout::FleetDocument;
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::html::Html;
use crate::channel::Channel;
use crate::command::config;
use crate::draft::Clock;
use crate::effect;

/// Its name in the channel.
pub const NAME: &str = "index.html";

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the page is about.
struct View<'a> {
    channel: &'a Channel,
    clock: Clock,
    now: Time,
    document: Option<(Value, FleetDocument)>,
    former: Option<(Value, u64)>,
}

/// Writes the page of the channel as it is on disk now.
pub fn write(channel: &Channel, clock: Clock) -> Result<()> {
    let html = page(channel, clock)?;
    effect::write(&channel.directory().join(NAME), html.as_bytes(), effect::PUBLIC)
}

fn page(channel: &Channel, clock: Clock) -> Result<String> {
    let document = config::current(channel)?;
    let version = document.as_ref().map_or(0, |(_, document)| document.version);
    let former = config::former(channel, version);
    let view = View { channel, clock, now: clock.now, document, former };
    let mut out = Html::default();
    out.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"").text(&policy()).raw("\">");
    out.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    out.raw(
        "<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">",
    );
    out.raw("<meta name=\"robots\" content=\"noindex\"><link rel=\"icon\" href=\"data:,\">");
    out.raw("<title>Linnet channel</title><style>").raw(STYLE).raw("</style></head><body><main>");
    sections::write(&mut out, &view)?;
    out.raw("</main><script>").raw(SCRIPT).raw("</script></body></html>\n");
    Ok(out.into_string())
}

/// Our own style and script, and nothing else from anywhere.
fn policy() -> String {
    let digest = |text: &str| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}

/// A time, and how far it is from now; the script keeps the second part true.
fn when(out: &mut Html, at: Time, now: Time) {
    out.raw("<time datetime=\"").show(at).raw("\">").text(&rollout::minute(at));
    out.raw("</time> <span class=\"soft\">(<span class=\"rel\" data-at=\"").show(at).raw("\">");
    out.text(&span(at, now)).raw("</span>)</span>");
}

/// As the script says it.
fn span(at: Time, now: Time) -> String {
    let seconds = at.as_second() - now.as_second();
    let (minutes, hours) = (seconds.abs() / 60, seconds.abs() / 3600);
    let (count, unit) = match hours {
        0 => (minutes, "minute"),
        1..48 => (hours, "hour"),
        _ => (hours / 24, "day"),
    };
    if count == 0 {
        return if seconds <= 0 { "just now" } else { "in less than a minute" }.to_owned();
    }
    let plural = if count == 1 { "" } else { "s" };
    if seconds < 0 { format!("{count} {unit}{plural} ago") } else { format!("in {count} {unit}{plural}") }
}
