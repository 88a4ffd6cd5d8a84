//! `attributes_with_columns`: a column of attributes as if no key had a column of its own.
//!
//! A batch at a time and a map after the other: entries are counted, places given out, and values put there, so that the
//! cost is that of the entries, however many columns there are.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayAccessor, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, MapArray, NullBufferBuilder,
    StringArray, StringViewArray, StructArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use storage::schema::attributes as schema;
use storage::schema::promoted::{Promoted, PromotedType};

/// Takes attributes without what is in columns, if any are left, then the columns.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Assemble {
    has_rest: bool,
    columns: Vec<(PromotedType, Arc<str>)>,
    signature: Signature,
}

impl Assemble {
    pub(crate) fn new(has_rest: bool, columns: &[Promoted]) -> Self {
        let columns = columns.iter().map(|column| (column.value_type, Arc::clone(&column.key))).collect();
        Self { has_rest, columns, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Assemble {
    fn name(&self) -> &str {
        if self.has_rest { "attributes_with_columns" } else { "attributes_of_columns" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(schema::data_type())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), schema::data_type(), false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let (rest, values) = match args.args.split_first() {
            Some((rest, values)) if self.has_rest => (Some(super::attributes_argument(rest, rows)?), values),
            _ => (None, args.args.as_slice()),
        };
        let mut columns = Vec::new();
        for ((value_type, key), value) in self.columns.iter().zip(values) {
            // A column that a segment lacks comes as one NULL.
            if matches!(value, ColumnarValue::Scalar(scalar) if scalar.is_null()) {
                continue;
            }
            let array = value.to_array(rows)?;
            if array.null_count() < array.len() {
                columns.push(Present { value_type: *value_type, key, array });
            }
        }
        match (rest, columns.is_empty()) {
            (Some(rest), true) => Ok(ColumnarValue::Array(rest)),
            (rest, _) => Ok(ColumnarValue::Array(Arc::new(assemble(rest.as_deref(), &columns, rows)?))),
        }
    }
}

/// A column that has values in the batch.
struct Present<'a> {
    value_type: PromotedType,
    key: &'a str,
    array: ArrayRef,
}

fn assemble(rest: Option<&StructArray>, columns: &[Present<'_>], rows: usize) -> Result<StructArray> {
    let fields = schema::fields();
    let maps = fields.iter().map(|field| {
        let of_map: Vec<&Present<'_>> =
            columns.iter().filter(|column| column.value_type.map() == field.name()).collect();
        let rest = rest.and_then(|rest| rest.column_by_name(field.name()));
        match rest {
            Some(rest) if of_map.is_empty() => Ok(Arc::clone(rest)),
            rest => Ok(Arc::new(map(field, rest.map(|rest| rest.as_map()), &of_map, rows)?) as ArrayRef),
        }
    });
    let maps = maps.collect::<Result<Vec<_>>>()?;
    let nulls = rest.and_then(|rest| rest.nulls().cloned());
    Ok(StructArray::try_new_with_length(fields, maps, nulls, rows)?)
}

/// One map: of each row first the entries that are left, then those of its columns.
fn map(field: &Field, rest: Option<&MapArray>, columns: &[&Present<'_>], rows: usize) -> Result<MapArray> {
    let DataType::Map(entry, _) = field.data_type() else { return exec_err!("attributes.{} is no map", field.name()) };
    let DataType::Struct(parts) = entry.data_type() else { return exec_err!("a map's entries are no struct") };
    let entries = Entries::new(rest, columns, rows)?;
    let keys = entries.keys(rest, columns)?;
    let values: ArrayRef = match parts.get(1).map(|value| value.data_type()) {
        Some(DataType::Int64) => Arc::new(entries.values::<Int64Array, _>(rest, columns)?),
        Some(DataType::Float64) => Arc::new(entries.values::<Float64Array, _>(rest, columns)?),
        Some(DataType::Boolean) => Arc::new(entries.values::<BooleanArray, _>(rest, columns)?),
        _ => Arc::new(entries.texts(rest, columns)?),
    };
    let offsets = OffsetBuffer::new(ScalarBuffer::from(entries.offsets));
    let of_entries = StructArray::try_new(Fields::clone(parts), vec![Arc::new(keys), values], None)?;
    Ok(MapArray::try_new(Arc::clone(entry), offsets, of_entries, None, false)?)
}

/// Where an entry of a map comes from: the column and the row, or [`REST`] and the index in the map that is there already.
#[derive(Clone, Copy)]
struct Source {
    column: u32,
    index: u32,
}

const REST: u32 = u32::MAX;

/// The entries of one map.
struct Entries {
    offsets: Vec<i32>,
    sources: Vec<Source>,
}

fn offset(length: usize) -> Result<i32> {
    i32::try_from(length).map_err(|_| exec_datafusion_err!("attributes of a batch exceed 2 GiB"))
}

/// The indexes of a row's entries.
fn range(map: &MapArray, row: usize) -> Range<usize> {
    // Offsets of maps ascend from 0 or more.
    map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize
}

fn each_valid(array: &dyn Array, mut visit: impl FnMut(usize)) {
    match array.nulls() {
        Some(nulls) => nulls.valid_indices().for_each(visit),
        None => (0..array.len()).for_each(&mut visit),
    }
}

fn downcast<A: 'static>(array: &dyn Array) -> Result<&A> {
    array
        .as_any()
        .downcast_ref()
        .ok_or_else(|| exec_datafusion_err!("a column of attributes has the type {}", array.data_type()))
}

impl Entries {
    fn new(rest: Option<&MapArray>, columns: &[&Present<'_>], rows: usize) -> Result<Self> {
        // Counts first, one place to the right; then their sums.
        let mut next = vec![0_usize; rows + 1];
        for column in columns {
            each_valid(&column.array, |row| next[row + 1] += 1);
        }
        let of_rest = |row| rest.map_or(0..0, |rest| range(rest, row));
        for row in 0..rows {
            next[row + 1] += next[row] + of_rest(row).len();
        }
        let offsets = next.iter().map(|length| offset(*length)).collect::<Result<Vec<_>>>()?;
        let mut sources = vec![Source { column: REST, index: 0 }; next[rows]];
        if rest.is_some() {
            for row in 0..rows {
                for index in of_rest(row) {
                    sources[next[row]].index = index as u32;
                    next[row] += 1;
                }
            }
        }
        for (column, present) in columns.iter().enumerate() {
            each_valid(&present.array, |row| {
                sources[next[row]] = Source { column: column as u32, index: row as u32 };
                next[row] += 1;
            });
        }
        Ok(Self { offsets, sources })
    }

    fn keys(&self, rest: Option<&MapArray>, columns: &[&Present<'_>]) -> Result<StringArray> {
        let rest = rest.map(|rest| downcast::<StringArray>(rest.keys())).transpose()?;
        self.text_of(|source| match source.column {
            REST => rest.map(|keys| keys.value(source.index as usize)),
            column => Some(columns[column as usize].key),
        })
    }

    fn texts(&self, rest: Option<&MapArray>, columns: &[&Present<'_>]) -> Result<StringArray> {
        let rest = rest.map(|rest| downcast::<StringArray>(rest.values())).transpose()?;
        let columns = columns.iter().map(|column| downcast::<StringViewArray>(&column.array));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        self.text_of(|source| {
            let index = source.index as usize;
            match source.column {
                REST => rest.filter(|rest| rest.is_valid(index)).map(|rest| rest.value(index)),
                column => Some(columns[column as usize].value(index)),
            }
        })
    }

    fn text_of<'t>(&self, text: impl Fn(Source) -> Option<&'t str>) -> Result<StringArray> {
        let mut bytes = Vec::new();
        let mut offsets = Vec::with_capacity(self.sources.len() + 1);
        offsets.push(0);
        let mut valid = NullBufferBuilder::new(self.sources.len());
        for source in &self.sources {
            let text = text(*source);
            valid.append(text.is_some());
            bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
            offsets.push(offset(bytes.len())?);
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(StringArray::try_new(offsets, Buffer::from_vec(bytes), valid.finish())?)
    }

    fn values<'a, A, T>(&self, rest: Option<&'a MapArray>, columns: &'a [&Present<'_>]) -> Result<A>
    where
        A: Array + FromIterator<Option<T>> + 'static,
        &'a A: ArrayAccessor<Item = T>,
    {
        let rest = rest.map(|rest| downcast::<A>(rest.values())).transpose()?;
        let columns = columns.iter().map(|column| downcast::<A>(&column.array)).collect::<Result<Vec<_>>>()?;
        let value = |source: &Source| {
            let index = source.index as usize;
            match source.column {
                REST => rest.filter(|rest| rest.is_valid(index)).map(|rest| rest.value(index)),
                column => Some(columns[column as usize].value(index)),
            }
        };
        Ok(self.sources.iter().map(value).collect())
    }
}
