//! Gathered traces as DataFusion's accumulators: one for many groups, and one for a query without groups.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::gathered::{Gathered, Group, Id, Question};
use super::interval::Estimated;
use super::state;
use crate::error::Error;

/// The fields of an answer.
pub(super) fn answer_fields() -> Fields {
    let number = |name| Field::new(name, DataType::Float64, true);
    vec![
        number("estimate"),
        number("low"),
        number("high"),
        Field::new("n_eff", DataType::Float64, false),
        Field::new("exact", DataType::Boolean, false),
    ]
    .into()
}

/// The arguments as they come: values if there are any, the traces' ids, the weights, and strata if those were calibrated.
struct Arguments<'a> {
    value: Option<&'a ArrayRef>,
    id: &'a ArrayRef,
    weight: &'a ArrayRef,
    strata: Option<&'a StructArray>,
}

impl<'a> Arguments<'a> {
    /// A quantile's share stands between its value and the ids; it is in the question already.
    fn new(columns: &'a [ArrayRef]) -> Result<Self> {
        match columns {
            [own @ .., id, weight, strata] if strata.as_struct_opt().is_some() => {
                Ok(Self { value: own.first(), id, weight, strata: strata.as_struct_opt() })
            }
            [own @ .., id, weight] => Ok(Self { value: own.first(), id, weight, strata: None }),
            _ => Err(exec_datafusion_err!("an estimate needs the traces and weights of its rows")),
        }
    }
}

/// Many groups.
#[derive(Debug)]
pub(super) struct Groups {
    question: Question,
    /// Whether values are numbers; otherwise a row counts 1 unless its value is NULL.
    reads_values: bool,
    gathered: Gathered,
}

impl Groups {
    pub(super) fn new(question: Question, reads_values: bool) -> Self {
        Self { question, reads_values, gathered: Gathered::new(question) }
    }

    fn has_values(&self) -> bool {
        matches!(self.question, Question::Quantile(_))
    }

    fn update(
        &mut self,
        columns: &[ArrayRef],
        group: impl Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let arguments = Arguments::new(columns)?;
        let broken = || exec_datafusion_err!("an estimate's arguments have other types than planned");
        let ids = arguments.id.as_binary_view_opt().ok_or_else(broken)?;
        let weights = arguments.weight.as_primitive_opt::<Float64Type>().ok_or_else(broken)?;
        let numbers = match arguments.value.filter(|_| self.reads_values) {
            Some(value) => Some(numbers(value).ok_or_else(broken)?),
            None => None,
        };
        let strata = arguments.strata.map(|strata| (strata, state::strata(strata)));
        for row in 0..ids.len() {
            let passes = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if !passes || arguments.value.is_some_and(|value| value.is_null(row)) {
                continue;
            }
            let value = numbers.as_ref().map_or(1.0, |numbers| numbers.value(row));
            if value.is_nan() {
                continue;
            }
            let weight = if weights.is_valid(row) { weights.value(row) } else { f64::NAN };
            // Of weights, only positive ones are any.
            if !(weight > 0.0 && weight.is_finite()) || ids.is_null(row) {
                self.gathered.leave_out(group(row));
                continue;
            }
            let bytes = ids.value(row);
            let id = Id::try_from(bytes).map_err(|_| {
                Error::bad_query(format!("an estimate met a trace_id of {} bytes, but it has 16", bytes.len()))
            })?;
            let stratum = strata.as_ref().filter(|(rows, _)| rows.is_valid(row)).map(|(_, strata)| strata[row]);
            self.gathered.add(group(row), id, value, weight, stratum)?;
        }
        Ok(())
    }

    fn answers(&self, groups: Vec<Group>) -> StructArray {
        // One after the other, so that no two groups' values are in memory twice.
        let answers: Vec<Estimated> = groups.into_iter().map(|mut group| group.answer(self.question)).collect();
        let part = |of: fn(&Estimated) -> Option<f64>| -> ArrayRef {
            Arc::new(Float64Array::from_iter(answers.iter().map(of)))
        };
        let columns = vec![
            part(|answer| answer.estimate),
            part(|answer| answer.low),
            part(|answer| answer.high),
            part(|answer| Some(answer.effective)),
            Arc::new(BooleanArray::from_iter(answers.iter().map(|answer| Some(answer.exact)))),
        ];
        StructArray::new(answer_fields(), columns, None)
    }

    fn merge(&mut self, columns: &[ArrayRef], group: impl Fn(usize) -> usize) -> Result<()> {
        let rows = columns.first().map_or(0, |column| column.len());
        let read = state::Read::new(columns)?;
        for row in 0..rows {
            self.gathered.merge(group(row), &read.group(row)?)?;
        }
        Ok(())
    }
}

/// Numbers, or truths as 0 and 1.
fn numbers(values: &ArrayRef) -> Option<Float64Array> {
    if let Some(truths) = values.as_boolean_opt() {
        return Some(truths.iter().map(|truth| truth.map(|truth| if truth { 1.0 } else { 0.0 })).collect());
    }
    values.as_primitive_opt::<Float64Type>().cloned()
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.gathered.grow(total_num_groups);
        self.update(values, |row| group_indices[row], opt_filter)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.gathered.take(emit_to)?;
        Ok(Arc::new(self.answers(groups)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        state::columns(&self.gathered.take(emit_to)?, self.has_values())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.gathered.grow(total_num_groups);
        self.merge(values, |row| group_indices[row])
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut rows = Self::new(self.question, self.reads_values);
        rows.gathered.grow(values.first().map_or(0, |column| column.len()));
        rows.update(values, |row| row, opt_filter)?;
        rows.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.gathered.size()
    }
}

/// The whole of the rows as one group.
#[derive(Debug)]
pub(super) struct Whole(Groups);

impl Whole {
    pub(super) fn new(question: Question, reads_values: bool) -> Self {
        let mut groups = Groups::new(question, reads_values);
        groups.gathered.grow(1);
        Self(groups)
    }

    fn take(&mut self) -> Result<Vec<Group>> {
        let groups = self.0.gathered.take(EmitTo::All)?;
        self.0.gathered.grow(1);
        Ok(groups)
    }
}

impl Accumulator for Whole {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update(values, |_| 0, None)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let groups = self.take()?;
        Ok(ScalarValue::Struct(Arc::new(self.0.answers(groups))))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.gathered.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let columns = state::columns(&self.take()?, self.0.has_values())?;
        columns.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge(states, |_| 0)
    }
}
