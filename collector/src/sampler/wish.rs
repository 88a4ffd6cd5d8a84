//! Whether a client wants a trace kept or not: by which attributes it says so.
//!
//! | attribute | keep | drop |
//! |---|---|---|
//! | `sampling.priority` (OpenTracing's, also as text) | above 0 | 0 or less |
//! | `_sampling_priority_v1`, and `sampling.priority` beside `datadog.span.id` | 2 or more | below 0 |
//! | `manual.keep`, `jaeger-debug-id`, and what is configured | present, and neither empty, `false` nor 0 | |
//!
//! Datadog's tracers send their priority with every trace: 1 and 0 are what their sampler thought, and nobody's wish. The
//! Collector's Datadog receiver writes it into `sampling.priority`, beside ids of its own. Zipkin's `debug` flag does not come
//! through the Collector's translator; an attribute `debug` can be configured.

use sampling::Priority;
use storage::model::{SpanBatch, TextId, Texts, TypedKey, ValueId, ValueType};

const PRIORITY: &[u8] = b"sampling.priority";
const DATADOG_PRIORITY: &[u8] = b"_sampling_priority_v1";
const DATADOG_SPAN: &[u8] = b"datadog.span.id";
const KEEP: [&[u8]; 2] = [b"manual.keep", b"jaeger-debug-id"];

/// Where spans of a template say it, if they do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    priority_at: Option<usize>,
    datadog_at: Option<usize>,
    /// Some other attribute says it.
    others: bool,
}

impl Wish {
    pub fn place(texts: &Texts, keys: &[TypedKey], force_keep: &[String]) -> Self {
        let place = |wanted: &[u8]| keys.iter().position(|key| texts.bytes(key.key()) == wanted);
        let priority = place(PRIORITY);
        let translated = priority.is_some() && place(DATADOG_SPAN).is_some();
        Self {
            priority_at: priority.filter(|_| !translated),
            datadog_at: place(DATADOG_PRIORITY).or(priority.filter(|_| translated)),
            others: keys.iter().any(|key| keeps(texts.bytes(key.key()), force_keep)),
        }
    }
}

fn keeps(key: &[u8], force_keep: &[String]) -> bool {
    KEEP.contains(&key) || force_keep.iter().any(|wanted| wanted.as_bytes() == key)
}

/// What a span wants.
pub fn of(batch: &SpanBatch, row: usize, wish: Wish, force_keep: &[String]) -> Priority {
    let datadog = number(batch, row, wish.datadog_at);
    let opentracing = number(batch, row, wish.priority_at);
    if opentracing.is_some_and(|wish| wish > 0.0)
        || datadog.is_some_and(|wish| wish >= 2.0)
        || wish.others && asks(batch, row, force_keep)
    {
        Priority::Keep
    } else if opentracing.is_some() || datadog.is_some_and(|wish| wish < 0.0) {
        Priority::Drop
    } else {
        Priority::Unset
    }
}

fn asks(batch: &SpanBatch, row: usize, force_keep: &[String]) -> bool {
    let keys = batch.keys(batch.template(row)).iter();
    keys.zip(batch.values(row))
        .any(|(key, value)| keeps(batch.texts().bytes(key.key()), force_keep) && says_something(batch, *key, *value))
}

fn says_something(batch: &SpanBatch, key: TypedKey, value: ValueId) -> bool {
    match key.value_type() {
        ValueType::Bool => value.0 != 0,
        ValueType::Int => batch.word(value) != 0,
        ValueType::Float => f64::from_bits(batch.word(value)) != 0.0,
        ValueType::Text => !matches!(batch.texts().text(TextId(value.0)), "" | "0" | "false"),
        // Headers are lists.
        ValueType::Json => !matches!(
            batch.texts().text(TextId(value.0)),
            "" | "null" | "{}" | "[]" | "[\"\"]" | "[\"0\"]" | "[\"false\"]" | "[0]" | "[false]"
        ),
    }
}

