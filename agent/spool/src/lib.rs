//! An append-only queue of events on disk, between the sensor and the sinks that may be away.
//!
//! One writer appends batches of events; several readers, each with a name, a position and an account of its own, take
//! them in the order of writing. What all readers have settled is deleted. What nobody has fetched when the spool is full
//! or too old is dropped, the oldest segment first, and counted for each reader that had not read it yet.
//!
//! # Format (version 1, little-endian)
//!
//! A directory holds segments `0000000000000001.seg`, `…2.seg`, … in the order of writing, `readers.json` with the
//! readers' positions and accounts, `readers.synced.json` and `readers.spare` for these after a power loss and on a full
//! disk, and `lock`.
//!
//! ```text
//! segment  = preface head record*
//! preface  = "LNTSPOOL" version:u32 crc:u32(of the 12 bytes before)             same in all versions to come
//! head     = number:u64 opened_ms:i64 base:u64*8 crc:u32(of the 80 bytes before)
//! record   = "LREC" payload_len:u32 events:u32 payload_crc:u32 time_ms:i64 after:u64*8 crc:u32(of the 88 bytes before)
//!            payload
//! payload  = kind:u8*events lines
//! ```
//!
//! `after` counts the events of each kind that were ever written into this spool, this record included; `base` is the
//! same at a segment's beginning. The CRCs are CRC-32 (IEEE). A record's header holds zero bytes and its payload's lines
//! are text without control characters, so what a process chose as its name can't be taken for a record.
//!
//! # Invariants
//!
//! 1. *Counts come from subtraction.* `after` of one record less that of the one before is what this record holds. So
//!    whatever is missing between two records that can be read is known by kind, whether it was damaged, dropped or
//!    could not be written: [`Account`] is exact, `appended = delivered + filtered + refused + dropped + waiting`.
//! 2. *A record that `append` has acknowledged survives `kill -9`*: it is in the kernel's page cache when `append`
//!    returns. A power loss may take what was appended since the last [`Spool::sync`], which the caller does every few
//!    seconds while it appends; segments are synced when they are closed.
//! 3. *At least once.* A position is what a reader has settled. It is stored by rename about once a second and at every
//!    pause, and synced every half minute and before a segment is deleted; while that can't be done, none is. After a crash a reader gets again what it
//!    settled since, with the same bytes; after a power loss, what it settled since the last sync.
//!    On a full disk it goes to room that was taken before (`readers.spare`), so that a stop, or a `kill -9` but for the
//!    last second, does not forget what was lost meanwhile.
//! 4. *A damaged record costs itself.* One whose payload fails its CRC is stepped over; after a damaged header the next
//!    good one is looked for. What was in between is counted as `damaged`, and so is a record whose totals don't follow
//!    those before it, or lie beyond where its segment ends: it was written elsewhere, whatever its checksums say. A last
//!    record that was not written whole is cut off when the spool is opened: `append` had not acknowledged it.
//! 5. *A segment of a newer version is refused by name and left alone*, and with it the whole spool.
//! 6. *Bounded.* The segments never take more than `max_bytes`, but for what a reader that is being served holds open
//!    of a segment that was dropped meanwhile (one segment a reader). Memory: some numbers for each segment and reader,
//!    and for each loss that a reader has before it; of more than a thousand of these, the segments with most of them go.
//! 7. Age is measured by the wall clock once, when the spool is opened, and by the monotonic clock from then on: a clock
//!    that steps drops nothing in a spool that is open. Times from before 2026 have no age: that clock had not been set.
//!
//! A reader that has no position yet begins with what is appended from then on. One whose position is lost begins at
//! the oldest that is there: better twice than never. A reader that is not named any more when the spool is opened is
//! forgotten.
//!
//! It must not look into events, nor wait for a reader.
#![forbid(unsafe_code)]

mod account;
mod append;
mod counts;
mod error;
mod layout;
mod open;
mod reader;
mod segment;
mod spare;
mod spool;
mod state;
mod tracked;

pub use account::{Account, Lost, Settlement};
pub use counts::{Counts, KINDS};
pub use error::SpoolError;
pub use reader::{Reader, Taken};
pub use spool::{Bounds, Fill, Spool, Status};
