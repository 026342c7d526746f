//! Of the updater's directories of releases, what marks one.

#[path = "../../../updater/src/release_dir/marker.rs"]
mod marker;
#[path = "../../../updater/src/release_dir/stage.rs"]
mod stage;

pub use marker::list;
