//! `spans`: a row a span.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use super::{Column, attributes, field, timestamp};

pub const TRACE_ID: &str = "trace_id";
pub const SPAN_ID: &str = "span_id";
pub const PARENT_SPAN_ID: &str = "parent_span_id";
pub const SERVICE_NAME: &str = "service_name";
pub const SPAN_NAME: &str = "span_name";
pub const KIND: &str = "kind";
pub const STATUS_CODE: &str = "status_code";
pub const STATUS_MESSAGE: &str = "status_message";
pub const START_TIME: &str = "start_time";
pub const START_NANOS: &str = "start_nanos";
pub const DURATION_NS: &str = "duration_ns";
pub const ATTRIBUTES: &str = "attributes";
pub const RESOURCE: &str = "resource";
pub const EVENTS: &str = "events";
pub const LINKS: &str = "links";
pub const SCOPE_NAME: &str = "scope_name";
pub const SCOPE_VERSION: &str = "scope_version";
pub const TRACE_STATE: &str = "trace_state";
pub const FLAGS: &str = "flags";
pub const IS_ROOT: &str = "is_root";
pub const IS_ENTRY: &str = "is_entry";
pub const DEPTH: &str = "depth";
pub const PARENT_SERVICE: &str = "parent_service";
pub const ROOT_SERVICE: &str = "root_service";
pub const ROOT_NAME: &str = "root_name";
pub const SELF_NS: &str = "self_ns";
pub const CRITICAL_NS: &str = "critical_ns";
pub const PATH_ID: &str = "path_id";
pub const EXCEPTION_TYPE: &str = "exception_type";
pub const ADJUSTED_COUNT: &str = "adjusted_count";
pub const KEEP_REASON: &str = "keep_reason";
pub const POLICY_REVISION: &str = "policy_revision";
pub const TRACE_COMPLETE: &str = "trace_complete";

/// The kind and status words that the engine itself asks for.
pub const STATUS_ERROR: &str = "error";

/// Inside `events`.
pub fn event_fields() -> Fields {
    Fields::from(vec![
        field("time", timestamp(), false),
        field("time_nanos", DataType::Int32, false),
        field("name", DataType::Utf8, false),
        field("attributes", attributes::data_type(), false),
    ])
}

/// Inside `links`.
pub fn link_fields() -> Fields {
    Fields::from(vec![
        field("trace_id", DataType::Binary, false),
        field("span_id", DataType::Binary, false),
        field("trace_state", DataType::Utf8, true),
        field("flags", DataType::Int64, false),
        field("attributes", attributes::data_type(), false),
    ])
}

pub(crate) fn list_item(fields: Fields) -> Arc<Field> {
    Arc::new(field("element", DataType::Struct(fields), false))
}

/// The columns that come from the client; a prefix of [`stored`].
static RECEIVED: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = || DataType::Utf8View;
    Arc::new(Schema::new(vec![
        field(TRACE_ID, DataType::BinaryView, false),
        field(SPAN_ID, DataType::BinaryView, false),
        field(PARENT_SPAN_ID, DataType::BinaryView, true),
        field(SERVICE_NAME, text(), false),
        field(SPAN_NAME, text(), false),
        field(KIND, text(), false),
        field(STATUS_CODE, text(), false),
        field(STATUS_MESSAGE, text(), true),
        field(START_TIME, timestamp(), false),
        field(START_NANOS, DataType::Int32, false),
        field(DURATION_NS, DataType::Int64, false),
        field(ATTRIBUTES, attributes::data_type(), false),
        field(RESOURCE, attributes::data_type(), false),
        field(EVENTS, DataType::List(list_item(event_fields())), false),
        field(LINKS, DataType::List(list_item(link_fields())), false),
        field(SCOPE_NAME, text(), true),
        field(SCOPE_VERSION, text(), true),
        field(TRACE_STATE, text(), true),
        field(FLAGS, DataType::Int64, false),
    ]))
});

