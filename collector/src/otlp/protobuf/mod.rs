//! `ExportTraceServiceRequest` in protobuf, one pass from the bytes to a span at a time.
//!
//! - `wire`: tags, varints, lengths, fields to skip.
//! - `values`: `AnyValue`, `KeyValue`, and the attribute lists.
//! - `messages`: the messages of `trace.proto`, field by field.
//!
//! Accepts exactly what prost accepts, except for text that is no UTF-8 and for nesting. A scalar that comes twice
//! has its last value, messages that come twice merge, and fields may come in any order, the resource after its spans.

mod messages;
mod values;
mod wire;

pub use messages::decode;
