//! The running sensor: records in, events out, and the account of every one of them.

pub mod apply;
pub mod canary;
mod ending;
pub mod files;
pub mod filter;
pub mod fleet;
mod hold;
pub mod ledger;
mod noisy;
pub mod outgoing;
pub mod parked;
pub mod pipeline;
pub mod plugins;
pub mod pressure;
pub mod relief;
pub mod reload;
pub mod report;
pub mod run;
pub mod shed;
pub mod start;
mod stop;
pub mod talkers;
pub mod tally;
mod tell;
