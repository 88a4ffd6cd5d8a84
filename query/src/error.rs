//! The room's error: kinds by what the caller does next, and DataFusion's errors sorted into them.

use datafusion::common::{DataFusionError, SchemaError};

/// A place in the query's text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The question is wrong; asking again brings the same. Change it.
    #[error("{message}")]
    BadQuery { message: String, position: Option<Position> },

    /// It took too long. Narrow the question, or raise the limit.
    #[error("query stopped after {limit_ms} ms, the time limit; narrow its time range or filter")]
    Timeout { limit_ms: u128 },

    /// It would have taken too much memory.
    #[error("query needs more memory than its limit: {0}")]
    Resources(String),

    /// What was asked for by name or id does not exist.
    #[error("{0}")]
    NotFound(String),

    /// Not now; the same question may work later.
    #[error("{0}")]
    Unavailable(String),

    /// A bug or damaged data; a person should look.
    #[error("{0}")]
    Internal(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn bad_query(message: impl Into<String>) -> Self {
        Self::BadQuery { message: message.into(), position: None }
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::Closed | storage::Error::Busy(_) => Self::Unavailable(error.to_string()),
            other => Self::Internal(with_causes(&other)),
        }
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        DataFusionError::from(error).into()
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        let position = position(&error);
        let root = error.find_root();
        let message = plain(&root.strip_backtrace());
        match root {
            DataFusionError::ResourcesExhausted(detail) => Self::Resources(plain(detail)),
            DataFusionError::SQL(parse, _) => {
                let (message, position) = parse_error(&parse.to_string());
                Self::BadQuery { message, position }
            }
            DataFusionError::SchemaError(schema, _) => Self::BadQuery { message: schema_error(schema), position },
            DataFusionError::Plan(_)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Execution(_)
            | DataFusionError::Configuration(_)
            | DataFusionError::ArrowError(..) => Self::BadQuery { message, position },
            DataFusionError::External(source) => match source.downcast_ref::<Self>() {
                Some(Self::BadQuery { message, position: inner }) => {
                    Self::BadQuery { message: message.clone(), position: inner.or(position) }
                }
                Some(own) => Self::Internal(own.to_string()),
                None => Self::Internal(message),
            },
            DataFusionError::Collection(errors) if !errors.is_empty() => {
                Self::BadQuery { message: plain(&errors[0].strip_backtrace()), position }
            }
            // The Parquet reader evaluates filters, and makes text of their errors.
            _ if message.contains(IN_FILTER) => {
                let message = message.rsplit(IN_FILTER).next().unwrap_or_default();
                Self::bad_query(format!("a condition failed on a stored value: {}", plain(message)))
            }
            _ => Self::Internal(message),
        }
    }
}

const IN_FILTER: &str = "Error evaluating filter predicate: ";

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// DataFusion's messages begin with the name of their kind, which tells a user nothing, and some go on with its advice
/// to its own developers.
fn plain(message: &str) -> String {
    let mut message = message.trim();
    let prefixes = [
        "Error during planning: ",
        "Execution error: ",
        "This feature is not implemented: ",
        "Schema error: ",
        "Arrow error: ",
        "External error: ",
        "SQL error: ",
        "Invalid or Unsupported Configuration: ",
        "Optimizer rule ",
    ];
    while let Some(rest) = prefixes.iter().find_map(|prefix| message.strip_prefix(prefix)) {
        message = rest;
    }
    let message = message.split("\n\nbacktrace:").next().unwrap_or(message);
    let message = message.split("\nThis issue was likely caused by a bug").next().unwrap_or(message);
    let message = message.trim().trim_end_matches('.');
    let mut characters = message.chars();
    match (characters.next(), characters.next()) {
        // A word in capitals is a name of SQL, which stays as it is.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().collect::<String>() + &message[first.len_utf8()..]
        }
        _ => message.to_owned(),
    }
}

fn schema_error(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let wanted = field.name.to_lowercase();
            let mut near: Vec<&str> = valid_fields
                .iter()
                .map(|valid| valid.name.as_str())
                .filter(|valid| datafusion::common::utils::datafusion_strsim::levenshtein(valid, &wanted) <= 3)
                .collect();
            near.sort_unstable();
            near.dedup();
            let hint = match near.as_slice() {
                [] => format!(
                    "; an attribute is attributes['{}'], and the schema lists the columns",
                    field.name.replace('\'', "''")
                ),
                names => format!("; did you mean {}?", names.join(" or ")),
            };
            format!("there is no column {}{hint}", field.flat_name())
        }
        other => plain(&other.to_string()),
    }
}

/// sqlparser writes the place at the end of its message.
fn parse_error(message: &str) -> (String, Option<Position>) {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    if let Some((text, place)) = message.rsplit_once(" at Line: ")
        && let Some((line, column)) = place.split_once(", Column: ")
        && let (Ok(line), Ok(column)) = (line.trim().parse(), column.trim().parse())
    {
        return (plain(text), Some(Position { line, column }));
    }
    if message.contains("recursion limit") {
        return ("query is nested too deeply; flatten its parentheses and subqueries".to_owned(), None);
    }
    (plain(message), None)
}

fn position(error: &DataFusionError) -> Option<Position> {
    let start = match error {
        DataFusionError::Diagnostic(diagnostic, _) => diagnostic.span.map(|span| span.start),
        DataFusionError::Context(_, inner) => return position(inner),
        DataFusionError::Shared(inner) => return position(inner),
        DataFusionError::Collection(errors) => return errors.first().and_then(position),
        _ => None,
    }?;
    Some(Position { line: start.line, column: start.column })
}
