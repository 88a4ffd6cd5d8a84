//! The span model: ids and times as types, and the spans of a request in memory.
//!
//! - `ids`: trace and span ids, hex only at the edges.
//! - `time`: nanoseconds since the epoch, and their split into the microseconds and remainder that tables hold.
//! - `span`: the scalar fields of one span, borrowed from whoever decodes it.
//! - `texts`: equal texts once, by number.
//! - `batch`: the spans of a request, compact and immutable.
//! - `attributes`: one span's attributes while they are read.
//! - `vocabulary`: texts and numbers of a batch that is being built, and guesses which come next.
//! - `builder`: builds batches span by span.
//!
//! Nothing here knows a wire format, a column or a file.

pub mod attributes;
pub mod batch;
pub mod builder;
pub mod ids;
pub mod span;
pub mod texts;
pub mod time;
mod vocabulary;

pub use attributes::{AttributesBuilder, Pushed, Value};
pub use batch::{Entry, Event, Head, Link, OriginId, ResourceId, SpanBatch, Template, TypedKey, ValueId, ValueType};
pub use builder::{CopiedOrigins, SpanBatchBuilder, TooLarge};
pub use ids::{InvalidId, SpanId, TraceId};
pub use span::{Name, SpanFields};
pub(crate) use texts::hasher;
pub use texts::{TextId, Texts};
pub use time::UnixNanos;
