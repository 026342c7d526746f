//! Holds a recording against containers that Docker ran: each exec inside carries the container's whole id and the hash
//! of the file as the container saw it.
//!
//! What Docker ran stands in a file, a fact a line, its words parted by spaces:
//!
//! ```text
//! program SHA256              the one program of the image
//! script SHA256               the script that exists only in the image
//! ran KIND TOKEN ID           a container with this id executed something with this argument
//! ```
//!
//! The kinds: `short` for a command that ends at once, `script` for the image's script, `exec` for what was started in a
//! container that runs, `nested` for a shell within a shell.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitStatus;

use serde_json::Value;

use crate::equation;
use crate::event::Event;
use crate::recording::Recording;
use crate::suite::Tally;
use crate::trouble::{Doing, Result, wrong};

/// Percent of the short-lived processes that must carry the right hash.
const HASHED_PERCENT: usize = 99;

struct Ran {
    kind: String,
    token: String,
    id: String,
}

#[derive(Default)]
struct Facts {
    program: String,
    script: String,
    ran: Vec<Ran>,
}

impl Facts {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).doing(path.display())?;
        let mut facts = Self::default();
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["program", sha256] => facts.program = (*sha256).to_owned(),
                ["script", sha256] => facts.script = (*sha256).to_owned(),
                ["ran", kind, token, id] => facts.ran.push(Ran {
                    kind: (*kind).to_owned(),
                    token: (*token).to_owned(),
                    id: (*id).to_owned(),
                }),
                _ => return wrong(format!("{}: this is no fact: {line:?}", path.display())),
            }
        }
        Ok(facts)
    }

    fn of<'f>(&'f self, kind: &'f str) -> impl Iterator<Item = &'f Ran> {
        self.ran.iter().filter(move |ran| ran.kind == kind)
    }
}

/// Checks, prints, and says whether all is well.
pub fn check(events: &Path, containers: &Path, health: Option<&Path>) -> bool {
    let mut tally = Tally::default();
    match read(events, containers, health) {
        Ok((run, facts)) => {
            tally.take("every_exec_in_a_container_carries_its_whole_id", whole_ids(&run, &facts));
            tally.take("short_lived_processes_carry_the_hash_of_the_images_program", hashes(&run, &facts));
            tally.take("the_end_of_each_process_carries_its_container", ends(&run, &facts));
            tally.take("a_script_of_the_image_is_told_with_content_and_hash", script(&run, &facts));
            tally.take("what_is_started_in_a_running_container_is_in_it", inside(&run, &facts, "exec"));
            tally.take("a_shell_within_a_shell_is_in_the_container", inside(&run, &facts, "nested"));
            if health.is_some() {
                let faults = equation::faults(&run.health);
                let sums = if faults.is_empty() { Ok(String::new()) } else { wrong(faults.join("; ")) };
                tally.take("the_loss_equation_holds", sums);
            }
        }
        Err(trouble) => tally.take("the_recording_can_be_read", Err(trouble)),
    }
    tally.finish()
}

fn read(events: &Path, containers: &Path, health: Option<&Path>) -> Result<(Recording, Facts)> {
    let health = match health {
        Some(path) => {
            let text = std::fs::read_to_string(path).doing(path.display())?;
            serde_json::from_str(&text).doing(path.display())?
        }
        None => Value::Null,
    };
    Ok((Recording::read(events, health, ExitStatus::default(), String::new())?, Facts::read(containers)?))
}

/// The execs of a container's own processes; Docker's client on the host has the token in its arguments too.
fn execs(run: &Recording, ran: &Ran) -> Result<Vec<Event>> {
    let mut execs = run.execs(&ran.token);
    execs.retain(|exec| {
        let line = exec.at("process.cmd_line").as_str().unwrap_or_default();
        let program = line.split(' ').next().unwrap_or_default();
        program != "docker" && !program.ends_with("/docker")
    });
    if execs.is_empty() { wrong(format!("no exec with {} in {}", ran.token, ran.id)) } else { Ok(execs) }
}

fn is_in(event: &Event, ran: &Ran) -> Result {
    if ran.id.len() != 64 {
        return wrong(format!("{} is no container id", ran.id));
    }
    event.has("process.container.uid", ran.id.as_str())?.has("process.container.runtime", "docker").map(drop)
}

fn whole_ids(run: &Recording, facts: &Facts) -> Result<String> {
    let mut count = 0;
    for ran in &facts.ran {
        for exec in execs(run, ran)? {
            is_in(&exec, ran)?;
            count += 1;
        }
    }
    Ok(format!("{count} execs in {} containers", facts.ran.len()))
}

