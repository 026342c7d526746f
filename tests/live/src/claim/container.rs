//! Containers, by the cgroup that a process is in when it executes something.

use serde_json::Value;

use crate::cgroup;
use crate::claims;
use crate::program::Behaviour;
use crate::stage::Stage;
use crate::suite::{Check, Claim, check};
use crate::trouble::{Result, not_here};

pub const CLAIMS: &[Claim] = claims![
    an_exec_in_a_container_carries_its_whole_id_and_runtime,
    each_runtimes_form_of_a_cgroup_is_known,
    of_nested_containers_the_inner_one_is_told,
    the_end_of_a_process_carries_its_container,
    a_process_of_the_host_has_no_container,
    a_cgroup_name_with_control_characters_is_told_but_never_written,
    a_tree_of_3000_cgroups_is_cut_with_a_mark,
];

const POD: &str = "6f2d3a8e-7c1b-4d5e-9f80-1a2b3c4d5e6f";

/// Runs a short program in a cgroup, and gives its token.
fn run_in(stage: &Stage, group: &cgroup::Group) -> Result<String> {
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    stage.act(&["cgroup", &group.dir.to_string_lossy(), "exec", &tool.text(), &token])?;
    Ok(token)
}

/// 64 digits that are nobody else's.
fn id(stage: &Stage) -> String {
    crate::program::sha256(stage.token().as_bytes())
}

fn an_exec_in_a_container_carries_its_whole_id_and_runtime(stage: &Stage) -> Result<Check> {
    let id = id(stage);
    let group = cgroup::Group::make(&format!("{}/docker/{id}", stage.token()))?;
    let token = run_in(stage, &group)?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.container.uid", id)?.has("process.container.runtime", "docker")?;
        exec.lacks("process.container.pod_uuid").map(drop)
    })
}

fn each_runtimes_form_of_a_cgroup_is_known(stage: &Stage) -> Result<Check> {
    let mut deeds = Vec::new();
    let slice_pod = POD.replace('-', "_");
    for (form, runtime, pod) in [
        ("docker-ID.scope", Some("docker"), None),
        ("kubepods/burstable/podPOD/ID", None, Some(POD)),
        ("kubepods.slice/kubepods-podSLICEPOD.slice/cri-containerd-ID.scope", Some("containerd"), Some(POD)),
        ("kubepods.slice/kubepods-podSLICEPOD.slice/crio-ID.scope", Some("cri-o"), Some(POD)),
        ("machine.slice/libpod-ID.scope/container", Some("podman"), None),
        ("default/nerdctl-ID.scope", Some("containerd"), None),
    ] {
        let id = id(stage);
        let path = form.replace("SLICEPOD", &slice_pod).replace("POD", POD).replace("ID", &id);
        let group = cgroup::Group::make(&format!("{}/{path}", stage.token()))?;
        deeds.push((run_in(stage, &group)?, form, id, runtime, pod));
    }
    check(move |run| {
        for (token, form, id, runtime, pod) in deeds {
            let exec = run.exec(&token)?;
            let as_told = || -> Result {
                exec.has("process.container.uid", id.as_str())?;
                exec.has("process.container.runtime", runtime.map_or(Value::Null, Value::from))?;
                exec.has("process.container.pod_uuid", pod.map_or(Value::Null, Value::from)).map(drop)
            };
            as_told().map_err(|trouble| trouble.while_doing(form))?;
        }
        Ok(())
    })
}

fn of_nested_containers_the_inner_one_is_told(stage: &Stage) -> Result<Check> {
    let (outer, inner) = (id(stage), id(stage));
    let group = cgroup::Group::make(&format!("{}/kubepods/pod{POD}/{outer}/docker/{inner}", stage.token()))?;
    let token = run_in(stage, &group)?;
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.has("process.container.uid", inner)?.has("process.container.runtime", "docker")?;
        exec.has("process.container.pod_uuid", POD).map(drop)
    })
}

fn the_end_of_a_process_carries_its_container(stage: &Stage) -> Result<Check> {
    let id = id(stage);
    let group = cgroup::Group::make(&format!("{}/docker/{id}", stage.token()))?;
    let token = run_in(stage, &group)?;
    check(move |run| run.end_of(&run.exec(&token)?)?.has("process.container.uid", id).map(drop))
}

fn a_process_of_the_host_has_no_container(stage: &Stage) -> Result<Check> {
    let group = cgroup::Group::make(&stage.token())?;
    let token = run_in(stage, &group)?;
    let own = group.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    check(move |run| {
        let exec = run.exec(&token)?;
        exec.lacks("process.container")?;
        match exec.text("process.xattributes.cgroup")? {
            path if path.ends_with(&own) => Ok(()),
            _ => exec.refuse(&format!("the cgroup is not {own}")),
        }
    })
}

fn a_cgroup_name_with_control_characters_is_told_but_never_written(stage: &Stage) -> Result<Check> {
    let name = format!("{}\x1b[2J\u{9b}31m", stage.token());
    let group = cgroup::Group::make(&name)?;
    let token = run_in(stage, &group)?;
    check(move |run| {
        let exec = run.exec(&token)?;
        match exec.text("process.xattributes.cgroup")? {
            path if path.ends_with(&name) => Ok(()),
            _ => exec.refuse(&format!("the cgroup is not {name:?}")),
        }
    })
}

/// The id stands above all these groups, where a bounded walk from the leaf does not come: then the path must say that
/// it is cut, and no other container may be told.
fn a_tree_of_3000_cgroups_is_cut_with_a_mark(stage: &Stage) -> Result<Check> {
    // As deep in an emulated machine as is beyond any bounded walk, for the time it takes to make and remove them.
    let levels = stage.fewer(3000).to_string();
    let id = id(stage);
    let top = cgroup::Group::make(&format!("{}/docker/{id}", stage.token()))?;
    let (tool, token) = (stage.program(Behaviour::Exit(0))?, stage.token());
    let deed =
        stage.act(&["deep-cgroup", &top.dir.to_string_lossy(), &levels, "exec", &tool.text(), &token])?;
    let made = deed.number("levels")?;
    Ok(Box::new(move |run| {
        if made < 40 {
            return not_here(format!("this kernel allows {made} levels only"));
        }
        let exec = run.exec(&token)?;
        if exec.at("process.container.uid") == &Value::from(id.as_str()) {
            return Ok(format!("the container was found above {made} levels"));
        }
        let path = exec.lacks("process.container")?.text("process.xattributes.cgroup")?;
        if path.starts_with("…/d/d/") && path.ends_with("/d/d") {
            return Ok(format!("{made} levels"));
        }
        exec.refuse("the cgroup path is not marked as cut")
    }))
}
