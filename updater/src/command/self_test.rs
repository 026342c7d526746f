//! `self-test`: whether this updater could take over on this host. The one that runs asks it before it switches.

use linnet_keys::Trusted;

use super::context::{Context, Failed};
use super::report::Report;
use crate::exit_code;
use crate::source;
use crate::store;

/// Reads all that the updater before left: settings (read already), state, hold, root of trust.
pub fn self_test(context: &Context<'_>) -> Result<Report, Failed> {
    let unfit = |what: &str, error: &dyn std::fmt::Display| {
        Failed::new(exit_code::UNSUPPORTED, format!("{what}: {error}"))
    };
    store::read(&context.layout.state()).map_err(|error| unfit("state", &error))?;
    context.hold().map_err(|error| unfit("hold", &error))?;
    let root = source::root_path(&context.layout);
    if root.exists() {
        let bytes = std::fs::read(&root).map_err(|error| unfit("root of trust", &error))?;
        Trusted::from_root(&bytes).map_err(|error| unfit("root of trust", &error))?;
    }
    Ok(Report::done("settings, state, hold and root of trust are understood"))
}
