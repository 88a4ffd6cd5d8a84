//! `ExportTraceServiceRequest` in OTLP/JSON, a span at a time.
//!
//! - `reader`: JSON as it comes, without a tree; passes over unknown values without recursion.
//! - `number`: 64-bit integers exactly, in every form that protobuf's JSON mapping allows.
//! - `fields`: the mapping's scalars.
//! - `values`: `AnyValue`, `KeyValue`, and the attribute lists.
//! - `messages`: the messages of `trace.proto`, key by key.
//!
//! Unknown keys are ignored, `null` is an absent field, and of equal keys the last wins. Ids are hex, enums are numbers.
//! What comes out for a request equals what its protobuf form gives.

mod fields;
mod messages;
pub(super) mod number;
pub(super) mod reader;
mod values;

pub use messages::decode;
