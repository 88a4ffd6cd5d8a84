//! Chapters 6, 11 and 12 of the cases: partial success, ids, structure, times.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::rows::{self, Attribute};
use super::{NOW, decode_both, key_value, only_reason, only_row, request, request_of, span, text};
use crate::Limits;
use crate::otlp::{Cause, Decoded};

fn changed(change: impl FnOnce(&mut Span)) -> Decoded {
    let mut span = span();
    change(&mut span);
    decode_both(&Limits::default(), &request(vec![span]))
}

#[test]
fn otlp_601_to_603_invalid_spans_are_rejected_by_reason_and_the_others_stay() {
    let invalid = |change: fn(&mut Span)| {
        let mut span = span();
        change(&mut span);
        span
    };
    let spans = vec![
        span(),
        invalid(|span| span.span_id.clear()),
        invalid(|span| span.trace_id.truncate(15)),
        invalid(|span| span.trace_id.fill(0)),
        span(),
    ];
    let decoded = decode_both(&Limits::default(), &request(spans));
    assert_eq!(rows::of(&decoded).len(), 2);
    assert_eq!(
        decoded.rejected.to_string(),
        "3 spans rejected: invalid_span_id of 1 span, first at index 1: span id is missing (the JSON key is \"spanId\"); \
         invalid_trace_id of 2 spans, first at index 2: trace id has 15 bytes instead of 16",
    );
}

#[test]
fn otlp_602_all_spans_may_be_rejected() {
    let decoded = decode_both(&Limits::default(), &request(vec![Span::default(); 3]));
    assert!(decoded.batch.is_none());
    assert_eq!(decoded.rejected.spans, 3);
}

#[test]
fn otlp_1101_and_1102_ids_of_other_lengths_or_zero_are_rejected() {
    for length in [0, 15, 17] {
        let decoded = changed(|span| span.trace_id = vec![1; length]);
        assert_eq!(only_reason(&decoded), "invalid_trace_id");
    }
    for length in [0, 7, 9] {
        let decoded = changed(|span| span.span_id = vec![1; length]);
        assert_eq!(only_reason(&decoded), "invalid_span_id");
    }
    assert_eq!(only_reason(&changed(|span| span.trace_id = vec![0; 16])), "invalid_trace_id");
    assert_eq!(only_reason(&changed(|span| span.span_id = vec![0; 8])), "invalid_span_id");
}

#[test]
fn otlp_1103_and_1104_parents_that_are_none_make_roots() {
    for (parent, warned) in [(vec![], 0), (vec![0; 8], 0), (vec![1; 7], 1), (vec![1; 16], 1), (vec![0; 7], 1)] {
        let decoded = changed(|span| span.parent_span_id = parent.clone());
        assert_eq!(only_row(&decoded).parent_span_id, None, "{parent:?}");
        assert_eq!(decoded.warnings.count(Cause::ParentId), warned, "{parent:?}");
    }
    let own = changed(|span| span.parent_span_id = span.span_id.clone());
    assert_eq!(only_row(&own).parent_span_id, Some(vec![2; 8]));
}

#[test]
fn otlp_1106_links_with_invalid_ids_are_dropped_and_counted() {
    let link = |trace_id: Vec<u8>, span_id: Vec<u8>| Link { trace_id, span_id, ..Link::default() };
    let decoded = changed(|span| {
        span.links = vec![link(vec![1; 16], vec![1; 8]), link(vec![1; 15], vec![1; 8]), link(vec![1; 16], vec![0; 8])];
        span.dropped_links_count = 5;
    });
    let row = only_row(&decoded);
    assert_eq!(row.links.len(), 1);
    assert_eq!(row.attributes["otel.dropped_links_count"], Attribute::Int(7));
    assert_eq!(decoded.warnings.count(Cause::LinkIds), 2);
}

