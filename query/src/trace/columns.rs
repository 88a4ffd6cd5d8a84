//! A trace's spans as columns: what a page needs to draw them, names as dictionaries, times from the trace's start.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryViewArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    StringDictionaryBuilder, StringViewArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};

use super::TraceAnswer;
use crate::error::Result;
use crate::rows::hex_at;

impl TraceAnswer {
    /// The spans in pre-order as one batch.
    pub fn columns(&self) -> Result<RecordBatch> {
        let rows = &self.rows;
        let order = self.tree.order();
        let at = || order.iter().map(|placed| placed.row);
        // Places of up to `MAX_SPANS` fit.
        let place = |place: usize| i32::try_from(place).unwrap_or(i32::MAX);
        let ids =
            |ids: BinaryViewArray| -> ArrayRef { Arc::new(StringArray::from_iter(at().map(|row| hex_at(&ids, row)))) };
        let names = |names: StringViewArray| -> ArrayRef {
            let mut dictionary = StringDictionaryBuilder::<Int32Type>::new();
            for row in at() {
                dictionary.append_value(names.value(row));
            }
            Arc::new(dictionary.finish())
        };
        let texts = |texts: StringViewArray| -> ArrayRef {
            Arc::new(StringArray::from_iter(at().map(|row| texts.is_valid(row).then(|| texts.value(row)))))
        };
        let (durations, selves) = (rows.int("duration_ns")?, rows.int("self_ns")?);
        let entries = rows.bool("is_entry")?;
        let counts = |counts: Vec<i64>| -> ArrayRef {
            Arc::new(Int32Array::from_iter_values(at().map(|row| i32::try_from(counts[row]).unwrap_or(i32::MAX))))
        };
        let start = self.facts.start;
        let columns: Vec<(&str, bool, ArrayRef)> = vec![
            ("span_id", false, ids(rows.id("span_id")?)),
            ("parent_span_id", true, ids(rows.id("parent_span_id")?)),
            (
                "parent_row",
                false,
                Arc::new(Int32Array::from_iter_values(order.iter().map(|placed| placed.parent.map_or(-1, place)))),
            ),
            (
                "last_descendant_row",
                false,
                Arc::new(Int32Array::from_iter_values(order.iter().map(|placed| place(placed.last_descendant)))),
            ),
            ("service_name", false, names(rows.text("service_name")?)),
            ("span_name", false, names(rows.text("span_name")?)),
            ("kind", false, names(rows.text("kind")?)),
            ("status_code", false, names(rows.text("status_code")?)),
            ("status_message", true, texts(rows.text("status_message")?)),
            ("exception_type", true, texts(rows.text("exception_type")?)),
            (
                "start_offset_ns",
                false,
                Arc::new(Int64Array::from_iter_values(at().map(|row| self.starts[row].since(start)))),
            ),
            ("duration_ns", false, Arc::new(Int64Array::from_iter_values(at().map(|row| durations.value(row))))),
            (
                "depth",
                false,
                Arc::new(Int32Array::from_iter_values(
                    order.iter().map(|placed| i32::try_from(placed.depth).unwrap_or(i32::MAX)),
                )),
            ),
            (
                "self_ns",
                true,
                Arc::new(Int64Array::from_iter(at().map(|row| selves.is_valid(row).then(|| selves.value(row))))),
            ),
            ("is_entry", false, Arc::new(BooleanArray::from_iter(at().map(|row| Some(entries.value(row)))))),
            ("event_count", false, counts(rows.lengths("event_count")?)),
            ("link_count", false, counts(rows.lengths("link_count")?)),
        ];
        let field = |(name, nullable, array): &(&str, bool, ArrayRef)| {
            let data_type: DataType = array.data_type().clone();
            Field::new(*name, data_type, *nullable)
        };
        let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
        let columns = columns.into_iter().map(|(_, _, array)| array).collect();
        Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
    }
}
