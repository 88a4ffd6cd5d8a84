//! `span_metrics`: every span that arrived, kept or not, counted in windows of 10 s.
//!
//! A row is a partial sum: several may have the same window and names, and add up.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{Column, field, timestamp};

pub const WINDOW_START: &str = "window_start";
pub const SERVICE_NAME: &str = super::spans::SERVICE_NAME;
pub const SPAN_NAME: &str = super::spans::SPAN_NAME;
pub const KIND: &str = super::spans::KIND;
pub const STATUS_CODE: &str = super::spans::STATUS_CODE;
pub const SPAN_COUNT: &str = super::traces::SPAN_COUNT;
pub const ADJUSTED_COUNT: &str = super::spans::ADJUSTED_COUNT;
pub const DURATION_SUM_NS: &str = "duration_sum_ns";
pub const DURATION_MIN_NS: &str = "duration_min_ns";
pub const DURATION_MAX_NS: &str = "duration_max_ns";
pub const ZERO_COUNT: &str = "zero_count";
pub const BUCKET_INDEXES: &str = "bucket_indexes";
pub const BUCKET_COUNTS: &str = "bucket_counts";
pub const EXACT: &str = "exact";

pub(crate) fn index_item() -> Arc<Field> {
    Arc::new(field("element", DataType::Int32, false))
}

pub(crate) fn count_item() -> Arc<Field> {
    Arc::new(field("element", DataType::Int64, false))
}

/// The columns that `edge_metrics` ends with, too.
pub(super) fn durations() -> Vec<Field> {
    vec![
        field(DURATION_SUM_NS, DataType::Int64, false),
        field(DURATION_MIN_NS, DataType::Int64, false),
        field(DURATION_MAX_NS, DataType::Int64, false),
        field(ZERO_COUNT, DataType::Int64, false),
        field(BUCKET_INDEXES, DataType::List(index_item()), false),
        field(BUCKET_COUNTS, DataType::List(count_item()), false),
        field(EXACT, DataType::Boolean, false),
    ]
}

static STORED: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields = vec![
        field(WINDOW_START, timestamp(), false),
        field(SERVICE_NAME, DataType::Utf8View, false),
        field(SPAN_NAME, DataType::Utf8View, false),
        field(KIND, DataType::Utf8View, false),
        field(STATUS_CODE, DataType::Utf8View, false),
        field(SPAN_COUNT, DataType::Int64, false),
        field(ADJUSTED_COUNT, DataType::Float64, false),
    ];
    fields.extend(durations());
    Arc::new(Schema::new(fields))
});

pub fn stored() -> SchemaRef {
    Arc::clone(&STORED)
}

pub const COLUMNS: &[Column] = &[
    Column { name: WINDOW_START, description: "start in UTC of the 10 s in which the spans started" },
    Column { name: SERVICE_NAME, description: "the resource's service.name, or unknown_service" },
    Column { name: SPAN_NAME, description: "the operation's name" },
    Column { name: KIND, description: "internal, server, client, producer, consumer or unspecified" },
    Column { name: STATUS_CODE, description: "unset, ok or error" },
    Column { name: SPAN_COUNT, description: "spans that arrived, kept or not; rows are partial sums, so add them up" },
    Column {
        name: ADJUSTED_COUNT,
        description: "how many spans of the source they stand for, by the ot=th of their tracestate; else span_count",
    },
    Column { name: DURATION_SUM_NS, description: "nanoseconds of all of them together" },
    Column { name: DURATION_MIN_NS, description: "nanoseconds of the shortest" },
    Column { name: DURATION_MAX_NS, description: "nanoseconds of the longest" },
    Column { name: ZERO_COUNT, description: "spans of 0 ns, which are in no bucket" },
    Column {
        name: BUCKET_INDEXES,
        description: "buckets that have spans: i covers (b^i, b^(i+1)] ns, where b is 2^(1/32); OTLP's scale 5",
    },
    Column { name: BUCKET_COUNTS, description: "spans of each of these buckets" },
    Column { name: EXACT, description: "false where a sampler at the source let only some spans through, or may have" },
];
