//! The file view against the running kernel: real processes, mounts, namespaces, and file systems that hang.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod asker;
mod container;
mod containers;
mod ordinary_files;
