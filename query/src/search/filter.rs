//! The filter tree, and the SQL condition over `spans s` that it is.

use crate::error::{Error, Result};
use crate::text::{containing, quoted};

/// Nodes of a filter at most.
const MAX_NODES: usize = 200;
const MAX_DEPTH: usize = 20;

#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    /// Also where the condition within has nothing to compare with.
    Not(Box<Filter>),
    Field {
        field: Field,
        comparison: Comparison,
        value: FilterValue,
    },
    Attribute {
        key: String,
        scope: AttributeScope,
        comparison: Comparison,
        value: FilterValue,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    ServiceName,
    SpanName,
    Kind,
    StatusCode,
    StatusMessage,
    DurationNs,
    TraceDurationNs,
    RootService,
    RootName,
    IsRoot,
    IsEntry,
    TraceId,
    SpanId,
    ScopeName,
    /// Of the exception that left the span.
    ExceptionType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    /// Text within the value, in either case.
    Contains,
    Exists,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeScope {
    Any,
    Span,
    Resource,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FilterValue {
    None,
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldType {
    Text,
    Id,
    Number,
    Bool,
}

impl Field {
    pub const ALL: [(Field, &'static str); 15] = [
        (Field::ServiceName, "service_name"),
        (Field::SpanName, "span_name"),
        (Field::Kind, "kind"),
        (Field::StatusCode, "status_code"),
        (Field::StatusMessage, "status_message"),
        (Field::DurationNs, "duration_ns"),
        (Field::TraceDurationNs, "trace_duration_ns"),
        (Field::RootService, "root_service"),
        (Field::RootName, "root_name"),
        (Field::IsRoot, "is_root"),
        (Field::IsEntry, "is_entry"),
        (Field::TraceId, "trace_id"),
        (Field::SpanId, "span_id"),
        (Field::ScopeName, "scope_name"),
        (Field::ExceptionType, "exception_type"),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(field, _)| *field == self).map_or("", |(_, name)| name)
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(field, _)| *field)
    }

    fn field_type(self) -> FieldType {
        match self {
            Self::DurationNs | Self::TraceDurationNs => FieldType::Number,
            Self::IsRoot | Self::IsEntry => FieldType::Bool,
            Self::TraceId | Self::SpanId => FieldType::Id,
            _ => FieldType::Text,
        }
    }

    fn column(self) -> String {
        match self {
            Self::TraceDurationNs => "d.trace_duration_ns".to_owned(),
            other => format!("s.{}", other.name()),
        }
    }
}

impl Comparison {
    pub const ALL: [(Comparison, &'static str); 8] = [
        (Comparison::Eq, "="),
        (Comparison::NotEq, "!="),
        (Comparison::Lt, "<"),
        (Comparison::LtEq, "<="),
        (Comparison::Gt, ">"),
        (Comparison::GtEq, ">="),
        (Comparison::Contains, "contains"),
        (Comparison::Exists, "exists"),
    ];

    pub fn symbol(self) -> &'static str {
        Self::ALL.iter().find(|(comparison, _)| *comparison == self).map_or("", |(_, symbol)| symbol)
    }

    pub fn parse(symbol: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == symbol).map(|(comparison, _)| *comparison)
    }
}

impl FilterValue {
    fn sql(&self) -> Option<String> {
        Some(match self {
            Self::None => return None,
            Self::Text(text) => quoted(text),
            Self::Int(int) => int.to_string(),
            Self::Float(float) if float.is_finite() => format!("{float:e}"),
            Self::Float(_) => return None,
            Self::Bool(bool) => bool.to_string(),
        })
    }
}

impl Filter {
    /// The condition in parentheses.
    pub(super) fn condition(&self) -> Result<String> {
        let mut nodes = 0;
        self.sql(0, &mut nodes)
    }

    /// Whether it asks about the trace beside the span.
    pub(super) fn names_trace(&self) -> bool {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().any(Self::names_trace),
            Self::Not(filter) => filter.names_trace(),
            Self::Field { field, .. } => *field == Field::TraceDurationNs,
            Self::Attribute { .. } => false,
        }
    }

    fn sql(&self, depth: usize, nodes: &mut usize) -> Result<String> {
        *nodes += 1;
        if depth > MAX_DEPTH || *nodes > MAX_NODES {
            return Err(Error::bad_query(format!(
                "filter is too large: at most {MAX_NODES} conditions, {MAX_DEPTH} levels deep"
            )));
        }
        let mut joined = |filters: &[Self], word: &str, empty: &str| -> Result<String> {
            if filters.is_empty() {
                return Ok(empty.to_owned());
            }
            let parts = filters.iter().map(|filter| filter.sql(depth + 1, nodes)).collect::<Result<Vec<_>>>()?;
            Ok(format!("({})", parts.join(word)))
        };
        match self {
            Self::All(filters) => joined(filters, " AND ", "true"),
            Self::Any(filters) => joined(filters, " OR ", "false"),
            Self::Not(filter) => Ok(format!("({} IS NOT TRUE)", filter.sql(depth + 1, nodes)?)),
            Self::Field { field, comparison, value } => field_condition(*field, *comparison, value),
            Self::Attribute { key, scope, comparison, value } => attribute_condition(key, *scope, *comparison, value),
        }
    }
}

