//! A release that the publisher takes back while hosts run it: they leave it, and tell.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::Tools;
use crate::channel::{Channel, Made, release_path};
use crate::host::{Host, Stage, text};
use crate::score::Score;

/// Runs the suite.
pub fn run(tools: &Tools, score: &mut Score) -> anyhow::Result<()> {
    let stage = Stage::new(tools)?;
    score.one("a revoked release is left for what the channel wants, waves or not", to_wanted(tools, &stage));
    score.one(
        "a revoked release is left for the one before, when nothing else is wanted",
        to_previous(tools, &stage),
    );
    score.one(
        "a revoked release is left though the settings still give it to hosts",
        still_given(tools, &stage),
    );
    score.one("a revoked release before is not gone back to", previous_revoked_too(tools, &stage));
    score.one(
        "a revoked release is left although the one that is wanted is bad",
        wanted_is_bad(tools, &stage),
    );
    score.one("the operator's word keeps a revoked release", held(tools, &stage));
    score.one("a rollback by hand to a revoked release is undone by the next run", by_hand(tools, &stage));
    Ok(())
}

/// A host that runs 0.2.0 and has 0.1.0 before it, and the publisher of its channel.
fn begun(tools: &Tools, stage: &Stage) -> anyhow::Result<(Host, Channel)> {
    let host = stage.host(tools, "0.2.0")?;
    let mut channel = stage.branch()?;
    channel.add(
        &Made { version: "0.4.0", behaviour: "good", floor: "0.1.0" },
        &tools.agent,
        &tools.updater,
    )?;
    channel.publish(Some("0.2.0"))?;
    host.follow(&channel.dir)?;
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.2.0")?;
    Ok((host, channel))
}

/// `status` and `history` name the release and say why.
fn tells(host: &Host, version: &str) -> anyhow::Result<()> {
    let status = host.status()?;
    let failures = status.pointer("/failures").and_then(Value::as_array).context("no failures")?;
    let told = failures.iter().any(|failed| {
        text(failed, "/version") == version
            && failed.get("blocked") == Some(&Value::Bool(true))
            && text(failed, "/last/why").contains("revoked by the publisher")
    });
    ensure!(told, "status does not tell: {status}");
    for command in ["status", "history"] {
        host.run(&[command], &[])?.ended(0, "revoked by the publisher").context(command)?;
    }
    Ok(())
}

fn to_wanted(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let (host, mut channel) = begun(tools, stage)?;
    let update = |release: &str| {
        json!({
            "release": release_path(release),
            "salt": "s",
            "waves": [{"at": "2099-01-01T00:00:00Z", "permille": 1000}],
        })
    };
    channel.publish_update(&update("0.4.0"))?;
    host.run(&["update"], &[])?.ended(0, "waits for its wave")?;
    host.check("0.2.0")?;
    channel.revoke("0.2.0")?;
    channel.publish_update(&update("0.4.0"))?;
    host.run(&["check"], &[])?.ended(10, "was revoked; 0.4.0")?;
    host.run(&["run"], &[])?.ended(0, "0.4.0")?;
    host.check("0.4.0")?;
    host.run(&["history"], &[])?.ended(0, "was revoked by the publisher")?;
    // What is before it now is the revoked one.
    ensure!(
        host.link("previous").is_some_and(|name| name.starts_with("0.2.0")),
        "{:?}",
        host.link("previous")
    );
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.4.0")
}

fn to_previous(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let (host, mut channel) = begun(tools, stage)?;
    channel.revoke("0.2.0")?;
    channel.publish_update(&json!({}))?;
    host.run(&["check"], &[])?.ended(10, "revoked")?;
    host.run(&["run"], &[])?.ended(30, "revoked by the publisher")?;
    host.check("0.1.0")?;
    tells(&host, "0.2.0")?;
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.1.0")
}

fn still_given(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let (host, mut channel) = begun(tools, stage)?;
    channel.revoke("0.2.0")?;
    channel.publish(Some("0.2.0"))?;
    host.run(&["update"], &[])?.ended(30, "revoked by the publisher")?;
    host.check("0.1.0")?;
    tells(&host, "0.2.0")?;
    // From now on it is the publisher's mistake, and told as one.
    host.run(&["update"], &[])?.ended(21, "may have been revoked")?;
    host.check("0.1.0")?;
    channel.publish(Some("0.4.0"))?;
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.4.0")
}

fn previous_revoked_too(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let (host, mut channel) = begun(tools, stage)?;
    channel.revoke("0.2.0")?;
    channel.revoke("0.1.0")?;
    channel.publish_update(&json!({}))?;
    let done = host.run(&["update"], &[])?;
    done.ended(22, "0.1.0")?;
    done.ended(22, "was revoked too")?;
    done.ended(22, "publish a release for this host")?;
    host.check("0.2.0")?;
    channel.publish(Some("0.4.0"))?;
    host.run(&["update"], &[])?.ended(0, "")?;
    host.check("0.4.0")
}

fn wanted_is_bad(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let (host, mut channel) = begun(tools, stage)?;
    channel.revoke("0.2.0")?;
    channel.publish(Some("0.3.0"))?;
    // It fails here, so the host is back on the revoked one, and the next run leaves that for the one before.
    host.run(&["run"], &[])?.ended(30, "0.3.0")?;
    host.check("0.2.0")?;
    host.run(&["run"], &[])?.ended(30, "revoked by the publisher")?;
    host.check("0.1.0")?;
    tells(&host, "0.2.0")
}

fn held(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let (host, mut channel) = begun(tools, stage)?;
    channel.revoke("0.2.0")?;
    channel.publish_update(&json!({}))?;
    for word in [&["disable"][..], &["pin", "0.2.0"]] {
        host.run(word, &[])?.ended(0, "")?;
        host.run(&["update"], &[])?.ended(11, "")?;
        host.run(&["run"], &[])?.ended(0, "")?;
        host.check("0.2.0")?;
        host.run(&["enable"], &[])?.ended(0, "")?;
    }
    host.run(&["unpin"], &[])?.ended(0, "")?;
    host.run(&["run"], &[])?.ended(30, "revoked by the publisher")?;
    host.check("0.1.0")
}

fn by_hand(tools: &Tools, stage: &Stage) -> anyhow::Result<()> {
    let (host, mut channel) = begun(tools, stage)?;
    channel.revoke("0.1.0")?;
    channel.publish(Some("0.2.0"))?;
    host.run(&["update"], &[])?.ended(0, "")?;
    // The operator of the host has the last word on what runs, until the channel is asked again.
    host.run(&["rollback"], &[])?.ended(0, "")?;
    host.check("0.1.0")?;
    host.run(&["retry"], &[])?.ended(0, "")?;
    host.run(&["run"], &[])?.ended(0, "0.2.0")?;
    host.check("0.2.0")
}
