//! What tables, columns and functions there are: for people who write SQL, and for completion.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::logical_expr::Documentation;
use serde::Serialize;
use storage::schema::Table;

use crate::calibrate;
use crate::engine::Engine;
use crate::error::Result;
use crate::semantics::attributes::is_attributes;

/// The tables and functions that SQL can name.
#[derive(Debug, Serialize)]
pub struct Schema {
    pub tables: Vec<TableSchema>,
    pub functions: Vec<Function>,
}

#[derive(Debug, Serialize)]
pub struct TableSchema {
    pub name: &'static str,
    pub columns: Vec<Column>,
}

#[derive(Debug, Serialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    pub nullable: bool,
    pub description: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Function {
    pub name: String,
    pub signature: String,
    pub description: String,
}

/// A type as SQL's users call it.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        data_type if is_attributes(data_type) => "attributes".to_owned(),
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => {
            "id".to_owned()
        }
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "text".to_owned(),
        DataType::Dictionary(_, values) => type_name(values),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint".to_owned(),
        DataType::Int32 | DataType::UInt16 => "int".to_owned(),
        DataType::Int64 | DataType::UInt32 => "bigint".to_owned(),
        DataType::UInt64 => "unsigned bigint".to_owned(),
        DataType::Float16 | DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp".to_owned(),
        DataType::Timestamp(unit, _) => format!("timestamp({unit})"),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("list<{}>", type_name(item.data_type()))
        }
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{} {}", field.name(), type_name(field.data_type()))).collect();
            format!("struct<{}>", fields.join(", "))
        }
        DataType::Null => "null".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

/// The columns of the stored tables.
pub(crate) fn tables() -> Vec<TableSchema> {
    let table = |table: Table| TableSchema {
        name: table.name(),
        columns: table
            .schema()
            .fields()
            .iter()
            .map(|field| Column {
                name: field.name().clone(),
                data_type: type_name(field.data_type()),
                nullable: field.is_nullable(),
                description: table
                    .columns()
                    .iter()
                    .find(|column| column.name == field.name())
                    .map_or("", |column| column.description),
            })
            .collect(),
    };
    let shown = [Table::Spans, Table::Traces, Table::SpanMetrics, Table::EdgeMetrics, Table::Paths];
    shown.map(table).into()
}

impl Engine {
    /// Tables, columns and functions, by name.
    pub async fn schema(&self) -> Result<Schema> {
        let session = self.session().await?;
        let state = session.state();
        let scalar = state.scalar_functions().iter().map(|(name, function)| described(name, function.documentation()));
        let aggregate =
            state.aggregate_functions().iter().map(|(name, function)| described(name, function.documentation()));
        let window = state.window_functions().iter().map(|(name, function)| described(name, function.documentation()));
        let mut functions: Vec<Function> = scalar.chain(aggregate).chain(window).collect();
        functions.push(calibrate::described());
        functions.sort_by(|one, other| one.name.cmp(&other.name));
        functions.dedup_by(|one, other| one.name == other.name);
        Ok(Schema { tables: tables(), functions })
    }
}

fn described(name: &str, documentation: Option<&Documentation>) -> Function {
    let description = documentation.map(|documentation| documentation.description.as_str()).unwrap_or_default();
    let description = match name {
        "try_id" => "the id that hex text is, NULL if it is none",
        _ => description.lines().next().unwrap_or_default(),
    };
    Function {
        name: name.to_owned(),
        signature: documentation
            .map_or_else(|| format!("{name}(...)"), |documentation| documentation.syntax_example.clone()),
        description: description.trim().to_owned(),
    }
}