fn hashes(run: &Recording, facts: &Facts) -> Result<String> {
    let (mut all, mut right) = (0, 0);
    let (mut roads, mut reasons) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    for ran in facts.of("short") {
        for exec in execs(run, ran)? {
            all += 1;
            if let Some(reason) = exec.is_of_or_says_why(&facts.program)? {
                *reasons.entry(reason.to_owned()).or_default() += 1;
            } else {
                right += 1;
                *roads.entry(exec.text("process.file.xattributes.hash_road")?.to_owned()).or_default() += 1;
            }
        }
    }
    let said = format!("{right} of {all} right, by {roads:?}; without: {reasons:?}");
    if all > 0 && right * 100 >= all * HASHED_PERCENT { Ok(said) } else { wrong(said) }
}

fn ends(run: &Recording, facts: &Facts) -> Result<String> {
    let mut count = 0;
    for ran in facts.of("short") {
        for exec in execs(run, ran)? {
            is_in(&run.end_of(&exec)?, ran)?;
            count += 1;
        }
    }
    Ok(format!("{count} ends"))
}

fn script(run: &Recording, facts: &Facts) -> Result<String> {
    let mut said = String::new();
    for ran in facts.of("script") {
        let all = execs(run, ran)?;
        let Some(exec) = all.iter().find(|exec| !exec.at("process.xattributes.script").is_null()) else {
            return wrong(format!("none of {} execs is that of a script", all.len()));
        };
        let script = run.script_of(exec)?;
        script.has("script.hashes.0.value", facts.script.as_str())?;
        let content = script.text("script.script_content.value")?;
        if crate::program::sha256(content.as_bytes()) != facts.script {
            return script.refuse("the content is not that of the script");
        }
        script.has("actor.process.container.uid", ran.id.as_str())?;
        exec.is_of_or_says_why(&facts.program)?;
        said = format!(
            "{} by {}",
            script.at("script.file.path"),
            script.at("script.file.xattributes.hash_road")
        );
    }
    if said.is_empty() { wrong("no script was run") } else { Ok(said) }
}

fn inside(run: &Recording, facts: &Facts, kind: &str) -> Result<String> {
    let mut count = 0;
    for ran in facts.of(kind) {
        for exec in execs(run, ran)? {
            is_in(&exec, ran)?;
            exec.is_of_or_says_why(&facts.program)?;
            count += 1;
        }
    }
    if count == 0 { wrong("nothing was run") } else { Ok(format!("{count} execs")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    /// What one short-lived container leaves.
    fn recording(container: &str, sha256: &str) -> String {
        let exec = json!({"class_uid": 1007, "activity_id": 1, "launch_type_id": 3, "process": {
            "uid": "u1", "cmd_line": "/bin/busybox true t1",
            "container": {"uid": container, "runtime": "docker"},
            "file": {"hashes": [{"value": sha256}], "xattributes": {"hash_road": "proc_exe"}},
        }});
        let end = json!({"class_uid": 1007, "activity_id": 2, "process": {
            "uid": "u1", "container": {"uid": container, "runtime": "docker"},
        }});
        let client = json!({"class_uid": 1007, "activity_id": 1, "launch_type_id": 3, "process": {
            "uid": "u2", "cmd_line": "docker run --detach image /bin/busybox true t1",
        }});
        format!("{client}\n{exec}\n{end}\n")
    }

    fn read(name: &str, recording: &str) -> (Recording, Facts) {
        let dir = std::env::temp_dir().join(format!("linnet-live-docker-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (events, facts) = (dir.join("events"), dir.join("facts"));
        std::fs::write(&events, recording).unwrap();
        std::fs::write(&facts, format!("program abc\nran short t1 {ID}\n")).unwrap();
        let read = super::read(&events, &facts, None).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        read
    }

    #[test]
    fn a_right_recording_is_accepted() {
        let (run, facts) = read("right", &recording(ID, "abc"));
        assert_eq!(whole_ids(&run, &facts).unwrap(), "1 execs in 1 containers");
        assert_eq!(hashes(&run, &facts).unwrap(), "1 of 1 right, by {\"proc_exe\": 1}; without: {}");
        assert_eq!(ends(&run, &facts).unwrap(), "1 ends");
    }

    #[test]
    fn a_cut_id_a_wrong_hash_and_a_missing_exec_are_refused() {
        let (run, facts) = read("cut", &recording(&ID[..12], "abc"));
        assert!(whole_ids(&run, &facts).is_err() && ends(&run, &facts).is_err());
        let (run, facts) = read("hash", &recording(ID, "abd"));
        assert!(hashes(&run, &facts).is_err());
        let (run, facts) = read("missing", "");
        assert!(whole_ids(&run, &facts).is_err() && hashes(&run, &facts).is_err());
        assert!(script(&run, &facts).is_err() && inside(&run, &facts, "exec").is_err());
    }
}
