//! User, group and capabilities.

use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::{LaunchError, Report};
use crate::manifest::Capability;
use crate::spec::Spec;

/// The kernel's capabilities that a plugin's capability stands for.
fn kernel_capability(capability: Capability) -> CapabilitySet {
    match capability {
        Capability::ReadAllFiles => CapabilitySet::DAC_READ_SEARCH,
        Capability::PtraceRead => CapabilitySet::SYS_PTRACE,
        Capability::BpfQuery => CapabilitySet::SYS_ADMIN,
        Capability::Network | Capability::StateDir => CapabilitySet::empty(),
    }
}

/// Takes the plugin's user and group, and keeps the capabilities that were granted and no others, over the exec too.
///
/// Where there is no such user (a user namespace that does not map it, a unit without CAP_SETUID), it goes on as the
/// agent's, without capabilities, and says so.
pub(super) fn assume(spec: &Spec, report: &mut Report) -> Result<(), LaunchError> {
    let step = |step| move |errno: rustix::io::Errno| LaunchError::Step { step, source: errno.into() };
    let wanted = spec
        .capabilities
        .iter()
        .fold(CapabilitySet::empty(), |set, capability| set | kernel_capability(*capability));
    let _ = clear_ambient_capability_set();
    for bit in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if wanted.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // Beyond the last capability that this kernel knows.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => {
                report.problems.push(format!("the bounding set stays: {error}: give the unit CAP_SETPCAP"));
                break;
            }
        }
    }
    set_keep_capabilities(true).map_err(step("keep capabilities"))?;
    let (uid, gid) = (Uid::from_raw(spec.uid), Gid::from_raw(spec.uid));
    let user = set_thread_groups(&[])
        .and_then(|()| set_thread_res_gid(gid, gid, gid))
        .and_then(|()| set_thread_res_uid(uid, uid, uid));
    match user {
        Ok(()) => report.sandbox.push(format!("uid {}", spec.uid)),
        Err(error) => report.problems.push(format!(
            "runs as root without its privileges, not as uid {}: {error}: give the unit CAP_SETUID and CAP_SETGID",
            spec.uid
        )),
    }
    let now = rustix::thread::capabilities(None).map_err(step("capabilities"))?;
    let kept = now.permitted & wanted;
    if kept != wanted {
        let message =
            format!("the agent itself lacks {:?}: part of what it looks for stays hidden", wanted - kept);
        report.problems.push(message);
    }
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: kept };
    set_capabilities(None, sets).map_err(step("drop capabilities"))?;
    for one in kept.iter() {
        configure_capability_in_ambient_set(one, true).map_err(step("ambient capabilities"))?;
    }
    set_keep_capabilities(false).map_err(step("keep capabilities"))?;
    let names: Vec<String> = kept.iter_names().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(" ") };
    report.sandbox.push(format!("capabilities: {names}"));
    Ok(())
}
