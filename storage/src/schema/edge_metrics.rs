//! `edge_metrics`: calls from service to service, counted when their trace is decided, kept or not, in windows of 10 s.
//!
//! A row is a partial sum: several may have the same window and names, and add up.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Schema, SchemaRef};

use super::{Column, field, span_metrics, timestamp};

pub const WINDOW_START: &str = span_metrics::WINDOW_START;
pub const CLIENT_SERVICE: &str = "client_service";
pub const SERVER_SERVICE: &str = "server_service";
pub const SPAN_NAME: &str = super::spans::SPAN_NAME;
pub const SPAN_COUNT: &str = super::traces::SPAN_COUNT;
pub const ERROR_COUNT: &str = super::traces::ERROR_COUNT;

static STORED: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields = vec![
        field(WINDOW_START, timestamp(), false),
        field(CLIENT_SERVICE, DataType::Utf8View, false),
        field(SERVER_SERVICE, DataType::Utf8View, false),
        field(SPAN_NAME, DataType::Utf8View, false),
        field(SPAN_COUNT, DataType::Int64, false),
        field(ERROR_COUNT, DataType::Int64, false),
    ];
    fields.extend(span_metrics::durations());
    Arc::new(Schema::new(fields))
});

pub fn stored() -> SchemaRef {
    Arc::clone(&STORED)
}

pub const COLUMNS: &[Column] = &[
    Column { name: WINDOW_START, description: "start in UTC of the 10 s in which the server's spans started" },
    Column { name: CLIENT_SERVICE, description: "service_name of the parent" },
    Column { name: SERVER_SERVICE, description: "service_name of the span, another one than its parent's" },
    Column { name: SPAN_NAME, description: "the server's span_name" },
    Column { name: SPAN_COUNT, description: "such spans of decided traces, kept or not; rows are partial sums" },
    Column { name: ERROR_COUNT, description: "those with status error" },
    Column { name: span_metrics::DURATION_SUM_NS, description: "nanoseconds of the server's spans together" },
    Column { name: span_metrics::DURATION_MIN_NS, description: "nanoseconds of the shortest" },
    Column { name: span_metrics::DURATION_MAX_NS, description: "nanoseconds of the longest" },
    Column { name: span_metrics::ZERO_COUNT, description: "spans of 0 ns, which are in no bucket" },
    Column {
        name: span_metrics::BUCKET_INDEXES,
        description: "buckets that have spans: i covers (b^i, b^(i+1)] ns, where b is 2^(1/32); OTLP's scale 5",
    },
    Column { name: span_metrics::BUCKET_COUNTS, description: "spans of each of these buckets" },
    Column {
        name: span_metrics::EXACT,
        description: "false where a sampler at the source let only some spans through, or may have",
    },
];