static STORED: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = || DataType::Utf8View;
    let mut fields: Vec<Arc<Field>> = RECEIVED.fields().iter().cloned().collect();
    let added = [
        field(IS_ROOT, DataType::Boolean, false),
        field(IS_ENTRY, DataType::Boolean, false),
        field(DEPTH, DataType::Int32, true),
        field(PARENT_SERVICE, text(), true),
        field(ROOT_SERVICE, text(), true),
        field(ROOT_NAME, text(), true),
        field(SELF_NS, DataType::Int64, false),
        field(CRITICAL_NS, DataType::Int64, true),
        field(PATH_ID, DataType::Int64, true),
        field(EXCEPTION_TYPE, text(), true),
        field(ADJUSTED_COUNT, DataType::Float64, true),
        field(KEEP_REASON, text(), false),
        field(POLICY_REVISION, DataType::Int64, false),
        field(TRACE_COMPLETE, DataType::Boolean, false),
    ];
    fields.extend(added.into_iter().map(Arc::new));
    Arc::new(Schema::new(fields))
});

/// All columns: received, derived, sampling.
pub fn stored() -> SchemaRef {
    Arc::clone(&STORED)
}

pub const COLUMNS: &[Column] = &[
    Column { name: TRACE_ID, description: "16 bytes; SQL accepts and prints 32 hex digits" },
    Column { name: SPAN_ID, description: "8 bytes; SQL accepts and prints 16 hex digits" },
    Column { name: PARENT_SPAN_ID, description: "the parent's span_id; NULL at a root" },
    Column { name: SERVICE_NAME, description: "the resource's service.name, or unknown_service" },
    Column { name: SPAN_NAME, description: "the operation's name" },
    Column { name: KIND, description: "internal, server, client, producer, consumer or unspecified" },
    Column { name: STATUS_CODE, description: "unset, ok or error" },
    Column { name: STATUS_MESSAGE, description: "what the client said of the status; NULL if nothing" },
    Column { name: START_TIME, description: "start in UTC, whole microseconds" },
    Column { name: START_NANOS, description: "nanoseconds of the start beyond start_time: 0 to 999" },
    Column { name: DURATION_NS, description: "nanoseconds from start to end" },
    Column { name: ATTRIBUTES, description: "the span's attributes: attributes['http.route']" },
    Column { name: RESOURCE, description: "the resource's attributes: resource['service.version']" },
    Column { name: EVENTS, description: "the span's events: time, time_nanos, name, attributes" },
    Column { name: LINKS, description: "the span's links: trace_id, span_id, trace_state, flags, attributes" },
    Column { name: SCOPE_NAME, description: "the instrumentation scope's name" },
    Column { name: SCOPE_VERSION, description: "the instrumentation scope's version" },
    Column { name: TRACE_STATE, description: "the W3C tracestate as received" },
    Column { name: FLAGS, description: "the W3C trace flags and OTLP's own, as received" },
    Column { name: IS_ROOT, description: "whether the span has no parent" },
    Column { name: IS_ENTRY, description: "whether the span is where its trace enters its service" },
    Column { name: DEPTH, description: "steps from the root; NULL where a parent is missing" },
    Column { name: PARENT_SERVICE, description: "service_name of the parent; NULL where unknown" },
    Column { name: ROOT_SERVICE, description: "service_name of the trace's root" },
    Column { name: ROOT_NAME, description: "span_name of the trace's root" },
    Column { name: SELF_NS, description: "nanoseconds of the span that none of its children covers" },
    Column {
        name: CRITICAL_NS,
        description: "nanoseconds of self_ns on the trace's critical path: what its root waited for; NULL where unknown",
    },
    Column {
        name: PATH_ID,
        description: "hash of the chain of service, span name and kind from the root to the span; NULL in a cycle",
    },
    Column {
        name: EXCEPTION_TYPE,
        description: "exception.type of the last event named exception, or unknown; NULL where there is no such event, and of \
spans that were stored in format 4 or before",
    },
    Column { name: ADJUSTED_COUNT, description: "how many spans of the real stream the row stands for" },
    Column { name: KEEP_REASON, description: "why the trace was kept; pending while it is undecided" },
    Column { name: POLICY_REVISION, description: "revision of the sampling policy that decided" },
    Column { name: TRACE_COMPLETE, description: "whether root and all parents were there at the decision" },
];