#[test]
fn otlp_1107_and_1108_trace_state_and_flags_are_kept_whole() {
    let long = format!("ot=th:zz;{}", "x".repeat(10_000));
    for state in ["ot=th:8;rv:0123456789abcd", "broken,,=", &long] {
        assert_eq!(only_row(&changed(|span| span.trace_state = state.to_owned())).trace_state.as_deref(), Some(state));
    }
    assert_eq!(only_row(&changed(|span| span.trace_state.clear())).trace_state, None);
    for flags in [0, 1, 0x300, u32::MAX] {
        assert_eq!(only_row(&changed(|span| span.flags = flags)).flags, i64::from(flags));
    }
}

#[test]
fn otlp_1109_and_1110_kind_0_is_unspecified_and_names_may_be_empty() {
    let row = only_row(&changed(|span| span.name.clear()));
    assert_eq!((row.kind.as_str(), row.span_name.as_str(), row.status_code.as_str()), ("unspecified", "", "unset"));
}

#[test]
fn otlp_1111_services_without_a_name_are_unknown_and_numbers_become_text() {
    let list = Value::ArrayValue(ArrayValue::default());
    for (attribute, expected, warned) in [
        (None, "unknown_service", 0),
        (Some(text("service.name", "")), "unknown_service", 0),
        (Some(key_value("service.name", list)), "unknown_service", 0),
        (Some(KeyValue { key: "service.name".to_owned(), ..KeyValue::default() }), "unknown_service", 0),
        (Some(key_value("service.name", Value::IntValue(7))), "7", 1),
        (Some(key_value("service.name", Value::BoolValue(true))), "true", 1),
        (Some(text("service.name", "cart")), "cart", 0),
    ] {
        let resource = Resource { attributes: attribute.into_iter().collect(), ..Resource::default() };
        let decoded = decode_both(&Limits::default(), &request_of(resource, vec![span()]));
        assert_eq!(only_row(&decoded).service_name, expected);
        assert_eq!(decoded.warnings.count(Cause::ServiceName), warned);
    }
}

#[test]
fn otlp_1201_to_1203_missing_and_reversed_times() {
    let times = |start, end| {
        changed(|span| {
            span.start_time_unix_nano = start;
            span.end_time_unix_nano = end;
        })
    };
    let reversed = times(NOW, NOW - 1);
    assert_eq!(only_row(&reversed).duration_nanos, 0);
    assert_eq!(reversed.warnings.count(Cause::EndBeforeStart), 1);
    let no_end = times(NOW, 0);
    assert_eq!((only_row(&no_end).start_unix_nanos, only_row(&no_end).duration_nanos), (NOW as i64, 0));
    assert_eq!(no_end.warnings.count(Cause::NoEnd), 1);
    let no_start = times(0, NOW);
    assert_eq!((only_row(&no_start).start_unix_nanos, only_row(&no_start).duration_nanos), (NOW as i64, 0));
    assert_eq!(no_start.warnings.count(Cause::NoStart), 1);
    assert_eq!(only_reason(&times(0, 0)), "missing_time");
}

#[test]
fn otlp_1204_times_far_ahead_and_beyond_the_retention_are_rejected() {
    const DAY: u64 = 86_400_000_000_000;
    let year_2262 = i64::MAX as u64;
    for (start, end, is_stored) in [
        (NOW, NOW + DAY, true),
        (NOW, NOW + DAY + 1, false),
        (NOW + DAY + 1, NOW, false),
        (year_2262, year_2262, false),
        (u64::MAX, u64::MAX, false),
        ((1 << 63) + 1, (1 << 63) + 1, false),
        (1, 2, true),
    ] {
        let decoded = changed(|span| {
            span.start_time_unix_nano = start;
            span.end_time_unix_nano = end;
        });
        if is_stored {
            assert_eq!(only_row(&decoded).start_unix_nanos, start as i64);
        } else {
            assert_eq!(only_reason(&decoded), "time_out_of_range", "{start} {end}");
        }
    }
    let limits = Limits { max_age_seconds: Some(3_600), ..Limits::default() };
    let mut old = span();
    old.start_time_unix_nano = NOW - DAY;
    old.end_time_unix_nano = NOW - 3_601_000_000_000;
    assert_eq!(only_reason(&decode_both(&limits, &request(vec![old.clone()]))), "time_out_of_range");
    old.end_time_unix_nano = NOW - 3_599_000_000_000;
    only_row(&decode_both(&limits, &request(vec![old])));
}

