//! Finds a key in each row's maps by one scan over the keys of a batch.

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, MapArray, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use storage::schema::attributes as schema;

/// One typed map of an attributes column.
pub(super) struct Entries<'a, V> {
    offsets: &'a [i32],
    nulls: Option<&'a NullBuffer>,
    keys: &'a StringArray,
    pub(super) values: &'a V,
}

impl<'a, V: 'static> Entries<'a, V> {
    fn try_new(attributes: &'a StructArray, name: &str) -> Result<Self> {
        let column: &ArrayRef =
            attributes.column_by_name(name).ok_or_else(|| exec_datafusion_err!("attributes have no map {name}"))?;
        let Some(map) = column.as_any().downcast_ref::<MapArray>() else {
            return exec_err!("attributes.{name} is no map");
        };
        let keys = map.keys().as_any().downcast_ref::<StringArray>();
        let values = map.values().as_any().downcast_ref::<V>();
        match (keys, values) {
            (Some(keys), Some(values)) => Ok(Self { offsets: map.value_offsets(), nulls: map.nulls(), keys, values }),
            _ => exec_err!("attributes.{name} has the type {}", map.data_type()),
        }
    }

    /// Calls `visit(row, index of the value)` for each row that has the key, in row order.
    pub(super) fn each(&self, key: &str, mut visit: impl FnMut(usize, usize)) {
        let (Some(&first), Some(&last)) = (self.offsets.first(), self.offsets.last()) else { return };
        let (first, last) = (first.max(0) as usize, last.max(0) as usize);
        let starts = self.keys.value_offsets();
        let bytes = self.keys.value_data();
        let mut row = 0;
        for index in first..last {
            let (from, to) = (starts[index] as usize, starts[index + 1] as usize);
            if to - from != key.len() || &bytes[from..to] != key.as_bytes() {
                continue;
            }
            while self.offsets[row + 1] as usize <= index {
                row += 1;
            }
            if self.nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                visit(row, index);
            }
        }
    }

    /// Calls `visit(key, index of the value)` for each entry of a row.
    pub(super) fn of_row(&self, row: usize, mut visit: impl FnMut(&'a str, usize)) {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return;
        }
        for index in self.offsets[row] as usize..self.offsets[row + 1] as usize {
            visit(self.keys.value(index), index);
        }
    }
}

/// The maps of an attributes column.
pub(super) struct Maps<'a> {
    pub(super) rows: usize,
    pub(super) nulls: Option<&'a NullBuffer>,
    pub(super) text: Entries<'a, StringArray>,
    pub(super) int: Entries<'a, Int64Array>,
    pub(super) float: Entries<'a, Float64Array>,
    pub(super) bool: Entries<'a, BooleanArray>,
    pub(super) json: Entries<'a, StringArray>,
}

impl<'a> Maps<'a> {
    pub(super) fn try_new(attributes: &'a StructArray) -> Result<Self> {
        Ok(Self {
            rows: attributes.len(),
            nulls: attributes.nulls(),
            text: Entries::try_new(attributes, schema::TEXT)?,
            int: Entries::try_new(attributes, schema::INT)?,
            float: Entries::try_new(attributes, schema::FLOAT)?,
            bool: Entries::try_new(attributes, schema::BOOL)?,
            json: Entries::try_new(attributes, schema::JSON)?,
        })
    }

    /// Whether the row has attributes at all; an outer join makes rows that have not.
    pub(super) fn has(&self, row: usize) -> bool {
        self.nulls.is_none_or(|nulls| nulls.is_valid(row))
    }

    /// Visits every number under the key.
    pub(super) fn each_number(&self, key: &str, mut visit: impl FnMut(usize, super::value::Number)) {
        self.int.each(key, |row, index| {
            if self.has(row) && self.int.values.is_valid(index) {
                visit(row, super::value::Number::Int(self.int.values.value(index)));
            }
        });
        self.float.each(key, |row, index| {
            if self.has(row) && self.float.values.is_valid(index) {
                visit(row, super::value::Number::Float(self.float.values.value(index)));
            }
        });
    }

    /// Visits every boolean under the key.
    pub(super) fn each_bool(&self, key: &str, mut visit: impl FnMut(usize, bool)) {
        self.bool.each(key, |row, index| {
            if self.has(row) && self.bool.values.is_valid(index) {
                visit(row, self.bool.values.value(index));
            }
        });
    }

    /// Visits the text of every value under the key, a map after the other. `scratch` is where text is made that is not
    /// stored as such.
    pub(super) fn each_text(&self, key: &str, scratch: &mut String, mut visit: impl FnMut(usize, &str)) {
        for entries in [&self.text, &self.json] {
            entries.each(key, |row, index| {
                if self.has(row) && entries.values.is_valid(index) {
                    visit(row, entries.values.value(index));
                }
            });
        }
        self.each_number(key, |row, number| {
            scratch.clear();
            number.write(scratch);
            visit(row, scratch);
        });
        self.each_bool(key, |row, bool| visit(row, if bool { "true" } else { "false" }));
    }
}