/// What a span's attribute says as a number; text is read, too, as Zipkin's tags are text.
pub fn number(batch: &SpanBatch, row: usize, at: Option<usize>) -> Option<f64> {
    let key = batch.keys(batch.template(row)).get(at?)?;
    let value = *batch.values(row).get(at?)?;
    match key.value_type() {
        ValueType::Int => Some(batch.word(value).cast_signed() as f64),
        ValueType::Float => Some(f64::from_bits(batch.word(value))),
        ValueType::Text => batch.texts().text(TextId(value.0)).parse().ok().filter(|number: &f64| !number.is_nan()),
        ValueType::Bool => Some(f64::from(value.0)),
        ValueType::Json => None,
    }
}

#[cfg(test)]
mod tests {
    use storage::model::{SpanBatchBuilder, SpanFields, SpanId, TraceId, UnixNanos, Value};

    use super::*;

    #[track_caller]
    fn check(attributes: &[(&str, Value<'_>)], expected: Priority) {
        let mut builder = SpanBatchBuilder::default();
        let resource = builder.resource(|_| {});
        let origin = builder.origin(resource, "web", None, None);
        for (key, value) in attributes {
            let _ = builder.attributes().push(key.as_bytes(), *value);
        }
        builder.append(&SpanFields {
            trace_id: TraceId::from_bytes([7; 16]).unwrap(),
            span_id: SpanId::from_bytes([1; 8]).unwrap(),
            parent_span_id: None,
            origin,
            span_name: "GET /".into(),
            kind: "server",
            status_code: "unset",
            status_message: None,
            start: UnixNanos(0),
            duration_nanos: 1,
            trace_state: None,
            flags: 0,
        });
        let batch = builder.finish().unwrap();
        let force_keep = ["http.request.header.x-force-trace".to_owned()];
        let wish = Wish::place(batch.texts(), batch.keys(batch.template(0)), &force_keep);
        assert_eq!(of(&batch, 0, wish, &force_keep), expected, "{attributes:?}");
    }

    #[test]
    fn clients_say_it_in_many_ways() {
        use Priority::{Drop, Keep, Unset};
        check(&[], Unset);
        for (value, expected) in [(1, Keep), (2, Keep), (0, Drop), (-1, Drop)] {
            check(&[("sampling.priority", Value::Int(value))], expected);
            check(&[("sampling.priority", Value::Text(value.to_string().as_bytes()))], expected);
        }
        check(&[("sampling.priority", Value::Text(b"soon"))], Unset);
        // Datadog's, as its tracers have it and as the Collector translates it.
        for (value, text, expected) in
            [(2.0, "2.000000", Keep), (1.0, "1.000000", Unset), (0.0, "0.000000", Unset), (-1.0, "-1.000000", Drop)]
        {
            check(&[("_sampling_priority_v1", Value::Float(value))], expected);
            let id = ("datadog.span.id", Value::Text(b"228114450199004348"));
            check(&[id, ("sampling.priority", Value::Text(text.as_bytes()))], expected);
            check(
                &[
                    ("_sampling_priority_v1", Value::Float(value)),
                    id,
                    ("sampling.priority", Value::Text(text.as_bytes())),
                ],
                expected,
            );
        }
        for (value, expected) in [
            (Value::Bool(true), Keep),
            (Value::Bool(false), Unset),
            (Value::Text(b"true"), Keep),
            (Value::Text(b"false"), Unset),
            (Value::Text(b""), Unset),
            (Value::Int(1), Keep),
            (Value::Int(0), Unset),
            (Value::Float(0.0), Unset),
            (Value::Json("[\"1\"]"), Keep),
            (Value::Json("[\"false\"]"), Unset),
            (Value::Json("[]"), Unset),
        ] {
            for key in ["manual.keep", "jaeger-debug-id", "http.request.header.x-force-trace"] {
                check(&[("other", Value::Bool(true)), (key, value)], expected);
            }
            check(&[("http.request.header.other", value), ("debug", value)], Unset);
        }
        check(&[("sampling.priority", Value::Int(0)), ("manual.keep", Value::Bool(true))], Keep);
    }
}
