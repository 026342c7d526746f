//! The parts of the page, from what is urgent to what is for reference.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp as Time};
use linnet_fleet::rollout::{Match, Override};
use linnet_keys::metadata::{RoleName, TargetFile};
use linnet_keys::release::{self, Package, Plugin, Release};
use serde_json::Value;

use super::html::Html;
use super::{View, rollout, when};
use crate::command::config::offered;
use crate::command::difference::difference;

/// Lines of a list that are shown; a document may have thousands.
const MAX_LINES: usize = 200;

pub(super) fn write(out: &mut Html, view: &View<'_>) -> Result<()> {
    head(out, view)?;
    warnings(out, view)?;
    update(out, view);
    settings(out, view);
    overrides(out, view);
    packages(out, view)?;
    roles(out, view)?;
    out.raw("<footer><p>This page is for people. It is not signed, no host reads it, and whoever can write to this server can change it. ");
    out.raw("What is signed is what <code>linnet-keys verify --root 1.root.json</code> checks, and what hosts follow. ");
    out.raw("Times are UTC; the marks of what is now are by the clock of your browser.</p></footer>");
    Ok(())
}

fn head(out: &mut Html, view: &View<'_>) -> Result<()> {
    out.raw("<header><h1>Linnet channel</h1><p class=\"soft\">published ");
    when(out, view.now, view.now);
    out.raw("</p></header><div class=\"facts\">");
    let mut fact = |title: &str, note: &'static str| {
        out.raw("<div class=\"fact\"><b>").text(title).raw("</b><span>").raw(note).raw("</span></div>");
    };
    let newest = releases(view)?.into_iter().map(|(release, ..)| release.version).max();
    fact(&newest.map_or_else(|| "none".to_owned(), |version| version.to_string()), "newest release");
    let version = view.document.as_ref().map(|(_, document)| document.version);
    fact(
        &version.map_or_else(|| "none".to_owned(), |version| version.to_string()),
        "version of the settings",
    );
    let overrides = view.document.as_ref().map_or(0, |(_, document)| document.overrides.len());
    fact(&overrides.to_string(), "overrides");
    fact(&view.channel.version("timestamp").to_string(), "times published");
    out.raw("</div>");
    Ok(())
}

/// When a document of a role becomes due: the time at which `linnet-keys refresh` or `renew` should have been run.
fn due(view: &View<'_>, role: &str, expires: Time) -> Time {
    let life = view.clock.life.unwrap_or_else(|| crate::draft::lifetime(role));
    let share = if life > SignedDuration::from_hours(24 * 60) { 3 } else { 2 };
    expires.checked_sub(life / share).unwrap_or(expires)
}

fn state(expires: Time, due: Time, now: Time) -> &'static str {
    match (expires <= now, due <= now) {
        (true, _) => "bad",
        (false, true) => "due",
        (false, false) => "",
    }
}

/// Every role has its line here, shown when it is due: the page may be looked at long after it was written.
fn warnings(out: &mut Html, view: &View<'_>) -> Result<()> {
    let mut urgent = false;
    out.raw("<ul class=\"warnings\">");
    for role in view.channel.roles() {
        let expires = view.channel.expires(role)?;
        let due = due(view, role, expires);
        let state = state(expires, due, view.now);
        urgent |= !state.is_empty();
        let how = match role {
            "snapshot" | "timestamp" => "run linnet-keys refresh".to_owned(),
            role => format!("run linnet-keys renew {role} where its keys are"),
        };
        let bad = format!("{role} has expired: hosts take no changes, and what they have goes on; {how}");
        let soon = format!("{role} expires on {}: {how}", rollout::minute(expires));
        out.raw("<li class=\"")
            .raw(state)
            .raw("\" data-expires=\"")
            .show(expires)
            .raw("\" data-due=\"")
            .show(due);
        out.raw("\" data-bad=\"").text(&bad).raw("\" data-soon=\"").text(&soon).raw("\"");
        out.raw(if state.is_empty() { " hidden>" } else { ">" });
        out.text(if state == "bad" { &bad } else { &soon }).raw("</li>");
    }
    if let Some((_, document)) = &view.document
        && document.update.as_ref().is_some_and(|update| update.halt)
    {
        urgent = true;
        out.raw("<li class=\"bad\">The rollout of releases is halted: no host changes its release.</li>");
    }
    let left: Vec<_> = view
        .document
        .iter()
        .flat_map(|(value, _)| offered(value))
        .filter(|path| revoked(view, path))
        .collect();
    for path in &left {
        urgent = true;
        out.raw("<li class=\"bad\">The settings offer <code>")
            .text(path)
            .raw("</code>, which was revoked: no host takes it.</li>");
    }
    out.raw(if urgent { "<li class=\"well\" hidden>" } else { "<li class=\"well\">" });
    out.raw("Everything signed is fresh, and nothing is due.</li></ul>");
    Ok(())
}

fn revoked(view: &View<'_>, path: &str) -> bool {
    let Ok(targets) = view.channel.targets("targets") else { return false };
    // A revoked package is taken out of the targets.
    path.starts_with("release/") && !targets.targets.contains_key(path)
}

