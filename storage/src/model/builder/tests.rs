//! What goes in comes out, whatever was guessed; and a copy has the same.

use proptest::prelude::*;

use super::super::{Pushed, ValueType};
use super::*;

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Int(i64),
    Float(u64),
    Bool(bool),
    Json(String),
    Unset,
}

type List = Vec<(String, Value)>;

#[derive(Debug, Clone, PartialEq)]
struct Plain {
    name: String,
    status_message: Option<String>,
    origin: (List, String, Option<String>),
    start: i64,
    flags: u32,
    /// A key may be there more than once.
    attributes: List,
    events: Vec<(i64, String, List)>,
    links: Vec<(Option<String>, List)>,
    told: Told,
}

/// When the builder is told the name, and whether the span is taken back.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    AtLast,
    First,
    /// Another one first.
    Twice,
    Discarded,
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-c]{0,2}".prop_map(Value::Text),
        (-2i64..2).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int),
        prop_oneof![Just(f64::NAN.to_bits()), Just(0.5f64.to_bits()), Just((-0.0f64).to_bits())].prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
        "[a-c]{0,2}".prop_map(Value::Json),
        Just(Value::Unset),
    ]
}

fn list() -> impl Strategy<Value = List> {
    proptest::collection::btree_map("[a-d]{1,2}", value(), 0..5)
        .prop_map(|map| map.into_iter().collect::<List>())
        .prop_shuffle()
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![Just(Told::AtLast), Just(Told::First), Just(Told::Twice), Just(Told::Discarded)]
}

/// Each key once, the last of equal ones.
fn settled(list: &List) -> List {
    let is_last = |at: usize, key: &String| !list[at + 1..].iter().any(|(other, _)| other == key);
    list.iter().enumerate().filter(|(at, (key, _))| is_last(*at, key)).map(|(_, item)| item.clone()).collect()
}

fn origin() -> impl Strategy<Value = (List, String, Option<String>)> {
    let any = (list(), "[a-b]", proptest::option::of("[a-c]{0,14}"));
    prop_oneof![3 => Just((Vec::new(), "a".to_owned(), None)), 1 => any]
}

fn span() -> impl Strategy<Value = Plain> {
    let text = || proptest::option::of("[a-c]{0,14}");
    (
        (prop_oneof!["[a-b]", "[a-b]{0,14}"], proptest::option::of("[a-c]"), origin()),
        (any::<i64>(), 0u32..2, proptest::collection::vec(("[a-d]", value()), 0..5)),
        proptest::collection::vec((any::<i64>(), "[a-b]", list()), 0..3),
        proptest::collection::vec((text(), list()), 0..2),
        told(),
    )
        .prop_map(|((name, status_message, origin), (start, flags, attributes), events, links, told)| Plain {
            name,
            status_message,
            origin,
            start,
            flags,
            attributes,
            events,
            links,
            told,
        })
}

fn fill(to: &mut AttributesBuilder<'_>, list: &List) {
    for (key, value) in list {
        match value {
            Value::Text(text) => to.push_text(key, text),
            Value::Int(int) => to.push_int(key, *int),
            Value::Float(bits) => to.push_float(key, f64::from_bits(*bits)),
            Value::Bool(bool) => to.push_bool(key, *bool),
            Value::Json(text) => to.push_json(key, text),
            Value::Unset => to.push_null(key),
        }
    }
}

fn trace_id(number: usize) -> TraceId {
    TraceId::from_bytes((number as u128 + 1).to_be_bytes()).unwrap()
}

fn span_id(number: usize) -> SpanId {
    SpanId::from_bytes((number as u64 + 1).to_be_bytes()).unwrap()
}

fn build(spans: &[Plain]) -> SpanBatch {
    let mut builder = SpanBatchBuilder::default();
    // Spans share origins, so that they can share templates.
    let mut origins = std::collections::HashMap::new();
    for (number, span) in spans.iter().enumerate() {
        let origin = *origins.entry(format!("{:?}", span.origin)).or_insert_with(|| {
            let (resource, service, scope) = &span.origin;
            let resource = builder.resource(|to| fill(to, resource));
            builder.origin(resource, service, scope.as_deref(), None)
        });
        match span.told {
            Told::AtLast => {}
            Told::First | Told::Discarded => drop(builder.name(span.name.as_bytes())),
            Told::Twice => drop(builder.name(b"b")),
        }
        let (early, later) = span.attributes.split_at(span.attributes.len().div_ceil(2));
        fill(&mut builder.attributes(), &early.to_vec());
        if span.told == Told::Twice {
            builder.name(span.name.as_bytes());
        }
        fill(&mut builder.attributes(), &later.to_vec());
        for (time, name, attributes) in &span.events {
            builder.event(UnixNanos(*time), name, |to| fill(to, attributes));
        }
        for (state, attributes) in &span.links {
            builder.link(trace_id(7), span_id(7), state.as_deref(), 3, |to| fill(to, attributes));
        }
        if span.told == Told::Discarded {
            builder.discard();
            continue;
        }
        builder.append(&SpanFields {
            trace_id: trace_id(number),
            span_id: span_id(number),
            parent_span_id: (number % 2 == 1).then(|| span_id(number - 1)),
            origin,
            span_name: span.name.as_str().into(),
            kind: "server",
            status_code: "unset",
            status_message: span.status_message.as_deref(),
            start: UnixNanos(span.start),
            duration_nanos: number as i64,
            trace_state: None,
            flags: span.flags,
        });
    }
    builder.finish().unwrap()
}

