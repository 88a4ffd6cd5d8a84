//! What the fuzz targets share.
//!
//! - `fuzz_targets/otlp_protobuf`: ours takes the bytes exactly when prost does, with the rows of the oracle.
//! - `fuzz_targets/otlp_json`: ours takes nothing that is no JSON.
//! - `fuzz_targets/inflate`: bodies within the limit, as another reader of gzip and zstd has them.
//! - `fuzz_targets/wal_replay`: any files are replayed, if need be after a repair, continued, and replayed again with the
//!   same records.
//! - `memory_disk`: files of a log without a disk; `forge`: bytes with checksums that hold.
//! - `rows`, `oracle`, `json_text`, `generate`: the decoder's own tests, read from where they lie.
//!
//! Run from the workspace's folder, on a stable compiler:
//!
//! ```text
//! cargo install cargo-fuzz --locked
//! RUSTC_BOOTSTRAP=1 cargo run --locked --manifest-path fuzz/Cargo.toml --bin seeds
//! RUSTC_BOOTSTRAP=1 cargo fuzz run otlp_protobuf -- -max_len=8000 -max_total_time=600
//! ```
//!
//! Longer inputs than that reach the limits of a span's attributes, which the oracle does not know.

pub mod forge;
pub mod memory_disk;

#[path = "../../collector/src/otlp/tests/generate.rs"]
pub mod generate;
#[path = "../../collector/src/otlp/tests/json_text.rs"]
pub mod json_text;
#[path = "../../collector/src/otlp/tests/oracle.rs"]
pub mod oracle;
#[path = "../../collector/src/otlp/tests/rows.rs"]
pub mod rows;

/// Where `rows` expects it.
mod otlp {
    pub use collector::Decoded;
}

use collector::{Decoded, Limits};
use storage::model::UnixNanos;
use storage::{ContentType, Encoding};

/// When every request arrives, as in the decoder's tests.
pub const ARRIVAL: UnixNanos = UnixNanos(1_700_000_000_000_000_000);
const NOW: u64 = ARRIVAL.0 as u64;

pub fn decode(content_type: ContentType, bytes: &[u8]) -> collector::Result<Decoded> {
    collector::decode(&Limits::default(), content_type, Encoding::Identity, bytes, ARRIVAL)
}