fn update(out: &mut Html, view: &View<'_>) {
    out.raw("<section class=\"card\"><h2>Rollout</h2>");
    let document = view.document.as_ref();
    match document.and_then(|(value, document)| Some((value, document.update.as_ref()?))) {
        None => {
            out.raw("<p class=\"soft\">The settings name no release: every host keeps what it has.</p>");
        }
        Some((value, update)) => {
            let main = value.get("update").map(|update| serde_json::json!({ "update": update }));
            for path in main.iter().flat_map(offered) {
                out.raw("<p><code>").text(&path).raw("</code></p>");
            }
            if update.waves.is_empty() {
                out.raw(if update.halt {
                    "<p><span class=\"badge bad\">halted</span> No host changes.</p>"
                } else {
                    "<p><span class=\"badge\">everybody</span> All hosts may take it at once: there are no waves.</p>"
                });
            }
            rollout::draw(out, &update.waves, update.halt, view.now);
            if let Some(window) = &update.window {
                out.raw("<p class=\"soft\">Only from ")
                    .show(window.from)
                    .raw(" to ")
                    .show(window.to)
                    .raw(" UTC");
                if let Some(days) = &window.days {
                    let days: Vec<_> = days.iter().map(|day| format!("{day:?}")).collect();
                    out.raw(", on ").text(&days.join(", "));
                }
                out.raw(".</p>");
            }
        }
    }
    out.raw("</section>");
}

fn lines(out: &mut Html, lines: &[String]) {
    out.raw("<ul>");
    for line in lines.iter().take(MAX_LINES) {
        out.raw("<li><code>").text(line).raw("</code></li>");
    }
    out.raw("</ul>");
    if lines.len() > MAX_LINES {
        out.raw("<p class=\"soft\">and ").show(lines.len() - MAX_LINES).raw(" more</p>");
    }
}

fn settings(out: &mut Html, view: &View<'_>) {
    out.raw("<section class=\"card\"><h2>Settings</h2>");
    match &view.document {
        None => {
            out.raw("<p class=\"soft\">None were published: hosts have their own.</p>");
        }
        Some((value, document)) => {
            out.raw("<p>Version <b>").show(document.version).raw("</b>");
            match &view.former {
                Some((former, version)) => {
                    out.raw(", and what it changed since version ").show(version).raw(":</p>");
                    let changes = difference(former, value);
                    if changes.is_empty() {
                        out.raw("<p class=\"soft\">nothing but its number</p>");
                    }
                    lines(out, &changes);
                }
                None => {
                    out.raw(", the first:</p>");
                    lines(out, &difference(&Value::Null, value));
                }
            }
        }
    }
    out.raw("</section>");
}

fn overrides(out: &mut Html, view: &View<'_>) {
    let Some((_, document)) = view.document.as_ref().filter(|(_, document)| !document.overrides.is_empty())
    else {
        return;
    };
    out.raw("<section class=\"card\"><h2>Overrides</h2>");
    for Override { name, of, halt, patch } in document.overrides.iter().take(MAX_LINES) {
        out.raw("<div class=\"rule\"><h3>").text(name);
        if *halt {
            out.raw(" <span class=\"badge bad\">halted</span>");
        }
        out.raw("</h3><p class=\"soft\">").text(&whom(of)).raw("</p>");
        lines(
            out,
            &difference(&Value::Null, &Value::Object(patch.clone()))
                .iter()
                .map(|line| plain(line))
                .collect::<Vec<_>>(),
        );
        rollout::draw(out, of.waves.as_deref().unwrap_or_default(), *halt, view.now);
        out.raw("</div>");
    }
    out.raw("</section>");
}

/// A value that is there is not new on a page that has no before.
fn plain(line: &str) -> String {
    line.strip_suffix(" (new)").unwrap_or(line).to_owned()
}

fn whom(of: &Match) -> String {
    let mut words = Vec::new();
    if let Some(tags) = &of.tags {
        words.push(format!("tagged {}", tags.join(" or ")));
    }
    if let Some(hosts) = &of.hosts {
        let more = hosts.len().saturating_sub(5);
        let named: Vec<_> = hosts.iter().take(5).cloned().collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        words.push(format!("named {}{more}", named.join(", ")));
    }
    if let Some(share) = of.permille {
        words.push(format!("a share of {}", rollout::percent(share.get())));
    }
    if of.waves.is_some() {
        words.push("a share that grows by waves".to_owned());
    }
    if words.is_empty() { "for all hosts".to_owned() } else { format!("for hosts: {}", words.join("; ")) }
}

type Listed<'a> = (Release, &'a str, &'a TargetFile);

fn releases<'a>(view: &'a View<'_>) -> Result<Vec<Listed<'a>>> {
    let targets = view.channel.targets("targets")?;
    let mut releases: Vec<_> = targets
        .targets
        .iter()
        .filter_map(|(path, file)| match Package::from_custom(&file.custom).ok()? {
            Package::Release(release) => Some((release, path.as_str(), file)),
            Package::Plugin(_) => None,
        })
        .collect();
    releases.sort_by(|(one, a, _), (two, b, _)| two.version.cmp(&one.version).then(a.cmp(b)));
    Ok(releases)
}

