//! Gathered traces as columns: what the first phase of an aggregation hands to the second.
//!
//! For each group: `traces`, a list of (id, weight, sum, count, stratum); `left_out`; `strata`, a list of (id, count,
//! spread), where `stratum` is a place; and for quantiles `values`, a list of (trace, value, weight) whose `trace` is a
//! place in the first list.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder, Float64Array, Int32Array,
    Int64Array, ListArray, StructArray, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int32Type, Int64Type, UInt32Type};
use datafusion::common::{Result, exec_datafusion_err};

use super::gathered::{Group, ID_BYTES, Id, too_many};
use super::interval::{Stratum, Trace, Value};

const ID_WIDTH: i32 = ID_BYTES as i32;

fn number(name: &str) -> Field {
    Field::new(name, DataType::Float64, false)
}

fn trace_fields() -> Fields {
    let id = Field::new("id", DataType::FixedSizeBinary(ID_WIDTH), false);
    let stratum = Field::new("stratum", DataType::UInt32, true);
    vec![id, number("weight"), number("sum"), number("count"), stratum].into()
}

/// A stratum, also as the column that calibrated spans have.
pub(super) fn stratum_fields() -> Fields {
    vec![Field::new("id", DataType::Int64, false), number("count"), number("spread")].into()
}

fn value_fields() -> Fields {
    vec![Field::new("trace", DataType::Int32, false), number("value"), number("weight")].into()
}

fn item(fields: Fields) -> FieldRef {
    Arc::new(Field::new(Field::LIST_FIELD_DEFAULT_NAME, DataType::Struct(fields), false))
}

/// The columns of the state of the aggregate `name`.
pub(super) fn fields(name: &str, with_values: bool) -> Vec<FieldRef> {
    let list = |part: &str, fields| Field::new(format!("{name}[{part}]"), DataType::List(item(fields)), false);
    let mut fields = vec![
        list("traces", trace_fields()),
        Field::new(format!("{name}[left_out]"), DataType::Boolean, false),
        list("strata", stratum_fields()),
    ];
    if with_values {
        fields.push(list("values", value_fields()));
    }
    fields.into_iter().map(Arc::new).collect()
}

fn lists(fields: Fields, columns: Vec<ArrayRef>, lengths: impl Iterator<Item = usize>) -> Result<ArrayRef> {
    let mut offsets = vec![0_i32];
    let mut end = 0_i32;
    for length in lengths {
        end = i32::try_from(length).ok().and_then(|length| end.checked_add(length)).ok_or_else(too_many)?;
        offsets.push(end);
    }
    let values = StructArray::try_new_with_length(fields.clone(), columns, None, usize::try_from(end).unwrap_or(0))?;
    Ok(Arc::new(ListArray::try_new(item(fields), OffsetBuffer::new(offsets.into()), Arc::new(values), None)?))
}

fn numbers(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

pub(super) fn columns(groups: &[Group], with_values: bool) -> Result<Vec<ArrayRef>> {
    let traces = || groups.iter().flat_map(|group| &group.traces);
    let mut ids = FixedSizeBinaryBuilder::with_capacity(traces().count(), ID_WIDTH);
    for id in groups.iter().flat_map(|group| &group.ids) {
        ids.append_value(id)?;
    }
    let parts: Vec<ArrayRef> = vec![
        Arc::new(ids.finish()),
        numbers(traces().map(|trace| trace.weight)),
        numbers(traces().map(|trace| trace.sum)),
        numbers(traces().map(|trace| trace.count)),
        Arc::new(UInt32Array::from_iter(traces().map(|trace| trace.stratum))),
    ];
    let left_out = BooleanArray::from_iter(groups.iter().map(|group| Some(group.left_out)));
    let strata = || groups.iter().flat_map(|group| &group.strata);
    let of_strata: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(strata().map(|stratum| stratum.id))),
        numbers(strata().map(|stratum| stratum.count)),
        numbers(strata().map(|stratum| stratum.spread)),
    ];
    let mut columns: Vec<ArrayRef> = vec![
        lists(trace_fields(), parts, groups.iter().map(|group| group.traces.len()))?,
        Arc::new(left_out),
        lists(stratum_fields(), of_strata, groups.iter().map(|group| group.strata.len()))?,
    ];
    if with_values {
        let values = || groups.iter().flat_map(|group| &group.values);
        let owners = values().map(|value| i32::try_from(value.trace).map_err(|_| too_many()));
        let parts: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_iter_values(owners.collect::<Result<Vec<_>>>()?)),
            numbers(values().map(|value| value.value)),
            numbers(values().map(|value| value.weight)),
        ];
        columns.push(lists(value_fields(), parts, groups.iter().map(|group| group.values.len()))?);
    }
    Ok(columns)
}

/// Rows of strata, NULL ones included.
pub(super) fn strata(rows: &StructArray) -> Vec<Stratum> {
    let ids = rows.column(0).as_primitive::<Int64Type>().values();
    let part = |index: usize| rows.column(index).as_primitive::<Float64Type>().values();
    let (counts, spreads) = (part(1), part(2));
    (0..rows.len()).map(|row| Stratum { id: ids[row], count: counts[row], spread: spreads[row] }).collect()
}

/// Columns of a state, to be read group by group.
pub(super) struct Read<'a> {
    traces: &'a ListArray,
    left_out: &'a BooleanArray,
    strata: &'a ListArray,
    values: Option<&'a ListArray>,
}

impl<'a> Read<'a> {
    pub(super) fn new(columns: &'a [ArrayRef]) -> Result<Self> {
        let broken = || exec_datafusion_err!("the state of an estimate has another form");
        let [traces, left_out, strata, rest @ ..] = columns else { return Err(broken()) };
        Ok(Self {
            traces: traces.as_list_opt().ok_or_else(broken)?,
            left_out: left_out.as_boolean_opt().ok_or_else(broken)?,
            strata: strata.as_list_opt().ok_or_else(broken)?,
            values: rest.first().map(|values| values.as_list_opt().ok_or_else(broken)).transpose()?,
        })
    }

    pub(super) fn group(&self, row: usize) -> Result<Group> {
        let traces = self.traces.value(row);
        let traces = traces.as_struct();
        let ids: &FixedSizeBinaryArray = traces.column(0).as_fixed_size_binary();
        let part = |index: usize| traces.column(index).as_primitive::<Float64Type>().values();
        let (weights, sums, counts) = (part(1), part(2), part(3));
        let strata = traces.column(4).as_primitive::<UInt32Type>();
        let mut group = Group { left_out: self.left_out.value(row), ..Group::default() };
        for place in 0..ids.len() {
            let id = Id::try_from(ids.value(place)).map_err(|_| exec_datafusion_err!("an id of another width"))?;
            group.ids.push(id);
            let stratum = strata.is_valid(place).then(|| strata.value(place));
            group.traces.push(Trace { weight: weights[place], sum: sums[place], count: counts[place], stratum });
        }
        group.strata = self::strata(self.strata.value(row).as_struct());
        if let Some(values) = self.values {
            let values = values.value(row);
            let values = values.as_struct();
            let owners = values.column(0).as_primitive::<Int32Type>().values();
            let part = |index: usize| values.column(index).as_primitive::<Float64Type>().values();
            let (numbers, weights) = (part(1), part(2));
            for place in 0..owners.len() {
                let trace = usize::try_from(owners[place]).unwrap_or(usize::MAX);
                group.values.push(Value { trace, value: numbers[place], weight: weights[place] });
            }
        }
        Ok(group)
    }
}
