//! How a leaf of the output is written, and what is seen of it meanwhile.

use parquet::basic::Type;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::super::dictionary::Dictionary;
use super::super::{ColumnRanges, layout};
use crate::schema::{Table, spans};

/// A leaf of the output, and how its pages are written.
#[derive(Debug)]
pub(super) struct Column {
    pub descriptor: ColumnDescPtr,
    /// The table's, which may have columns that the output has not.
    pub leaf: usize,
    pub is_typed: bool,
    pub dictionary_bytes: usize,
    pub has_ranges: bool,
    pub has_bloom: bool,
    /// Once there is no dictionary any more, pages have values of which nothing is needed later.
    pub may_have_own: bool,
    /// An attribute's: numbers in a dictionary take whole bytes.
    pub is_aligned: bool,
    pub is_pruned_by: bool,
    pub page_rows: usize,
}

/// There may be one for each promoted attribute at once.
const PASSING_DICTIONARY_BYTES: usize = 1 << 18;

impl Column {
    /// `schema` is the output's, `whole` the table's.
    pub fn all(
        table: Table,
        whole: &SchemaDescriptor,
        schema: &SchemaDescriptor,
        properties: &WriterProperties,
    ) -> Vec<Self> {
        let column = |descriptor: &ColumnDescPtr| {
            let path = descriptor.path();
            let top = path.parts().first()?;
            let leaf = whole.columns().iter().position(|column| column.path() == path)?;
            let is_text = descriptor.physical_type() == Type::BYTE_ARRAY;
            let is_flat = descriptor.max_rep_level() == 0;
            let has_bloom = properties.bloom_filter_properties(path).is_some();
            // Of stored texts few differ, and what is derived again is added to them.
            let is_stored = table.schema().index_of(top).is_ok();
            let is_promoted_integer = !is_stored && descriptor.physical_type() == Type::INT64;
            let is_numbered = is_text && properties.dictionary_enabled(path) || is_promoted_integer;
            let has_ranges = is_flat && is_numbered && !has_bloom;
            let is_attributes = table == Table::Spans && (!is_flat || !is_stored && is_numbered);
            Some(Self {
                leaf,
                is_typed: is_flat && !is_numbered,
                dictionary_bytes: if has_bloom { layout::TRACE_ID_DICTIONARY_BYTES } else { layout::DICTIONARY_BYTES },
                has_ranges,
                has_bloom,
                may_have_own: !(is_boolean(descriptor) || has_bloom || has_ranges && is_stored),
                is_aligned: !is_stored || path.parts().ends_with(&["key_value".to_owned(), "value".to_owned()]),
                page_rows: if is_attributes { layout::ATTRIBUTE_PAGE_ROWS } else { layout::PAGE_ROWS },
                is_pruned_by: ColumnRanges::columns(table).iter().any(|name| path.parts() == [*name]),
                ..Self::passing(ColumnDescPtr::clone(descriptor))
            })
        };
        schema.columns().iter().filter_map(column).collect()
    }

    /// A flat one that is written to be read once.
    pub fn passing(descriptor: ColumnDescPtr) -> Self {
        Self {
            leaf: 0,
            is_typed: false,
            dictionary_bytes: PASSING_DICTIONARY_BYTES,
            has_ranges: false,
            has_bloom: false,
            may_have_own: !is_boolean(&descriptor),
            is_aligned: false,
            is_pruned_by: false,
            page_rows: layout::ATTRIBUTE_PAGE_ROWS,
            descriptor,
        }
    }

    pub fn name(&self) -> &str {
        self.descriptor.name()
    }
}

/// Booleans are their own numbers.
fn is_boolean(column: &ColumnDescPtr) -> bool {
    column.physical_type() == Type::BOOLEAN
}

/// Smallest and largest values of a leaf that queries prune by.
#[derive(Debug, Default)]
pub(super) struct Seen {
    is_wanted: bool,
    texts: Option<(Vec<u8>, Vec<u8>)>,
    numbers: Option<(i64, i64)>,
}

impl Seen {
    pub fn of(column: &Column) -> Self {
        Self { is_wanted: column.is_pruned_by, ..Self::default() }
    }

    pub fn texts(&mut self, dictionary: &Dictionary) {
        if !self.is_wanted {
            return;
        }
        for value in dictionary.values() {
            let (smallest, largest) = self.texts.get_or_insert_with(|| (value.to_vec(), value.to_vec()));
            if value < smallest.as_slice() {
                *smallest = value.to_vec();
            } else if value > largest.as_slice() {
                *largest = value.to_vec();
            }
        }
    }

    pub fn numbers(&mut self, values: &[i64]) {
        if let (true, Some(smallest), Some(largest)) = (self.is_wanted, values.iter().min(), values.iter().max()) {
            let known = self.numbers.get_or_insert((*smallest, *largest));
            *known = (known.0.min(*smallest), known.1.max(*largest));
        }
    }

    pub fn add_to(&self, ranges: &mut ColumnRanges, column: &Column) {
        if !self.is_wanted {
            return;
        }
        if column.is_typed {
            ranges.add_numbers(column.name(), column.name() == spans::START_TIME, self.numbers);
        } else {
            let text = |bytes| std::str::from_utf8(bytes).ok();
            let range = self.texts.as_ref().and_then(|(smallest, largest)| text(smallest).zip(text(largest)));
            ranges.add_texts(column.name(), range);
        }
    }
}
