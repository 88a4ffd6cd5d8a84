//! Many small segments become few large ones.
//!
//! - `plan`: which segments are merged next. Pure.
//! - `run`: one merge, from segments in the object store to a segment in the object store.
//! - `rewrite`: a segment without some of its rows.
//! - `source`, `upload`: Parquet's reader and writer on an object store, by ranges and in parts.
//! - `vacuum`: which files nobody can need any more, and their end.
//!
//! # Invariants
//!
//! - One merge or rewriting at a time, beside flushes, on a thread that gives way to others. It changes nothing until its commit.
//! - A commit takes the merged segments out of the table and puts the new one in, in one step; the task that commits flushes does it,
//!   so that neither can get in the other's way.
//! - A file is deleted only after it has been out of the table for `compaction.keep_replaced`: no query is older.
//! - Whatever a kill leaves behind is in no table's log, and goes with the next start.

mod plan;
mod rewrite;
mod run;
mod source;
mod upload;
mod vacuum;

pub use plan::{Merge, plan};
pub use rewrite::rewrite;
pub use run::{Written, write, write_paths};
pub use source::StoredFile;
pub use vacuum::{Vacuumed, list, vacuum};
