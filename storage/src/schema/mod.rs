//! The public tables, a file each: column names, types, and what each column means.
//!
//! People write SQL against these names. A change here is a change of the on-disk format and of public documentation:
//! it raises [`FORMAT_VERSION`].

pub mod attributes;
pub mod spans;
pub mod traces;

use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};

/// Version of the tables' layout, kept in each segment's metadata.
pub const FORMAT_VERSION: u32 = 2;

/// A stored table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    Spans,
    Traces,
}

impl Table {
    /// In the order in which a flush commits them: other engines may see digests before spans, never the reverse.
    pub const ALL: [Table; 2] = [Table::Traces, Table::Spans];

    pub fn name(self) -> &'static str {
        match self {
            Table::Spans => "spans",
            Table::Traces => "traces",
        }
    }

    pub fn schema(self) -> SchemaRef {
        match self {
            Table::Spans => spans::stored(),
            Table::Traces => traces::stored(),
        }
    }
}

/// A column and what it means, for the schema that the query service shows.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub description: &'static str,
}

fn field(name: &str, data_type: DataType, nullable: bool) -> Field {
    Field::new(name, data_type, nullable)
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}
