//! Which segments are live: a Delta Lake table each.
//!
//! - `synced_store`: an object store on a local disk whose writes survive a power cut.
//! - `listing`: what such a disk lists from a name on.
//! - `columns`: tables of other versions get what they lack, or are refused.
//! - `names`: what a segment is called.
//! - `open`: opens a table, or creates it.
//! - `tags`: what the log says of a segment's promoted attributes.
//! - `delta`: commits flush epochs to a table, keeps its log short.
//! - `replace`: commits that take segments out, and which files were live once.
//!
//! Used narrowly: Spanhouse writes and scans the Parquet itself; of the crate it uses the log. Other engines read the
//! same tables, and only Spanhouse writes them.

mod columns;
mod delta;
mod listing;
mod names;
mod open;
mod replace;
mod synced_store;
mod tags;

pub use crate::segment::ColumnRanges;
pub(crate) use delta::partition_of;
pub use delta::{DeltaCatalog, NewSegment};
pub use names::{Compacted, SegmentName, date_of};
pub use replace::{LoggedFiles, Replacing};
pub use synced_store::{SyncedStore, remove_temporary};
