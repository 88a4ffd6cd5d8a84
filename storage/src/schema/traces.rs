//! `traces`: the digest, a row a trace, kept or not.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Schema, SchemaRef};

use super::{Column, field, timestamp};

pub const TRACE_ID: &str = super::spans::TRACE_ID;
pub const START_TIME: &str = super::spans::START_TIME;
pub const START_NANOS: &str = super::spans::START_NANOS;
pub const DURATION_NS: &str = super::spans::DURATION_NS;
pub const ROOT_SERVICE: &str = super::spans::ROOT_SERVICE;
pub const ROOT_NAME: &str = super::spans::ROOT_NAME;
pub const SPAN_COUNT: &str = "span_count";
pub const ERROR_COUNT: &str = "error_count";
pub const SERVICES: &str = "services";
pub const KEPT: &str = "kept";
pub const KEEP_REASON: &str = super::spans::KEEP_REASON;
pub const ADJUSTED_COUNT: &str = super::spans::ADJUSTED_COUNT;
pub const HEAD_COUNT: &str = "head_count";
pub const CLASS: &str = "class";
pub const SHAPE: &str = "shape";
pub const POLICY_REVISION: &str = super::spans::POLICY_REVISION;
pub const TRACE_COMPLETE: &str = super::spans::TRACE_COMPLETE;

static STORED: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        field(TRACE_ID, DataType::BinaryView, false),
        field(START_TIME, timestamp(), false),
        field(START_NANOS, DataType::Int32, false),
        field(DURATION_NS, DataType::Int64, false),
        field(ROOT_SERVICE, DataType::Utf8View, true),
        field(ROOT_NAME, DataType::Utf8View, true),
        field(SPAN_COUNT, DataType::Int64, false),
        field(ERROR_COUNT, DataType::Int64, false),
        field(SERVICES, DataType::List(Arc::new(field("element", DataType::Utf8, false))), false),
        field(KEPT, DataType::Boolean, false),
        field(KEEP_REASON, DataType::Utf8View, false),
        field(ADJUSTED_COUNT, DataType::Float64, true),
        field(TRACE_COMPLETE, DataType::Boolean, false),
        field(HEAD_COUNT, DataType::Float64, true),
        field(CLASS, DataType::Utf8View, true),
        field(SHAPE, DataType::Int64, true),
        // Missing in segments of tables from before there were budgets, as are the three above.
        field(POLICY_REVISION, DataType::Int64, true),
    ]))
});

pub fn stored() -> SchemaRef {
    Arc::clone(&STORED)
}

pub const COLUMNS: &[Column] = &[
    Column { name: TRACE_ID, description: "16 bytes; SQL accepts and prints 32 hex digits" },
    Column { name: START_TIME, description: "earliest start of its spans in UTC, whole microseconds" },
    Column { name: START_NANOS, description: "nanoseconds of the start beyond start_time: 0 to 999" },
    Column { name: DURATION_NS, description: "nanoseconds from the earliest start to the latest end" },
    Column { name: ROOT_SERVICE, description: "service_name of the root; NULL while it is missing" },
    Column { name: ROOT_NAME, description: "span_name of the root; NULL while it is missing" },
    Column { name: SPAN_COUNT, description: "spans at the decision" },
    Column { name: ERROR_COUNT, description: "spans with status error at the decision" },
    Column { name: SERVICES, description: "its services, sorted by name" },
    Column { name: KEPT, description: "whether its spans are stored" },
    Column { name: KEEP_REASON, description: "why it was kept; pending while it is undecided" },
    Column {
        name: ADJUSTED_COUNT,
        description: "how many traces of the real stream its spans stand for: 0 where they are not stored",
    },
    Column { name: TRACE_COMPLETE, description: "whether root and all parents were there at the decision" },
    Column {
        name: HEAD_COUNT,
        description: "how many traces of the real stream arrived as this one: 1 unless the client sampled",
    },
    Column { name: CLASS, description: "priority, error, slow, inner_error or normal; NULL while it is undecided" },
    Column {
        name: SHAPE,
        description: "hash of its distinct edges: equal for traces that took the same ways; NULL while undecided",
    },
    Column { name: POLICY_REVISION, description: "revision of the sampling policy that decided it" },
];
