//! Kill at every step: each point that a run passes is one at which it is killed, and the next runs have to put it right.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, ensure};

use crate::Tools;
use crate::host::{Host, Stage, text};
use crate::score::Score;

/// A run that is killed, and what is to come of it in the end.
struct Scenario {
    name: &'static str,
    /// The release that the channel wants.
    wanted: &'static str,
    arguments: &'static [&'static str],
    /// The release that is to be installed after the next `update`.
    ends_with: &'static str,
}

const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "good update", wanted: "0.2.0", arguments: &["update"], ends_with: "0.2.0" },
    Scenario { name: "update that rolls back", wanted: "0.3.2", arguments: &["update"], ends_with: "0.1.0" },
    Scenario { name: "rollback by hand", wanted: "0.2.0", arguments: &["rollback"], ends_with: "0.1.0" },
];

/// Where a run is killed, and where the run after it.
struct Case {
    first: usize,
    second: Option<usize>,
}

/// Runs the suite.
pub fn run(tools: &Tools, score: &mut Score) -> anyhow::Result<()> {
    let stage = Stage::new(tools)?;
    let mut names = BTreeSet::new();
    for scenario in &SCENARIOS {
        let points = points(tools, &stage, scenario)?;
        names.extend(points.iter().cloned());
        let mut cases: Vec<_> = (1..=points.len()).map(|first| Case { first, second: None }).collect();
        // The second kill meets the recovery of the first; early in it, and further on.
        for first in 1..=points.len() {
            for second in [1, 2, 4, 7, 11] {
                if (first + second) % 3 == 0 {
                    cases.push(Case { first, second: Some(second) });
                }
            }
        }
        let what = format!("killed in a {} ({} points passed)", scenario.name, points.len());
        score.many(&what, tools.jobs, &cases, |case| {
            one(tools, &stage, scenario, case).with_context(|| {
                let point = points.get(case.first - 1).cloned().unwrap_or_default();
                format!("at {} ({point}), then {:?}", case.first, case.second)
            })
        });
    }
    let install = first_install(tools, &stage)?;
    names.extend(install.iter().cloned());
    let cases: Vec<_> = (1..=install.len()).collect();
    score.many("killed in a first install", tools.jobs, &cases, |at| {
        let host = Host::new(tools)?;
        let channel = stage.channel("0.1.0");
        host.follow(&channel)?;
        kill_at(&host, &install_arguments(&stage), *at)?;
        let done = host.install(&channel)?;
        ensure!(done.code == Some(0), "at {at}: install again ended with {:?}: {}", done.code, done.said);
        host.check("0.1.0").with_context(|| format!("at {at}: {}", done.said))
    });
    println!("kill points met: {} names: {}", names.len(), names.into_iter().collect::<Vec<_>>().join(" "));
    Ok(())
}

fn prepared(tools: &Tools, stage: &Stage, scenario: &Scenario) -> anyhow::Result<Host> {
    let host = stage.host(tools, scenario.wanted)?;
    if scenario.arguments == ["rollback"] {
        let done = host.run(&["update"], &[])?;
        ensure!(done.code == Some(0), "update before the rollback: {:?}: {}", done.code, done.said);
    }
    Ok(host)
}

/// The points that the run passes when nobody kills it.
fn points(tools: &Tools, stage: &Stage, scenario: &Scenario) -> anyhow::Result<Vec<String>> {
    let host = prepared(tools, stage, scenario)?;
    logged(&host, scenario.arguments)
}

fn first_install(tools: &Tools, stage: &Stage) -> anyhow::Result<Vec<String>> {
    let host = Host::new(tools)?;
    host.follow(&stage.channel("0.1.0"))?;
    let arguments = install_arguments(stage);
    logged(&host, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn install_arguments(stage: &Stage) -> Vec<String> {
    let channel = stage.channel("0.1.0");
    let root = channel.join("1.root.json");
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    vec!["install".to_owned(), "--from".to_owned(), text(&channel), "--root".to_owned(), text(&root)]
}

fn logged(host: &Host, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
    let log = host.root.join("points");
    let done = host.run(arguments, &[("LINNET_KILL_LOG", &log.to_string_lossy())])?;
    let text = fs::read_to_string(&log).with_context(|| {
        format!("no point was passed; was the updater built with kill-points? {}", done.said)
    })?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn kill_at(host: &Host, arguments: &[impl AsRef<str>], at: usize) -> anyhow::Result<()> {
    let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
    let done = host.run(&arguments, &[("LINNET_KILL_AT", &at.to_string())])?;
    ensure!(done.code.is_none(), "it was not killed but ended with {:?}: {}", done.code, done.said);
    Ok(())
}

fn one(tools: &Tools, stage: &Stage, scenario: &Scenario, case: &Case) -> anyhow::Result<()> {
    let host = prepared(tools, stage, scenario)?;
    kill_at(&host, scenario.arguments, case.first)?;
    host.linked().context("right after the kill")?;
    if let Some(second) = case.second {
        // The recovery may be over before it passes that many points.
        host.run(&["recover"], &[("LINNET_KILL_AT", &second.to_string())])?;
        host.linked().context("right after the second kill")?;
    }
    host.settle()?;
    host.linked().context("after recover")?;
    let done = host.run(&["update"], &[])?;
    let status = host.status()?;
    let expected = match (scenario.arguments, Some(text(&status, "/installed/version"))) {
        // Killed before the word was heard: the release that the channel wants stays.
        (["rollback"], Some("0.2.0")) => "0.2.0",
        // Two cuts in probation are held against the release: it may be what brings the host down.
        (["update"], Some("0.1.0")) if case.second.is_some() && cut_off_twice(&status) => "0.1.0",
        _ => scenario.ends_with,
    };
    host.check(expected).with_context(|| format!("after update ({:?}): {}", done.code, done.said))
}

fn cut_off_twice(status: &serde_json::Value) -> bool {
    let whys = status["failures"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|failed| failed.pointer("/last/why")?.as_str());
    whys.into_iter().any(|why| why == "probation was cut off again")
}
