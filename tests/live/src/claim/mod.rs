//! What is claimed of the agent, one file for each thing it tells of. The name of a function is the claim.

mod arguments;
mod bound;
mod container;
mod credentials;
mod disk;
mod end;
mod file;
mod fork;
mod left_out;
mod lineage;
mod loss;
mod mount;
mod namespace;
mod noisy;
mod observer;
mod odd_file;
mod operation;
mod pressure;
mod refusal;
mod reload;
mod script;
mod seed;
mod setting;
mod storm;
mod thread;

use serde_json::json;

use crate::suite::{Case, Group};

/// What is tried on an agent with its default events, and what wants to see forks.
const GROUPS: [Group; 2] = [
    Group {
        about: "with_the_default_events",
        settings: || json!({}),
        claims: &[
            arguments::CLAIMS,
            lineage::CLAIMS,
            credentials::CLAIMS,
            namespace::CLAIMS,
            end::CLAIMS,
            file::CLAIMS,
            odd_file::CLAIMS,
            mount::CLAIMS,
            script::CLAIMS,
            container::CLAIMS,
        ],
    },
    Group {
        about: "with_forks",
        settings: || json!({"events": {"fork": true}}),
        claims: &[thread::CLAIMS, fork::CLAIMS],
    },
];

const ALONE: [&[Case]; 13] = [
    seed::CASES,
    setting::CASES,
    left_out::CASES,
    noisy::CASES,
    reload::CASES,
    refusal::CASES,
    operation::CASES,
    disk::CASES,
    loss::CASES,
    bound::CASES,
    pressure::CASES,
    observer::CASES,
    storm::CASES,
];

/// All claims, in the order in which they are tried.
pub fn all() -> Vec<Case> {
    GROUPS.into_iter().map(Case::Group).chain(ALONE.into_iter().flatten().copied()).collect()
}