fn packages(out: &mut Html, view: &View<'_>) -> Result<()> {
    out.raw("<section class=\"card\"><h2>Releases</h2>");
    let given: Vec<_> = view.document.iter().flat_map(|(value, _)| offered(value)).collect();
    let releases = releases(view)?;
    if releases.is_empty() {
        out.raw("<p class=\"soft\">None yet.</p>");
    }
    for (release, path, file) in releases {
        let Release { version, arch, minimum_kernel, security_floor, notes, .. } = release;
        out.raw("<div class=\"rule\"><h3>").show(version).raw(" for ").text(&arch);
        if given.iter().any(|given| given == path) {
            out.raw(" <span class=\"badge\">given to hosts</span>");
        }
        out.raw("</h3>");
        if !notes.is_empty() {
            out.raw("<p class=\"notes\">").text(&notes).raw("</p>");
        }
        out.raw("<p class=\"soft\">kernel ")
            .show(minimum_kernel)
            .raw(" or newer; whoever took it never goes below ");
        out.show(security_floor).raw(" again</p>");
        file_line(out, path, file);
        out.raw("</div>");
    }
    out.raw("</section>");
    let plugins = view.channel.targets("plugins")?;
    if !plugins.targets.is_empty() {
        out.raw("<section class=\"card\"><h2>Plugins</h2>");
        for (path, file) in &plugins.targets {
            let Ok(Package::Plugin(Plugin { name, version, arch, notes, .. })) =
                Package::from_custom(&file.custom)
            else {
                continue;
            };
            out.raw("<div class=\"rule\"><h3>")
                .text(&name)
                .raw(" ")
                .show(version)
                .raw(" for ")
                .text(&arch)
                .raw("</h3>");
            if !notes.is_empty() {
                out.raw("<p class=\"notes\">").text(&notes).raw("</p>");
            }
            file_line(out, path, file);
            out.raw("</div>");
        }
        out.raw("</section>");
    }
    let revoked = release::revoked(view.channel.targets("targets")?);
    if !revoked.is_empty() {
        out.raw("<section class=\"card\"><h2>Revoked</h2><p>No host takes these packages, and hosts that run one leave it.</p><ul>");
        for digest in revoked {
            out.raw("<li><code class=\"digest\">").show(digest).raw("</code></li>");
        }
        out.raw("</ul></section>");
    }
    Ok(())
}

fn file_line(out: &mut Html, path: &str, file: &TargetFile) {
    out.raw("<p><code>").text(path).raw("</code> <span class=\"soft\">");
    out.text(&size(file.length)).raw("</span><br><code class=\"digest\">sha256 ");
    match file.hashes.get_sha256() {
        Some(digest) => out.show(digest),
        None => out.raw("none"),
    };
    out.raw("</code></p>");
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..1_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

fn roles(out: &mut Html, view: &View<'_>) -> Result<()> {
    out.raw("<section class=\"card\"><h2>Keys</h2><p class=\"soft\">Who may sign what, and until when the newest signature holds.</p>");
    out.raw("<table><thead><tr><th>role</th><th>signs</th><th>keys</th><th>version</th><th>expires</th></tr></thead><tbody>");
    let signs = BTreeMap::from([
        ("root", "who signs what"),
        ("targets", "releases"),
        ("config", "settings and rollouts"),
        ("plugins", "plugins"),
        ("snapshot", "what goes together"),
        ("timestamp", "what is newest"),
    ]);
    for role in view.channel.roles() {
        let keys = match RoleName::from_name(role) {
            Some(name) => view.channel.root().role(name),
            None => match view.channel.targets("targets")?.delegation(role) {
                Some((_, delegation)) => &delegation.keys,
                None => continue,
            },
        };
        let expires = view.channel.expires(role)?;
        let due = due(view, role, expires);
        let state = state(expires, due, view.now);
        out.raw("<tr><td data-label=\"role\"><b>").text(role).raw("</b></td><td data-label=\"signs\">");
        out.text(signs.get(role).copied().unwrap_or("")).raw("</td><td data-label=\"keys\">");
        out.show(keys.threshold).raw(" of ").show(keys.keyids.len()).raw(": ");
        for (number, id) in keys.keyids.iter().enumerate() {
            out.raw(if number > 0 { ", <code>" } else { "<code>" }).text(id.short()).raw("</code>");
        }
        out.raw("</td><td data-label=\"version\">").show(view.channel.version(role));
        out.raw("</td><td data-label=\"expires\">");
        when(out, expires, view.now);
        out.raw(" <span class=\"badge ")
            .raw(state)
            .raw("\" data-expires=\"")
            .show(expires)
            .raw("\" data-due=\"")
            .show(due);
        out.raw("\" data-bad=\"expired\" data-soon=\"due\" data-well=\"fresh\">");
        out.raw(match state {
            "bad" => "expired",
            "due" => "due",
            _ => "fresh",
        });
        out.raw("</span></td></tr>");
    }
    out.raw("</tbody></table></section>");
    Ok(())
}
