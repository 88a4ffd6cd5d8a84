//! There and back: what is decoded, encoded and decoded again is what it was.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringViewArray};
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message;
use storage::model::UnixNanos;
use storage::rows::SpanRows;
use storage::{ContentType, Encoding};

use super::{Form, encode, request};
use crate::otlp::tests::rows::{self, Row};
use crate::otlp::tests::{generate, request as request_of, span};
use crate::{Decoded, Limits, decode};

const ARRIVAL: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

fn decoded(bytes: &[u8], content_type: ContentType) -> Decoded {
    decode(&Limits::default(), content_type, Encoding::Identity, bytes, ARRIVAL).unwrap()
}

fn batch_of(decoded: &Decoded) -> Option<RecordBatch> {
    Some(SpanRows::underived(decoded.batch.clone()?).record_batch().unwrap())
}

fn sorted(decoded: &Decoded) -> Vec<Row> {
    let mut rows = rows::of(decoded);
    // Groups may change places; equal rows do not matter.
    rows.sort_by_cached_key(|row| format!("{row:?}"));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_survive_the_way_out_and_in(request in generate::request()) {
        let first = decoded(&request.encode_to_vec(), ContentType::OtlpProtobuf);
        let Some(batch) = batch_of(&first) else { return Ok(()) };
        // In two parts, as a query answers.
        let half = batch.num_rows() / 2;
        let parts = [batch.slice(0, half), batch.slice(half, batch.num_rows() - half)];
        for (form, content_type) in [(Form::Protobuf, ContentType::OtlpProtobuf), (Form::Json, ContentType::OtlpJson)] {
            let again = decoded(&encode(&parts, None, form).unwrap(), content_type);
            prop_assert_eq!(again.rejected.spans, 0);
            prop_assert_eq!(sorted(&again), sorted(&first));
        }
    }
}

/// Rows of a trace with these decisions in place of their own.
fn weighed(spans: Vec<Span>, decisions: &[(Option<f64>, &str)]) -> RecordBatch {
    let batch = batch_of(&decoded(&request_of(spans).encode_to_vec(), ContentType::OtlpProtobuf)).unwrap();
    let mut columns = batch.columns().to_vec();
    let mut put = |name: &str, column: ArrayRef| columns[batch.schema().index_of(name).unwrap()] = column;
    put("adjusted_count", Arc::new(decisions.iter().map(|(count, _)| *count).collect::<Float64Array>()));
    put("keep_reason", Arc::new(StringViewArray::from_iter_values(decisions.iter().map(|(_, reason)| reason))));
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

fn child(trace_state: &str) -> Span {
    Span { span_id: vec![3; 8], parent_span_id: vec![2; 8], trace_state: trace_state.to_owned(), ..span() }
}

#[track_caller]
fn check(root: &str, decisions: &[(Option<f64>, &str)], expected: &[&str]) {
    // The child first, since the root counts wherever it is.
    let spans = vec![child("ot=th:8;x:y"), Span { trace_state: root.to_owned(), ..span() }];
    let request = request(&[weighed(spans, decisions)], Some(1.0)).unwrap();
    let states: Vec<String> =
        request.resource_spans[0].scope_spans[0].spans.iter().map(|span| span.trace_state.clone()).collect();
    assert_eq!(states, expected, "{root:?} {decisions:?}");
}

#[test]
fn all_spans_say_what_the_root_was_decided_by() {
    let quarter = [(Some(4.0), "normal"), (Some(4.0), "normal")];
    check("a=1,ot=rv:e0000000000000", &quarter, &["ot=th:c;rv:e0000000000000;x:y", "ot=th:c;rv:e0000000000000,a=1"]);
    // Late spans that wait follow their trace.
    let late = [(Some(1.0), "pending"), (Some(4.0), "normal")];
    check("ot=rv:e0000000000000", &late, &["ot=th:c;rv:e0000000000000;x:y", "ot=th:c;rv:e0000000000000"]);
    let certain = [(Some(1.0), "error"), (Some(1.0), "error")];
    check("ot=rv:e0000000000000", &certain, &["ot=th:0;rv:e0000000000000;x:y", "ot=th:0;rv:e0000000000000"]);
    let rescued = [(Some(0.0), "rescued"), (Some(0.0), "rescued")];
    check("ot=th:8;p:4", &rescued, &["ot=x:y", "ot=p:4"]);
    for unsampled in ["all", "pending"] {
        check("a=1", &[(Some(1.0), unsampled), (Some(1.0), unsampled)], &["ot=th:8;x:y", "a=1"]);
    }
    check("a=1", &[(None, "normal"), (None, "normal")], &["ot=th:8;x:y", "a=1"]);
}

#[test]
fn spans_are_grouped_by_resource_and_scope() {
    let mut message = request_of(vec![span(), child("")]);
    let mut other = message.resource_spans[0].clone();
    other.schema_url = "https://example.com/1".to_owned();
    message.resource_spans.push(other);
    message.resource_spans.push(message.resource_spans[0].clone());
    let first = decoded(&message.encode_to_vec(), ContentType::OtlpProtobuf);
    let request = request(&[batch_of(&first).unwrap()], None).unwrap();
    let groups: Vec<(&str, Vec<usize>)> = request
        .resource_spans
        .iter()
        .map(|group| (&*group.schema_url, group.scope_spans.iter().map(|scope| scope.spans.len()).collect()))
        .collect();
    assert_eq!(groups, [("", vec![4]), ("https://example.com/1", vec![2])]);
}
