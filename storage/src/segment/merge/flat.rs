//! Flat columns of a segment, value by value, for who only looks at them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parquet::file::reader::ChunkReader;
use parquet::schema::types::SchemaDescriptor;

use super::input::{self, Input};
use super::pages::{LeafPage, LeafPages, PageValues};
use super::{MergeInput, columns_of};
use crate::Result;
use crate::schema::Table;
use crate::schema::promoted::Promoted;

/// A segment's file of which some columns are read.
pub struct FlatColumns {
    schema: SchemaDescriptor,
    input: Input,
}

impl FlatColumns {
    /// `promoted` are all columns of attributes that the table has. Once `cancelled` is true, reading ends with
    /// [`Error::Closed`](crate::Error::Closed).
    pub fn open<R: ChunkReader + 'static>(
        table: Table,
        promoted: &[Promoted],
        segment: MergeInput<R>,
        cancelled: &Arc<AtomicBool>,
    ) -> Result<Self> {
        let MergeInput { name, file, keys, .. } = segment;
        let Some(known) = promoted.get(..keys.promoted) else {
            return Err(input::damaged(&name, "it has more promoted columns than its table"));
        };
        let schema = columns_of(table, known)?;
        Ok(Self { input: Input::open(name, file, &schema, Arc::clone(cancelled))?, schema })
    }

    pub fn row_count(&self) -> u64 {
        self.input.rows
    }

    /// Shows each row of a column what `learn` says of its value, which it is asked once for each value of a dictionary. Numbers
    /// are little-endian. NULL is an error, as is a column that is not there: each row is shown.
    pub fn for_each_row<T: Copy>(
        &self,
        column: &str,
        learn: impl FnMut(&[u8]) -> T,
        mut see: impl FnMut(u64, T),
    ) -> Result<()> {
        let leaf = self.schema.columns().iter().position(|of_table| of_table.path().parts() == [column]);
        let mut rows = 0;
        if let Some(leaf) = leaf {
            for_each_row(&self.input, leaf, learn, |row, of_value| {
                rows += 1;
                see(row, of_value);
            })?;
        }
        if rows == self.input.rows {
            return Ok(());
        }
        Err(self.input.damaged(&format!("{column} has {rows} rows, and its footer says {}", self.input.rows)))
    }

    pub fn damaged(&self, detail: &str) -> crate::Error {
        self.input.damaged(detail)
    }
}

/// Shows each row of a flat column without NULL what `learn` says of its value, which it is asked once for each value of a
/// dictionary.
pub(super) fn for_each_row<T: Copy>(
    input: &Input,
    leaf: usize,
    mut learn: impl FnMut(&[u8]) -> T,
    mut see: impl FnMut(u64, T),
) -> Result<()> {
    let Some(leaf) = input.leaf(leaf) else { return Ok(()) };
    let mut pages = LeafPages::open(input, leaf, 0, 0);
    let mut page = LeafPage::default();
    let mut known: Vec<Option<T>> = Vec::new();
    let (mut generation, mut row) = (0, 0);
    while pages.next(&mut page)?.is_some() {
        if generation != pages.generation {
            known.clear();
            generation = pages.generation;
        }
        known.resize(pages.dictionary.len(), None);
        for &number in &page.numbers {
            let of_value = match &page.values {
                PageValues::Own(values) => learn(values.get(number)),
                _ => *known[number as usize].get_or_insert_with(|| learn(pages.dictionary.get(number))),
            };
            see(row, of_value);
            row += 1;
        }
    }
    Ok(())
}
