//! The span model: ids and times as types, and spans as columns.
//!
//! - `ids`: trace and span ids, hex only at the edges.
//! - `time`: nanoseconds since the epoch, and their split into the microseconds and remainder that tables hold.
//! - `span`: the scalar fields of one span, borrowed from whoever decodes it.
//! - `attributes`: typed attribute maps as columns.
//! - `batch`: builds the received columns of `schema::spans` row by row.
//! - `columns`: reads them back as what they are.
//!
//! Nothing here knows a wire format or a file.

pub mod attributes;
pub mod batch;
pub mod columns;
pub mod ids;
pub mod span;
pub mod time;

pub use attributes::AttributesBuilder;
pub(crate) use batch::shrunk;
pub use batch::{EventsBuilder, LinksBuilder, SpanBatch, SpanBatchBuilder};
pub use columns::SpanColumns;
pub use ids::{InvalidId, SpanId, TraceId};
pub use span::SpanFields;
pub use time::UnixNanos;
