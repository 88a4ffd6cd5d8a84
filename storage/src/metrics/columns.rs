//! Rows of metrics as columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Builder, Int64Array, Int64Builder, ListBuilder, RecordBatch,
    StringViewBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::Frozen;
use super::counts::Row;
use crate::schema::{edge_metrics, span_metrics};

/// Rows whose columns are made when someone asks for them, and kept as long as the rows.
pub trait LazyRows: std::fmt::Debug + Send + Sync {
    fn row_count(&self) -> usize;

    /// All columns of all rows. Takes its time, so call it off the async threads.
    fn columns(&self) -> Result<RecordBatch, ArrowError>;
}

impl LazyRows for Frozen<4> {
    fn row_count(&self) -> usize {
        self.row_count()
    }

    fn columns(&self) -> Result<RecordBatch, ArrowError> {
        self.columns_once(span_metrics::stored(), |rows| {
            let adjusted = Float64Array::from_iter_values(self.rows().map(|row| row.totals.adjusted));
            let names = (0..4).map(|at| rows.names(at));
            let counts: [ArrayRef; 2] = [rows.counts(|row| row.totals.spans), Arc::new(adjusted)];
            [rows.windows()].into_iter().chain(names).chain(counts).chain(rows.durations()).collect()
        })
    }
}

impl LazyRows for Frozen<3> {
    fn row_count(&self) -> usize {
        self.row_count()
    }

    fn columns(&self) -> Result<RecordBatch, ArrowError> {
        self.columns_once(edge_metrics::stored(), |rows| {
            let names = (0..3).map(|at| rows.names(at));
            let counts = [rows.counts(|row| row.totals.spans), rows.counts(|row| row.totals.errors)];
            [rows.windows()].into_iter().chain(names).chain(counts).chain(rows.durations()).collect()
        })
    }
}

impl<const N: usize> Frozen<N> {
    fn columns_once(
        &self,
        schema: SchemaRef,
        make: impl FnOnce(&Self) -> Vec<ArrayRef>,
    ) -> Result<RecordBatch, ArrowError> {
        if let Some(columns) = self.columns.get() {
            return Ok(columns.clone());
        }
        let made = RecordBatch::try_new(schema, make(self))?;
        Ok(self.columns.get_or_init(|| made).clone())
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.parts().iter().flat_map(|part| part.rows())
    }

    fn windows(&self) -> ArrayRef {
        let micros = self.rows().map(|row| row.window.micros());
        Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
    }

    fn names(&self, at: usize) -> ArrayRef {
        let mut names = StringViewBuilder::with_capacity(self.row_count()).with_deduplicate_strings();
        for part in self.parts() {
            part.rows().iter().for_each(|row| names.append_value(part.names()[row.names as usize].get(at)));
        }
        Arc::new(names.finish())
    }

    fn numbers(&self, of: impl Fn(&Row) -> i64) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(self.rows().map(of)))
    }

    fn counts(&self, of: impl Fn(&Row) -> u64) -> ArrayRef {
        self.numbers(|row| signed(of(row)))
    }

    /// The columns that both tables end with.
    fn durations(&self) -> [ArrayRef; 7] {
        let mut indexes = ListBuilder::new(Int32Builder::new()).with_field(span_metrics::index_item());
        let mut counts = ListBuilder::new(Int64Builder::new()).with_field(span_metrics::count_item());
        for part in self.parts() {
            for row in 0..part.len() {
                for bucket in part.buckets(row) {
                    indexes.values().append_value(bucket.index());
                    counts.values().append_value(signed(bucket.count()));
                }
                indexes.append(true);
                counts.append(true);
            }
        }
        [
            self.numbers(|row| row.totals.sum_nanos),
            self.numbers(|row| row.totals.min_nanos),
            self.numbers(|row| row.totals.max_nanos),
            self.counts(|row| row.totals.zeros),
            Arc::new(indexes.finish()),
            Arc::new(counts.finish()),
            Arc::new(self.rows().map(|row| Some(row.totals.is_exact)).collect::<BooleanArray>()),
        ]
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
