use std::sync::Arc;

use super::counts::MOST_KEYS;
use super::*;
use crate::model::{SpanBatchBuilder, SpanFields, SpanId, TraceId};
use crate::rows::SpanRows;
use crate::schema::promoted::{PromotedType, Scope};
use crate::segment::SortedSpans;

fn key(name: &str) -> Promoted {
    of(Scope::Attributes, PromotedType::Text, name)
}

fn of(scope: Scope, value_type: PromotedType, name: &str) -> Promoted {
    Promoted { scope, value_type, key: name.into() }
}

#[track_caller]
fn check(spans: f64, counted: &[(&str, f64)], promoted: &[&str], columns: usize, expected: &[&str]) {
    let counts = KeyCounts::from_pairs(spans, counted.iter().map(|(name, count)| (key(name), *count)));
    let promoted: Vec<Promoted> = promoted.iter().map(|name| key(name)).collect();
    let chosen = choice::choose(&counts, &promoted, &PromotionSettings { columns, share: 0.01 });
    let names: Vec<&str> = chosen.iter().map(|promoted| &*promoted.key).collect();
    assert_eq!(names, expected);
}

#[test]
fn the_most_frequent_keys_are_chosen_and_never_more_than_fit() {
    check(
        1_000.0,
        &[("rare", 9.9), ("half", 500.0), ("least", 10.0), ("all", 1_000.0)],
        &[],
        9,
        &["all", "half", "least"],
    );
    check(1_000.0, &[("a", 500.0), ("c", 700.0), ("b", 500.0)], &[], 2, &["c", "a"]);
    // Those that are there count, and stay first.
    check(1_000.0, &[("a", 500.0), ("b", 700.0), ("c", 600.0)], &["b", "gone"], 3, &["c"]);
    check(1_000.0, &[("a", 500.0)], &["b", "gone"], 2, &[]);
    check(1_000.0, &[("a", 500.0)], &[], 0, &[]);
    check(999.0, &[("a", 999.0)], &[], 9, &[]);
}

#[test]
fn names_that_differ_in_case_alone_get_one_column() {
    check(1_000.0, &[("userId", 500.0), ("userid", 400.0)], &[], 9, &["userId"]);
    check(1_000.0, &[("userId", 500.0)], &["userid"], 9, &[]);
    // Types and scopes are part of the name.
    let counts = [
        of(Scope::Attributes, PromotedType::Int, "k"),
        of(Scope::Attributes, PromotedType::Text, "k"),
        of(Scope::Resource, PromotedType::Int, "k"),
    ];
    let counted = KeyCounts::from_pairs(1_000.0, counts.iter().map(|key| (key.clone(), 10.0)));
    assert_eq!(choice::choose(&counted, &[], &PromotionSettings::default()), counts);
}

fn rows(count: u64, fill: impl Fn(u64, &mut crate::model::AttributesBuilder<'_>)) -> SpanRows {
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|to| {
        to.push_text("host.name", "a");
        to.push_json("list", "[]");
    });
    let bare = builder.resource(|_| {});
    let origins = [builder.origin(resource, "service", None, None), builder.origin(bare, "bare", None, None)];
    for number in 0..count {
        fill(number, &mut builder.attributes());
        builder.append(&SpanFields {
            trace_id: TraceId::from_bytes(u128::from(number + 1).to_be_bytes()).unwrap(),
            span_id: SpanId::from_bytes((number + 1).to_be_bytes()).unwrap(),
            parent_span_id: None,
            origin: origins[usize::from(number.is_multiple_of(4))],
            span_name: "name".into(),
            kind: "server",
            status_code: "unset",
            status_message: None,
            start: UnixNanos(number as i64),
            duration_nanos: 1,
            trace_state: None,
            flags: 0,
        });
    }
    SpanRows::underived(builder.finish().unwrap())
}

fn counted(rows: &[SpanRows]) -> KeyCounts {
    let parts: Vec<Arc<SpanRows>> = rows.iter().cloned().map(Arc::new).collect();
    SortedSpans::new(SpanRows::concat(&parts)).key_counts()
}

fn sorted(counts: &KeyCounts) -> Vec<(String, f64)> {
    let mut keys: Vec<(String, f64)> = counts.keys().map(|(key, count)| (key.to_string(), count)).collect();
    keys.sort_by(|one, other| one.0.cmp(&other.0));
    keys
}

#[test]
fn spans_are_counted_by_scope_type_and_key() {
    let fill = |number: u64, to: &mut crate::model::AttributesBuilder<'_>| {
        if number.is_multiple_of(2) {
            to.push_text("k", "v");
        } else {
            to.push_int("k", number as i64);
        }
        to.push_text("two words", "v");
        to.push_null("unset");
    };
    let counts = counted(&[rows(8, fill), rows(4, fill)]);
    let expected = [("attributes__int__k", 6.0), ("attributes__text__k", 6.0), ("resource__text__host__name", 9.0)];
    assert_eq!(sorted(&counts), expected.map(|(key, count)| (key.to_owned(), count)));
    assert_eq!(counts.spans(), 12.0);
}

const HOUR_NANOS: i64 = 3_600_000_000_000;

#[test]
fn old_spans_count_less_and_an_epoch_counts_once() {
    let mut promotion = Promotion::new(PromotionSettings { columns: 9, share: 0.5 });
    let of_epoch = |name| KeyCounts::from_pairs(1_000.0, [(key(name), 1_000.0)]);
    assert!(promotion.misses(7));
    promotion.count(7, UnixNanos(0), of_epoch("old"));
    assert!(!promotion.misses(7), "its flush may be tried again");
    assert_eq!(promotion.choose(&[]), [key("old")]);
    promotion.count(8, UnixNanos(HOUR_NANOS), of_epoch("new"));
    assert_eq!(promotion.choose(&[]), [key("new")], "after an hour, a third is left of what was");
    // A clock that was set back changes nothing.
    promotion.count(9, UnixNanos(0), KeyCounts::default());
    assert_eq!(promotion.choose(&[]), [key("new")]);
    promotion.count(10, UnixNanos(20 * HOUR_NANOS), KeyCounts::default());
    assert_eq!(promotion.choose(&[]), []);
    assert_eq!(promotion.counts.keys().count(), 0);
}

#[test]
fn without_columns_nothing_is_counted() {
    let promotion = Promotion::new(PromotionSettings { columns: 0, ..PromotionSettings::default() });
    assert!(!promotion.misses(1));
    assert_eq!(promotion.choose(&[]), []);
}

#[test]
fn a_flood_of_keys_takes_no_more_memory_and_hides_no_frequent_one() {
    let mut promotion = Promotion::new(PromotionSettings::default());
    for epoch in 0..3 {
        // 20,000 keys, in requests of 500 spans.
        let of_epoch: Vec<SpanRows> = (0..40_u64)
            .map(|request| {
                rows(500, |number, to| {
                    to.push_text(&format!("k{}", epoch * 20_000 + request * 500 + number), "v");
                    if number.is_multiple_of(20) {
                        to.push_bool("frequent", true);
                    }
                })
            })
            .collect();
        let counts = counted(&of_epoch);
        assert!(counts.keys().count() <= 2 * MOST_KEYS);
        promotion.count(epoch, UnixNanos(0), counts);
        assert!(promotion.counts.keys().count() <= MOST_KEYS);
    }
    let chosen: Vec<String> = promotion.choose(&[]).iter().map(Promoted::to_string).collect();
    assert_eq!(chosen, ["resource__text__host__name", "attributes__bool__frequent"]);
}
