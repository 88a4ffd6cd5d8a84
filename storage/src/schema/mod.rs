//! The public tables, a file each: column names, types, and what each column means.
//!
//! People write SQL against these names. A change here is a change of the on-disk format and of public documentation:
//! it raises [`FORMAT_VERSION`].

pub mod attributes;
pub mod edge_metrics;
pub mod paths;
pub mod promoted;
pub mod span_metrics;
pub mod spans;
pub mod traces;

use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};

/// Version of the tables' layout, kept in each segment's metadata and among each table's properties.
pub const FORMAT_VERSION: u32 = 6;

/// A stored table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    Spans,
    Traces,
    SpanMetrics,
    EdgeMetrics,
    Paths,
}

impl Table {
    /// In the order in which a flush commits them: other engines may see digests and paths before spans, never the reverse.
    pub const ALL: [Table; 5] = [Table::Paths, Table::Traces, Table::SpanMetrics, Table::EdgeMetrics, Table::Spans];

    pub fn name(self) -> &'static str {
        match self {
            Table::Spans => "spans",
            Table::Traces => "traces",
            Table::SpanMetrics => "span_metrics",
            Table::EdgeMetrics => "edge_metrics",
            Table::Paths => "paths",
        }
    }

    pub fn schema(self) -> SchemaRef {
        match self {
            Table::Spans => spans::stored(),
            Table::Traces => traces::stored(),
            Table::SpanMetrics => span_metrics::stored(),
            Table::EdgeMetrics => edge_metrics::stored(),
            Table::Paths => paths::stored(),
        }
    }

    pub fn columns(self) -> &'static [Column] {
        match self {
            Table::Spans => spans::COLUMNS,
            Table::Traces => traces::COLUMNS,
            Table::SpanMetrics => span_metrics::COLUMNS,
            Table::EdgeMetrics => edge_metrics::COLUMNS,
            Table::Paths => paths::COLUMNS,
        }
    }

    /// The column that says when a row was, by whose date the table is partitioned. `None` where rows are of no time.
    pub fn time_column(self) -> Option<&'static str> {
        match self {
            Table::Spans | Table::Traces => Some(spans::START_TIME),
            Table::SpanMetrics | Table::EdgeMetrics => Some(span_metrics::WINDOW_START),
            Table::Paths => None,
        }
    }
}

/// One of something for each table.
#[derive(Debug, Clone, Default)]
pub struct ByTable<T> {
    pub spans: T,
    pub traces: T,
    pub span_metrics: T,
    pub edge_metrics: T,
    pub paths: T,
}

impl<T> ByTable<T> {
    pub fn new(mut of: impl FnMut(Table) -> T) -> Self {
        Self {
            spans: of(Table::Spans),
            traces: of(Table::Traces),
            span_metrics: of(Table::SpanMetrics),
            edge_metrics: of(Table::EdgeMetrics),
            paths: of(Table::Paths),
        }
    }

    pub fn table(&self, table: Table) -> &T {
        match table {
            Table::Spans => &self.spans,
            Table::Traces => &self.traces,
            Table::SpanMetrics => &self.span_metrics,
            Table::EdgeMetrics => &self.edge_metrics,
            Table::Paths => &self.paths,
        }
    }

    pub fn table_mut(&mut self, table: Table) -> &mut T {
        match table {
            Table::Spans => &mut self.spans,
            Table::Traces => &mut self.traces,
            Table::SpanMetrics => &mut self.span_metrics,
            Table::EdgeMetrics => &mut self.edge_metrics,
            Table::Paths => &mut self.paths,
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
