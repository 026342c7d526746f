//! The kernel side as the agent sees it: fitting the programs to this kernel, loading each on its own, the ring
//! and its counters.

pub mod cgroup_mode;
pub mod counters;
pub mod fill;
pub mod load;
pub mod offsets;
pub mod rates;
#[cfg(feature = "replay")]
pub mod replay;
pub mod ring;
