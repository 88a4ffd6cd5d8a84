//! What rows of small tables add up to where they are of the same.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int32Builder, Int64Array, Int64Builder, ListBuilder, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};

use crate::schema::{Table, edge_metrics, paths, span_metrics};

/// How the values of a column become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fold {
    Sum,
    SumOfFloats,
    Least,
    Most,
    BucketIndexes,
    BucketCounts,
}

fn fold_of(name: &str) -> Option<Fold> {
    match name {
        span_metrics::SPAN_COUNT | edge_metrics::ERROR_COUNT => Some(Fold::Sum),
        span_metrics::DURATION_SUM_NS | span_metrics::ZERO_COUNT => Some(Fold::Sum),
        span_metrics::ADJUSTED_COUNT => Some(Fold::SumOfFloats),
        span_metrics::DURATION_MIN_NS => Some(Fold::Least),
        span_metrics::DURATION_MAX_NS => Some(Fold::Most),
        span_metrics::BUCKET_INDEXES => Some(Fold::BucketIndexes),
        span_metrics::BUCKET_COUNTS => Some(Fold::BucketCounts),
        _ => None,
    }
}

/// The columns of a table by what becomes of them.
#[derive(Debug)]
pub(super) struct Columns {
    /// Rows with the same are one afterwards.
    pub identity: Vec<usize>,
    /// Taken from the first of such rows.
    pub kept: Vec<usize>,
    folds: Vec<(usize, Fold)>,
}

impl Columns {
    pub fn of(table: Table) -> Self {
        let schema = table.schema();
        let mut columns = Self { identity: Vec::new(), kept: Vec::new(), folds: Vec::new() };
        for (index, field) in schema.fields().iter().enumerate() {
            match fold_of(field.name()).filter(|_| table != Table::Paths) {
                Some(fold) => columns.folds.push((index, fold)),
                None => columns.kept.push(index),
            }
        }
        // All else of a path follows from it.
        let is_identity = |index: &usize| table != Table::Paths || schema.field(*index).name() == paths::PATH_ID;
        columns.identity = columns.kept.iter().copied().filter(is_identity).collect();
        columns
    }

    /// The numbers of a row. `None` if its buckets are not as many as their counts.
    pub fn sums(&self, rows: &RecordBatch, row: usize) -> Option<Sums> {
        let mut sums = Sums::default();
        let (mut indexes, mut counts): (&[i32], &[i64]) = (&[], &[]);
        let lists = |index: usize| {
            let list = rows.column(index).as_list_opt::<i32>()?;
            let range = usize::try_from(*list.offsets().get(row)?).ok()?
                ..usize::try_from(*list.offsets().get(row + 1)?).ok()?;
            Some((list.values(), range))
        };
        for &(index, fold) in &self.folds {
            let column = rows.column(index);
            match fold {
                Fold::Sum | Fold::Least | Fold::Most => {
                    sums.numbers.push(*column.as_primitive_opt::<Int64Type>()?.values().get(row)?);
                }
                Fold::SumOfFloats => sums.floats.push(*column.as_primitive_opt::<Float64Type>()?.values().get(row)?),
                Fold::BucketIndexes => {
                    let (values, range) = lists(index)?;
                    indexes = values.as_primitive_opt::<Int32Type>()?.values().get(range)?;
                }
                Fold::BucketCounts => {
                    let (values, range) = lists(index)?;
                    counts = values.as_primitive_opt::<Int64Type>()?.values().get(range)?;
                }
            }
        }
        if indexes.len() != counts.len() {
            return None;
        }
        sums.buckets = indexes.iter().copied().zip(counts.iter().copied()).collect();
        Some(sums)
    }

    pub fn add(&self, sums: &mut Sums, other: Sums) {
        let folds = self.folds.iter().map(|(_, fold)| *fold);
        let of_numbers = folds.filter(|fold| matches!(fold, Fold::Sum | Fold::Least | Fold::Most));
        for ((number, other), fold) in sums.numbers.iter_mut().zip(other.numbers).zip(of_numbers) {
            *number = match fold {
                Fold::Least => (*number).min(other),
                Fold::Most => (*number).max(other),
                _ => number.saturating_add(other),
            };
        }
        sums.floats.iter_mut().zip(other.floats).for_each(|(float, other)| *float += other);
        sums.buckets.extend(other.buckets);
        sums.buckets.sort_by_key(|(index, _)| *index);
        sums.buckets.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            is_same
        });
    }

    /// Columns of these numbers, by place in the table.
    pub fn columns(&self, rows: &[Sums]) -> Vec<(usize, ArrayRef)> {
        let (mut numbers, mut floats) = (0, 0);
        let column = |(index, fold): &(usize, Fold)| {
            let column: ArrayRef = match fold {
                Fold::Sum | Fold::Least | Fold::Most => {
                    numbers += 1;
                    Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.numbers[numbers - 1])))
                }
                Fold::SumOfFloats => {
                    floats += 1;
                    Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.floats[floats - 1])))
                }
                Fold::BucketIndexes => {
                    let mut lists = ListBuilder::new(Int32Builder::new()).with_field(span_metrics::index_item());
                    for row in rows {
                        row.buckets.iter().for_each(|(index, _)| lists.values().append_value(*index));
                        lists.append(true);
                    }
                    Arc::new(lists.finish())
                }
                Fold::BucketCounts => {
                    let mut lists = ListBuilder::new(Int64Builder::new()).with_field(span_metrics::count_item());
                    for row in rows {
                        row.buckets.iter().for_each(|(_, count)| lists.values().append_value(*count));
                        lists.append(true);
                    }
                    Arc::new(lists.finish())
                }
            };
            (*index, column)
        };
        self.folds.iter().map(column).collect()
    }
}

/// What is added up of a row: in the order of columns, and a histogram by index.
#[derive(Debug, Default)]
pub(super) struct Sums {
    numbers: Vec<i64>,
    floats: Vec<f64>,
    buckets: Vec<(i32, i64)>,
}
