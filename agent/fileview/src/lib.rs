//! Hashes and script contents of files as the container sees them.
//!
//! The kernel says which file was executed: a [`FileId`] (device, inode, ctime, size) and paths. Neither a path nor a
//! pid is trusted by itself: both only lead to candidates, and a candidate whose identity differs is thrown away. See
//! `roads` for the ways and their order, [`FileView`] for the door.
//!
//! A dead file system (an NFS server that went away, a FUSE daemon that stopped) can hold a thread in a system call for
//! ever. Then [`FileView::tend`] counts the thread as stuck, leaves the device and the mount namespace alone for a
//! minute, starts another thread while there are fewer than `max_threads`, and answers the request with `timeout`.
#![deny(unsafe_code)]

mod answer;
mod bans;
mod cache;
mod config;
mod counters;
mod desk;
mod digest;
mod found_file;
mod host_mounts;
mod identity;
mod kept_roots;
mod kernel_numbers;
mod lock;
mod mount_table;
mod process_dir;
mod rate;
mod residency;
mod roads;
mod seat;
mod siblings;
mod small_file;
mod view;
mod worker;

pub use answer::{Answer, Content, Done, Facts, Missing, Purpose, Request, Road, Ticket};
pub use config::{Budget, Config, Shed};
pub use counters::Counters;
pub use identity::{FileId, InodeTime, kernel_dev};
pub use view::FileView;
