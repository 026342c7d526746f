//! eBPF programs that came since the first look, or while nobody looked.

use std::collections::BTreeSet;

use linnet_plugin::{Severity, Stop, Turn, files};
use serde_json::json;

use crate::finding::{Finding, data};
use crate::{Integrity, is_expected};

/// More are not remembered.
const MAX_PROGRAMS: usize = 2000;

pub(crate) fn look(turn: &mut Turn<'_, Integrity>, findings: &mut Vec<Finding>) -> Result<(), Stop> {
    if !turn.may("bpf_query") {
        return Ok(());
    }
    let known = turn.state().bpf.clone();
    let mut seen = BTreeSet::new();
    for program in aya::programs::loaded_programs().take(MAX_PROGRAMS) {
        turn.pace()?;
        let program = match program {
            Ok(program) => program,
            Err(error) => {
                turn.log("warn", &format!("eBPF programs can't be listed: {error}"))?;
                return Ok(());
            }
        };
        let name = program.name_as_str().unwrap_or_default().to_owned();
        // `BPF_PROG_TYPE_KPROBE` is `kprobe`.
        let kind = format!("{:?}", program.program_type()).to_lowercase();
        let kind = kind.strip_prefix("bpf_prog_type_").unwrap_or(&kind).to_owned();
        let tag = files::hexadecimal(&program.tag().to_be_bytes());
        let key = format!("{name} {kind} {tag}");
        let first = seen.insert(key.clone());
        let expected = is_expected(&name, &turn.settings().expected_bpf);
        if !first || expected || known.as_ref().is_none_or(|known| known.contains(&key)) {
            continue;
        }
        let severity = severity(&kind);
        findings.push(Finding {
            uid: format!("integrity:bpf:{key}"),
            severity,
            title: format!(
                "a new eBPF program is loaded: {} ({kind})",
                if name.is_empty() { "without a name" } else { &name }
            ),
            kind: "bpf_program",
            attack: Some([("TA0003", "Persistence"), ("T1205.002", "Socket Filters")])
                .filter(|_| kind.contains("socket")),
            evidence: data(json!({
                "id": program.id(),
                "name": name,
                "type": kind,
                "tag": tag,
                "uid": program.created_by_uid(),
                "bytes": program.size_translated(),
            })),
            container: None,
        });
    }
    // Told ones stay unknown as long as they are there, so that they count as told and not as over.
    let told: BTreeSet<String> = findings
        .iter()
        .filter_map(|finding| finding.uid.strip_prefix("integrity:bpf:"))
        .map(str::to_owned)
        .collect();
    turn.state_mut().bpf = Some(match known {
        None => seen,
        Some(known) => known.intersection(&seen).filter(|key| !told.contains(*key)).cloned().collect(),
    });
    Ok(())
}

/// Programs that can change or forge what others see weigh more than those that look at packets.
fn severity(kind: &str) -> Severity {
    let grave = [
        "kprobe",
        "tracing",
        "lsm",
        "rawtracepoint",
        "raw_tracepoint",
        "tracepoint",
        "perfevent",
        "ext",
        "syscall",
    ];
    if grave.iter().any(|one| kind.contains(one)) { Severity::Medium } else { Severity::Low }
}