fn field_condition(field: Field, comparison: Comparison, value: &FilterValue) -> Result<String> {
    let column = field.column();
    let wrong =
        |expected: &str| Err(Error::bad_query(format!("{} {} needs {expected}", field.name(), comparison.symbol())));
    if comparison == Comparison::Exists {
        return Ok(format!("({column} IS NOT NULL)"));
    }
    let value = match (field.field_type(), value) {
        (FieldType::Text | FieldType::Id, FilterValue::Text(text)) if comparison == Comparison::Contains => {
            // Ids have no text of their own to look into.
            let column =
                if field.field_type() == FieldType::Id { format!("CAST({column} AS VARCHAR)") } else { column };
            return Ok(format!("({column} ILIKE {})", containing(text)));
        }
        (_, _) if comparison == Comparison::Contains => return wrong("a text field and a text value"),
        (FieldType::Text | FieldType::Id, value @ FilterValue::Text(_))
        | (FieldType::Number, value @ (FilterValue::Int(_) | FilterValue::Float(_)))
        | (FieldType::Bool, value @ FilterValue::Bool(_)) => value.sql(),
        // Integers beyond 2^53 come as text.
        (FieldType::Number, FilterValue::Text(text)) => text.parse::<i64>().ok().map(|int| int.to_string()),
        _ => None,
    };
    match (value, field.field_type()) {
        (Some(value), _) => Ok(format!("({column} {} {value})", comparison.symbol())),
        (None, FieldType::Number) => wrong("a number"),
        (None, FieldType::Bool) => wrong("true or false"),
        (None, _) => wrong("a text"),
    }
}

fn attribute_condition(
    key: &str,
    scope: AttributeScope,
    comparison: Comparison,
    value: &FilterValue,
) -> Result<String> {
    let operand = match (comparison, value) {
        (Comparison::Exists, _) => String::new(),
        (Comparison::Contains, FilterValue::Text(text)) => containing(text),
        (Comparison::Contains, _) => {
            return Err(Error::bad_query(format!("attribute {key} contains needs a text value")));
        }
        (_, value) => value.sql().ok_or_else(|| {
            Error::bad_query(format!("attribute {key} {} needs a text, number or boolean", comparison.symbol()))
        })?,
    };
    let in_column = |column: &str| {
        let access = format!("s.{column}[{}]", quoted(key));
        match comparison {
            Comparison::Exists => format!("{access} IS NOT NULL"),
            Comparison::Contains => format!("{access} ILIKE {operand}"),
            _ => format!("{access} {} {operand}", comparison.symbol()),
        }
    };
    Ok(match scope {
        AttributeScope::Span => format!("({})", in_column("attributes")),
        AttributeScope::Resource => format!("({})", in_column("resource")),
        AttributeScope::Any => format!("({} OR {})", in_column("attributes"), in_column("resource")),
    })
}
