//! The exception that left a span, among its events.
//!
//! OpenTelemetry keeps an exception as an event with the name `exception`. A span may have several: those that were caught
//! before, and last the one that nothing in the span caught.

use crate::model::{Event, SpanBatch, TextId, ValueType};

const EVENT_NAME: &[u8] = b"exception";
const TYPE_KEY: &[u8] = b"exception.type";

/// The type of an exception of which no type is said.
const UNKNOWN_TYPE: &str = "unknown";

pub(crate) fn is_exception(batch: &SpanBatch, event: &Event) -> bool {
    batch.texts().bytes(event.name) == EVENT_NAME
}

/// The type of the last exception among a span's events; `None` if there was none.
pub(crate) fn exception_type(batch: &SpanBatch, row: usize) -> Option<&str> {
    let last = batch.events(row).iter().rfind(|event| is_exception(batch, event))?;
    let is_type = |key: TextId| batch.texts().bytes(key) == TYPE_KEY;
    let entry = batch.event_attributes(last).iter().find(|entry| is_type(entry.key.key()));
    let text = entry.filter(|entry| entry.key.value_type() == ValueType::Text);
    let text = text.map(|entry| batch.texts().text(TextId(entry.value.0)));
    Some(text.filter(|text| !text.is_empty()).unwrap_or(UNKNOWN_TYPE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AttributesBuilder, SpanBatchBuilder, SpanFields, SpanId, TraceId, UnixNanos};

    type Fill = fn(&mut AttributesBuilder<'_>);

    #[track_caller]
    fn check(events: &[(&str, Fill)], expected: Option<&str>) {
        let mut builder = SpanBatchBuilder::default();
        let resource = builder.resource(|_| {});
        let origin = builder.origin(resource, "a", None, None);
        // The events of the spans before and after are not this one's.
        for own in [&[("exception", (|to| to.push_text("exception.type", "Other")) as Fill)], events, &[]] {
            own.iter().for_each(|(name, fill)| builder.event(UnixNanos(1), name, *fill));
            builder.append(&SpanFields {
                trace_id: TraceId::from_bytes([1; 16]).unwrap(),
                span_id: SpanId::from_bytes([1; 8]).unwrap(),
                parent_span_id: None,
                origin,
                span_name: "b".into(),
                kind: "server",
                status_code: "error",
                status_message: None,
                start: UnixNanos(1),
                duration_nanos: 1,
                trace_state: None,
                flags: 0,
            });
        }
        let batch = builder.finish().unwrap();
        assert_eq!(exception_type(&batch, 1), expected);
        assert_eq!((exception_type(&batch, 0), exception_type(&batch, 2)), (Some("Other"), None));
    }

    #[test]
    fn the_last_exception_of_a_span_is_its_exception() {
        let timeout: Fill = |to| to.push_text("exception.type", "java.net.SocketTimeoutException");
        let refused: Fill = |to| to.push_text("exception.type", "Refused");
        check(&[], None);
        check(&[("log", timeout), ("Exception", timeout), ("exceptions", timeout)], None);
        check(&[("exception", timeout)], Some("java.net.SocketTimeoutException"));
        check(&[("exception", refused), ("exception", timeout), ("log", refused)], {
            Some("java.net.SocketTimeoutException")
        });
        check(&[("exception", timeout), ("exception", refused)], Some("Refused"));
    }

    #[test]
    fn an_exception_without_a_type_is_unknown() {
        check(&[("exception", |_| {})], Some("unknown"));
        check(&[("exception", |to| to.push_text("exception.message", "no"))], Some("unknown"));
        check(&[("exception", |to| to.push_text("exception.type", ""))], Some("unknown"));
        check(&[("exception", |to| to.push_int("exception.type", 7))], Some("unknown"));
        check(&[("exception", |to| to.push_null("exception.type"))], Some("unknown"));
        check(&[("exception", |to| to.push_text("exception.type", "A")), ("exception", |_| {})], Some("unknown"));
    }
}
