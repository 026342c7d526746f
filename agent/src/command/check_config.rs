//! `check-config`: whether an agent would take a settings file.

use std::path::Path;

use super::load_settings;
use crate::{exit_code, terminal};

/// Says nothing but that it is good; what is wrong is the error.
pub fn execute(file: &Path) -> anyhow::Result<u8> {
    load_settings(Some(file))?;
    terminal::print(&format!("{}: good\n", file.display()))?;
    Ok(exit_code::OK)
}
