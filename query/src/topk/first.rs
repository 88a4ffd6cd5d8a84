//! The first of some rows by the first key of an order, and by the others where many are alike. A sort by time seldom needs more
//! than the time; ids, which settle the rest, are dear to read.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use futures::TryStreamExt;

use super::key::Key;
use super::late::{Place, Rows, places_of};

/// More rows than are asked for that are read whole, before the other keys are asked.
const MORE_ROWS: usize = 64;

/// How the first ones are found among rows of which the first key is known.
#[derive(Debug, Clone)]
pub(super) struct First {
    pub(super) fetch: usize,
    pub(super) key: Key,
    /// The columns of all keys, and the order in terms of these.
    pub(super) keys: SchemaRef,
    pub(super) order: LexOrdering,
}

impl First {
    /// Of rows that come with the first key and their places: at least those that are first, and few others.
    pub(super) async fn of(
        &self,
        mut input: SendableRecordBatchStream,
        rows: &Rows,
        task: &Arc<TaskContext>,
    ) -> Result<Vec<Place>> {
        let mut ranked: Vec<(i64, Place)> = Vec::new();
        while let Some(batch) = input.try_next().await? {
            ranked.extend(self.ranks(&batch)?.into_iter().zip(places_of(&batch)?));
        }
        if let Some(last) = self.fetch.checked_sub(1).filter(|last| *last < ranked.len()) {
            let (_, (reached, _), _) = ranked.select_nth_unstable_by_key(last, |(rank, _)| std::cmp::Reverse(*rank));
            let reached = *reached;
            ranked.retain(|(rank, _)| *rank >= reached);
        }
        let places = ranked.into_iter().map(|(_, place)| place).collect::<Vec<_>>();
        if places.len() <= self.fetch.saturating_add(MORE_ROWS) {
            return Ok(places);
        }
        let scan = rows.places(&self.keys, &places)?;
        let sorted = SortExec::new(self.order.clone(), scan).with_fetch(Some(self.fetch));
        let mut sorted = sorted.execute(0, Arc::clone(task))?;
        let mut first = Vec::new();
        while let Some(batch) = sorted.try_next().await? {
            first.extend(places_of(&batch)?);
        }
        Ok(first)
    }

    fn ranks(&self, batch: &RecordBatch) -> Result<Vec<i64>> {
        let key = batch.column_by_name(self.key.column().name());
        let key = key.ok_or_else(|| internal_datafusion_err!("rows without their sort key"))?;
        let values = cast(key, &DataType::Int64)?;
        Ok(values.as_primitive::<Int64Type>().values().iter().map(|value| self.key.rank(*value)).collect())
    }
}
