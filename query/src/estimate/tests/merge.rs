//! Whatever way rows are split into parts, batches and groups, the answer is that of the whole.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Float64Array, Int64Array, StructArray};
use arrow::datatypes::Float64Type;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use proptest::prelude::*;

use super::super::accumulate::{Groups, Whole};
use super::super::gathered::Question;
use super::super::state::stratum_fields;

#[derive(Debug, Clone)]
struct Row {
    group: usize,
    trace: u8,
    /// By the trace, as sampling gives it, or unknown.
    weighs: bool,
    value: Option<i16>,
    passes: bool,
}

const GROUPS: usize = 4;

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0..GROUPS,
        0..20_u8,
        prop::bool::weighted(0.95),
        prop::option::weighted(0.9, any::<i16>()),
        prop::bool::weighted(0.9),
    );
    let row = row.prop_map(|(group, trace, weighs, value, passes)| Row { group, trace, weighs, value, passes });
    prop::collection::vec(row, 0..120)
}

fn columns(rows: &[Row]) -> Vec<ArrayRef> {
    let id = |row: &Row| [row.trace; 16];
    let weight = |row: &Row| row.weighs.then_some(f64::from(row.trace % 4) * 7.0 + 1.0);
    // Three strata, and some traces in none.
    let ids: Vec<i64> = rows.iter().map(|row| i64::from(row.trace % 4)).collect();
    let sizes: ArrayRef = Arc::new(Float64Array::from_iter_values(ids.iter().map(|id| 1e3 + *id as f64)));
    let nulls = ids.iter().map(|id| *id != 3).collect::<Vec<bool>>().into();
    let ids: ArrayRef = Arc::new(Int64Array::from(ids));
    let strata = StructArray::new(stratum_fields(), vec![ids, Arc::clone(&sizes), sizes], Some(nulls));
    vec![
        Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.value.map(f64::from)))),
        Arc::new(BinaryViewArray::from_iter_values(rows.iter().map(id))),
        Arc::new(Float64Array::from_iter(rows.iter().map(weight))),
        Arc::new(strata),
    ]
}

fn filter(rows: &[Row]) -> BooleanArray {
    rows.iter().map(|row| Some(row.passes)).collect()
}

fn indices(rows: &[Row]) -> Vec<usize> {
    rows.iter().map(|row| row.group).collect()
}

fn same(one: &ArrayRef, other: &ArrayRef) {
    assert_eq!(one.len(), other.len());
    for (one, other) in one.as_struct().columns().iter().zip(other.as_struct().columns()) {
        let (Some(one), Some(other)) = (one.as_primitive_opt::<Float64Type>(), other.as_primitive_opt::<Float64Type>())
        else {
            assert_eq!(one, other);
            continue;
        };
        for (one, other) in one.iter().zip(other) {
            match (one, other) {
                (Some(one), Some(other)) => assert!((one - other).abs() <= 1e-9 * one.abs().max(1.0), "{one} {other}"),
                (one, other) => assert_eq!(one, other),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn parts_merge_to_the_whole(rows in rows(), cuts in prop::collection::vec(0..120_usize, 0..4), first in 0..GROUPS) {
        for question in [Question::Total, Question::Mean, Question::Quantile(0.7)] {
            let mut whole = Groups::new(question, true);
            whole.update_batch(&columns(&rows), &indices(&rows), Some(&filter(&rows)), GROUPS).unwrap();
            let expected = whole.evaluate(EmitTo::All).unwrap();

            let mut merged = Groups::new(question, true);
            let mut rest = rows.as_slice();
            for (number, cut) in cuts.iter().chain([&usize::MAX]).enumerate() {
                let (part, after) = rest.split_at((*cut).min(rest.len()));
                rest = after;
                if number % 2 == 0 {
                    // Each row as a group of its own, as when grouping early does not pay.
                    let states = Groups::new(question, true).convert_to_state(&columns(part), Some(&filter(part))).unwrap();
                    merged.merge_batch(&states, &indices(part), GROUPS).unwrap();
                    continue;
                }
                let mut partial = Groups::new(question, true);
                partial.update_batch(&columns(part), &indices(part), Some(&filter(part)), GROUPS).unwrap();
                let emitted = partial.state(EmitTo::First(first)).unwrap();
                merged.merge_batch(&emitted, &(0..first).collect::<Vec<_>>(), GROUPS).unwrap();
                let emitted = partial.state(EmitTo::All).unwrap();
                merged.merge_batch(&emitted, &(first..GROUPS).collect::<Vec<_>>(), GROUPS).unwrap();
            }
            same(&expected, &merged.evaluate(EmitTo::All).unwrap());

            let alone: Vec<Row> = rows.iter().filter(|row| row.passes).map(|row| Row { group: 0, ..row.clone() }).collect();
            let mut groups = Groups::new(question, true);
            groups.update_batch(&columns(&alone), &indices(&alone), None, 1).unwrap();
            let (mut one, mut other, mut both) =
                (Whole::new(question, true), Whole::new(question, true), Whole::new(question, true));
            let (left, right) = alone.split_at(alone.len() / 3);
            one.update_batch(&columns(left)).unwrap();
            other.update_batch(&columns(right)).unwrap();
            for part in [&mut one, &mut other] {
                let states = part.state().unwrap();
                let states: Vec<ArrayRef> = states.iter().map(|state| state.to_array().unwrap()).collect();
                both.merge_batch(&states).unwrap();
            }
            same(&groups.evaluate(EmitTo::All).unwrap(), &both.evaluate().unwrap().to_array().unwrap());
        }
    }
}

#[test]
fn memory_is_accounted_for_and_given_back() {
    let rows: Vec<Row> =
        (0..200_u8).map(|trace| Row { group: 0, trace, weighs: true, value: Some(1), passes: true }).collect();
    let mut groups = Groups::new(Question::Quantile(0.5), true);
    let empty = groups.size();
    groups.update_batch(&columns(&rows), &indices(&rows), None, 1).unwrap();
    // An id, its place, and a value for each.
    assert!(groups.size() >= empty + 200 * (16 + 24 + 24), "{}", groups.size());
    groups.state(EmitTo::All).unwrap();
    assert!(groups.size() <= empty, "{}", groups.size());
}