#[test]
fn otlp_1205_to_1208_times_are_exact_to_the_nanosecond() {
    for start in [1, 999, 1_000, 86_400_000_000_000, 1_483_228_799_999_999_999, NOW - 1] {
        let decoded = changed(|span| {
            span.start_time_unix_nano = start;
            span.end_time_unix_nano = start + 1;
            span.events = vec![Event { time_unix_nano: 0, ..Event::default() }];
        });
        let row = only_row(&decoded);
        assert_eq!((row.start_unix_nanos, row.duration_nanos), (start as i64, 1));
        assert_eq!(row.events[0].time_unix_nanos, 0);
    }
    const FORTY_DAYS: u64 = 40 * 86_400_000_000_000;
    let long = changed(|span| {
        span.start_time_unix_nano = NOW - FORTY_DAYS;
        span.end_time_unix_nano = NOW;
    });
    assert_eq!(only_row(&long).duration_nanos, FORTY_DAYS as i64);
}

#[test]
fn otlp_1313_everything_of_a_span_is_kept() {
    let mut full = span();
    full.status = Some(Status { message: "why".to_owned(), code: 2 });
    full.attributes = vec![text("a", "b")];
    full.dropped_attributes_count = 1;
    full.dropped_events_count = 2;
    full.dropped_links_count = 3;
    full.events = vec![Event {
        time_unix_nano: 5,
        name: "exception".to_owned(),
        attributes: vec![text("e", "f")],
        dropped_attributes_count: 4,
    }];
    full.links = vec![Link {
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        trace_state: "s".to_owned(),
        attributes: vec![text("l", "m")],
        dropped_attributes_count: 5,
        flags: 6,
    }];
    let mut message = request_of(Resource { dropped_attributes_count: 7, ..Resource::default() }, vec![full]);
    let resource = &mut message.resource_spans[0];
    resource.schema_url = "https://resource".to_owned();
    resource.scope_spans[0].schema_url = "https://scope".to_owned();
    resource.scope_spans[0].scope = Some(InstrumentationScope {
        name: "lib".to_owned(),
        version: "1".to_owned(),
        attributes: vec![text("x", "y"), key_value("n", Value::IntValue(1))],
        dropped_attributes_count: 8,
    });
    let row = only_row(&decode_both(&Limits::default(), &message));
    let word = |text: &str| Attribute::Text(text.to_owned());
    let expected = [
        ("a", word("b")),
        ("otel.dropped_attributes_count", Attribute::Int(1)),
        ("otel.dropped_events_count", Attribute::Int(2)),
        ("otel.dropped_links_count", Attribute::Int(3)),
        ("otel.schema_url", word("https://scope")),
        ("otel.scope.dropped_attributes_count", Attribute::Int(8)),
        ("otel.scope.n", Attribute::Int(1)),
        ("otel.scope.x", word("y")),
    ];
    assert_eq!(row.attributes, expected.map(|(key, value)| (key.to_owned(), value)).into());
    assert_eq!(row.resource["otel.schema_url"], word("https://resource"));
    assert_eq!(row.resource["otel.dropped_attributes_count"], Attribute::Int(7));
    assert_eq!(row.events[0].attributes["otel.dropped_attributes_count"], Attribute::Int(4));
    assert_eq!(row.links[0].attributes["otel.dropped_attributes_count"], Attribute::Int(5));
    assert_eq!((row.links[0].flags, row.links[0].trace_state.as_deref()), (6, Some("s")));
    assert_eq!((row.scope_name.as_deref(), row.scope_version.as_deref()), (Some("lib"), Some("1")));
    assert_eq!((row.status_code.as_str(), row.status_message.as_deref()), ("error", Some("why")));
}
