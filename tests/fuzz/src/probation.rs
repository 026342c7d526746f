//! Of the updater's probation, what is stored of it.

#[path = "../../../updater/src/probation/baseline.rs"]
mod baseline;

pub use baseline::Baseline;
