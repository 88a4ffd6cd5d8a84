//! The write-ahead log: what was accepted, durable before anyone is told so.
//!
//! - `record`: what a record holds, and its bytes.
//! - `frame`: how records lie in a file, and how damage is told from a torn end; `range_sums`: its checksums.
//! - `disk`: the files themselves, a seam so that tests can lose what was not synced; `direct`: writes past the page cache.
//! - `writer`: one thread, one sync a group of appends. `room`: what it says of a full disk.
//! - `status`: sizes, and how long syncs take.
//! - `replay`: reads the log back in order.
//! - `salvage`: what is whole in a damaged log; `lost_header`: also behind a header that is not; `cut`: the log without the damage.
//!
//! # Format
//!
//! A log is the files `wal/<generation>.log`, read in order of generation. Integers are little-endian.
//!
//! Header of a file, 64 bytes: `b"SPANWAL1"`, `u32` crc32c of what follows, `u32` zero, `u64` generation, `u64` salt,
//! `u64` first LSN, `u64` first group, `u8` whether groups are synced, zeros. A later format has another digit, which may
//! be given to it only together with a checksum that covers the name, too: one that holds without it behind another digit says
//! that the digit is damaged.
//!
//! A frame: `u32` length of all that follows the checksum, `u32` crc32c of the same bytes seeded with the file's salt,
//! `u64` LSN, `u64` generation, `u64` group, `u8` record type (high bit: last of its group), then the record. Type 4 is
//! no record: its `u64` is the LSN that comes next, since what stood before it was damaged and cut out.
//!
//! # Invariants
//!
//! - LSNs rise by one. A group is written only after the group before it is durable, so at most one group can be torn.
//! - Files are recycled. An old frame in a recycled file has another generation and another salt, and reads as the end.
//! - The first failed write or sync ends the writer: nothing after it is acknowledged.

mod cut;
mod direct;
mod disk;
mod frame;
mod lost_header;
mod range_sums;
mod record;
mod replay;
mod room;
mod salvage;
mod status;
mod writer;

pub use cut::cut;
pub use disk::{Disk, LocalDisk, LogFile};
pub use record::{Decision, Record};
pub use replay::{ReplayReport, replay};
pub use salvage::{Found, Hole, salvage};
pub use status::{BUCKETS, WalStatus};
pub use writer::{Durability, Durable, Lsn, WalConfig, WalHandle, start};

#[cfg(test)]
mod tests;
