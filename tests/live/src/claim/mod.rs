//! What is claimed of the agent, one file for each thing it tells of. The name of a function is the claim.

mod arguments;
mod container;
mod credentials;
mod disk;
mod end;
mod file;
mod fork;
mod lineage;
mod loss;
mod mount;
mod namespace;
mod odd_file;
mod operation;
mod refusal;
mod script;
mod seed;
mod setting;
mod storm;
mod thread;

use serde_json::{Value, json};

use crate::suite::Case;

/// The settings as every claim has them.
fn as_they_are() -> Value {
    json!({})
}

/// All claims, in the order in which they are tried.
pub fn all() -> Vec<Case> {
    let groups = [
        arguments::GROUP,
        lineage::GROUP,
        credentials::GROUP,
        namespace::GROUP,
        end::GROUP,
        thread::GROUP,
        fork::GROUP,
        file::GROUP,
        odd_file::GROUP,
        mount::GROUP,
        script::GROUP,
        container::GROUP,
    ];
    let alone = [
        seed::CASES,
        setting::CASES,
        refusal::CASES,
        operation::CASES,
        disk::CASES,
        loss::CASES,
        storm::CASES,
    ];
    groups.into_iter().map(Case::Group).chain(alone.into_iter().flatten().copied()).collect()
}