fn read_list(batch: &SpanBatch, entries: impl Iterator<Item = Entry>) -> List {
    let text = |id: ValueId| batch.texts().text(TextId(id.0)).to_owned();
    entries
        .map(|Entry { key, value }| {
            let plain = match key.value_type() {
                ValueType::Text => Value::Text(text(value)),
                ValueType::Int => Value::Int(batch.word(value).cast_signed()),
                ValueType::Float => Value::Float(batch.word(value)),
                ValueType::Bool => Value::Bool(value.0 != 0),
                ValueType::Json if value == ValueId::UNSET => Value::Unset,
                ValueType::Json => Value::Json(text(value)),
            };
            (batch.texts().text(key.key()).to_owned(), plain)
        })
        .collect()
}

fn read(batch: &SpanBatch, row: usize, told: Told) -> Plain {
    let text = |id: TextId| (!id.is_none()).then(|| batch.texts().text(id).to_owned());
    let template = batch.template(row);
    let entries =
        batch.keys(template).iter().zip(batch.values(row)).map(|(key, value)| Entry { key: *key, value: *value });
    Plain {
        name: text(template.span_name).unwrap(),
        status_message: text(template.status_message),
        origin: (
            read_list(batch, batch.resource(batch.resource_of(template)).iter().copied()),
            text(batch.service_name(template)).unwrap(),
            text(batch.scope_name(template)),
        ),
        start: batch.heads()[row].start.0,
        flags: template.flags,
        attributes: read_list(batch, entries),
        events: batch
            .events(row)
            .iter()
            .map(|event| {
                let attributes = batch.event_attributes(event).iter().copied();
                (event.time.0, text(event.name).unwrap(), read_list(batch, attributes))
            })
            .collect(),
        links: batch
            .links(row)
            .iter()
            .map(|link| (text(link.trace_state), read_list(batch, batch.link_attributes(link).iter().copied())))
            .collect(),
        told,
    }
}

proptest! {
    #[test]
    fn spans_come_out_as_they_went_in_and_so_do_copies(spans in proptest::collection::vec(span(), 1..12)) {
        let batch = build(&spans);
        let kept: Vec<Plain> = spans
            .iter()
            .filter(|span| span.told != Told::Discarded)
            .map(|span| Plain { attributes: settled(&span.attributes), ..span.clone() })
            .collect();
        prop_assert_eq!(batch.span_count(), kept.len());
        let mut copies = SpanBatchBuilder::default();
        let mut origins = CopiedOrigins::default();
        for (row, span) in kept.iter().enumerate() {
            prop_assert_eq!(&read(&batch, row, span.told), span);
            if row % 3 != 1 {
                copies.copy(&batch, row, &mut origins);
            }
        }
        let copies = copies.finish().unwrap();
        let copied: Vec<usize> = (0..kept.len()).filter(|row| row % 3 != 1).collect();
        prop_assert_eq!(copies.span_count(), copied.len());
        for (row, from) in copied.into_iter().enumerate() {
            prop_assert_eq!(&read(&copies, row, kept[from].told), &kept[from]);
            prop_assert_eq!(copies.heads()[row].trace_id, batch.heads()[from].trace_id);
            prop_assert_eq!(copies.heads()[row].parent_span_id(), batch.heads()[from].parent_span_id());
        }
    }
}

#[test]
fn attributes_that_were_compared_under_another_name_keep_their_keys() {
    let of = |name: &str, key: &str, told| Plain {
        name: name.to_owned(),
        status_message: None,
        origin: (Vec::new(), "a".to_owned(), None),
        start: 0,
        flags: 0,
        attributes: vec![(key.to_owned(), Value::Int(1))],
        events: Vec::new(),
        links: Vec::new(),
        told,
    };
    let spans = [of("b", "x", Told::First), of("c", "y", Told::First), of("c", "x", Told::Twice)];
    let batch = build(&spans);
    for (row, span) in spans.iter().enumerate() {
        assert_eq!(&read(&batch, row, span.told), span);
    }
}

#[test]
fn what_is_no_text_is_not_taken() {
    let mut builder = SpanBatchBuilder::default();
    assert_eq!(builder.name(b"\xff"), None);
    let mut attributes = builder.attributes();
    assert_eq!(attributes.push(b"\xff", crate::model::Value::Int(1)), Pushed::NotUtf8);
    assert_eq!(attributes.push(b"key", crate::model::Value::Text(b"a\xc3")), Pushed::NotUtf8);
    assert_eq!(attributes.push(b"key", crate::model::Value::Int(1)), Pushed::New);
    assert_eq!(attributes.push(b"key", crate::model::Value::Int(2)), Pushed::Replaced);
}

#[test]
fn spans_of_one_operation_share_a_template() {
    let span = Plain {
        name: "GET /".to_owned(),
        status_message: None,
        origin: (Vec::new(), "a".to_owned(), None),
        start: 0,
        flags: 0,
        attributes: vec![("key".to_owned(), Value::Int(1))],
        events: Vec::new(),
        links: Vec::new(),
        told: Told::First,
    };
    let mut builder = SpanBatchBuilder::default();
    let from = build(&[span]);
    let mut origins = CopiedOrigins::default();
    for _ in 0..100 {
        builder.copy(&from, 0, &mut origins);
    }
    let batch = builder.finish().unwrap();
    assert_eq!((batch.templates().len(), batch.resource_count(), batch.word_count()), (1, 1, 1));
    assert!(batch.size_bytes() < 100 * 80, "{}", batch.size_bytes());
}
