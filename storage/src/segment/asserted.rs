//! Damage over which the parquet crate panics. It checks most of what a file says of itself, and trusts the rest: that the pages of
//! a column do not begin before the file, as `ColumnChunkMetaData::byte_range` has it, is asserted and no error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Error, Result};

/// What `read` says, or that `what` is damaged. Without it the thread ends, and whoever waits for it believes that the store closes.
pub fn damaged_if_it_panics<T>(what: impl FnOnce() -> String, read: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a panic leaves half done an error in the same place does, too, so whoever goes on has to bear with it anyhow.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        Err(Error::Damaged { what: what(), detail: format!("reading it panicked: {}", said(&*panic)) })
    })
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader, ParquetMetaDataWriter};

    use super::*;

    /// A segment of the same size, of which no column can be asked for without a panic.
    pub(crate) fn spoiled(file: &Bytes) -> Vec<u8> {
        let footer = ParquetMetaDataReader::new().parse_and_finish(file).unwrap();
        let spoil = |column: &ColumnChunkMetaData| {
            let column = column.clone().into_builder().set_dictionary_page_offset(None).set_data_page_offset(-4);
            column.build().unwrap()
        };
        let groups = footer.row_groups().iter().map(|group| {
            let columns = group.columns().iter().map(spoil).collect();
            group.clone().into_builder().set_column_metadata(columns).build().unwrap()
        });
        let groups = groups.collect();
        let mut behind = Vec::new();
        ParquetMetaDataWriter::new(&mut behind, &footer.into_builder().set_row_groups(groups).build())
            .finish()
            .unwrap();
        let length = file.slice(file.len() - 8..file.len() - 4);
        let old = 8 + u32::from_le_bytes(length.as_ref().try_into().unwrap()) as usize;
        let mut out = file[..file.len() - old].to_vec();
        out.resize(file.len().checked_sub(behind.len()).unwrap().max(out.len()), 0);
        out.extend_from_slice(&behind);
        assert_eq!(out.len(), file.len());
        out
    }

    #[test]
    fn a_panic_says_what_is_damaged_and_an_error_stays_what_it_is() {
        let said = |read: fn() -> Result<()>| damaged_if_it_panics(|| "segment x".to_owned(), read).unwrap_err();
        assert_eq!(said(|| panic!("so")).to_string(), "segment x is damaged: reading it panicked: so");
        assert_eq!(
            said(|| panic!("so {}", "it is")).to_string(),
            "segment x is damaged: reading it panicked: so it is"
        );
        assert!(matches!(said(|| Err(Error::Closed)), Error::Closed));
    }
}
