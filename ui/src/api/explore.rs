//! Lists of traces and spans, and what there is to search for.

use axum::Json;
use axum::extract::State;
use query::attributes::Scope;
use query::schema::Schema;
use query::search::{AttributeScope, Comparison, Field, Filter, FilterValue, Page, Search, SpanRow, TraceRow};
use query::services::Listed;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::body::{JsonBody, Parameters, Range};
use super::decisions::{self, Decisions};
use super::error::ApiError;

const DEFAULT_LIMIT: usize = 50;
const DEFAULT_KEYS: usize = 200;
const MAX_KEYS: usize = 5_000;

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Rows {
    #[default]
    Traces,
    Spans,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    rows: Rows,
    limit: Option<usize>,
    cursor: Option<String>,
    filter: Option<Node>,
}

/// A node of the filter tree as it is sent.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Node {
    And {
        and: Vec<Node>,
    },
    Or {
        or: Vec<Node>,
    },
    Not {
        not: Box<Node>,
    },
    Field {
        field: String,
        op: String,
        #[serde(default)]
        value: Value,
    },
    Attribute {
        attribute: String,
        scope: Option<String>,
        op: String,
        #[serde(default)]
        value: Value,
    },
}

impl Node {
    fn filter(self) -> Result<Filter, ApiError> {
        let all = |nodes: Vec<Node>| nodes.into_iter().map(Node::filter).collect::<Result<Vec<_>, _>>();
        Ok(match self {
            Self::And { and } => Filter::All(all(and)?),
            Self::Or { or } => Filter::Any(all(or)?),
            Self::Not { not } => Filter::Not(Box::new(not.filter()?)),
            Self::Field { field, op, value } => Filter::Field {
                field: Field::parse(&field).ok_or_else(|| {
                    let known: Vec<&str> = Field::ALL.iter().map(|(_, name)| *name).collect();
                    ApiError::bad_query(format!("there is no field {field}; fields are {}", known.join(", ")))
                })?,
                comparison: comparison(&op)?,
                value: filter_value(&value)?,
            },
            Self::Attribute { attribute, scope, op, value } => Filter::Attribute {
                scope: match scope.as_deref() {
                    None | Some("any") => AttributeScope::Any,
                    Some("span") => AttributeScope::Span,
                    Some("resource") => AttributeScope::Resource,
                    Some(other) => {
                        return Err(ApiError::bad_query(format!(
                            "there is no scope {other}; scopes are any, span, resource"
                        )));
                    }
                },
                key: attribute,
                comparison: comparison(&op)?,
                value: filter_value(&value)?,
            },
        })
    }
}

fn comparison(op: &str) -> Result<Comparison, ApiError> {
    Comparison::parse(op).ok_or_else(|| {
        let known: Vec<&str> = Comparison::ALL.iter().map(|(_, symbol)| *symbol).collect();
        ApiError::bad_query(format!("there is no op {op}; ops are {}", known.join(" ")))
    })
}

fn filter_value(value: &Value) -> Result<FilterValue, ApiError> {
    Ok(match value {
        Value::Null => FilterValue::None,
        Value::Bool(bool) => FilterValue::Bool(*bool),
        Value::String(text) => FilterValue::Text(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => FilterValue::Int(int),
            (None, float) => FilterValue::Float(float.unwrap_or(f64::NAN)),
        },
        Value::Array(_) | Value::Object(_) => {
            return Err(ApiError::bad_query("a filter's value must be text, a number or a boolean"));
        }
    })
}

pub(super) async fn list(
    State(server): State<Server>,
    JsonBody(list): JsonBody<List>,
) -> Result<Json<Value>, ApiError> {
    let search = Search {
        range: Range { from: list.from, to: list.to }.times()?,
        filter: list.filter.map(Node::filter).transpose()?,
        limit: list.limit.unwrap_or(DEFAULT_LIMIT),
        cursor: list.cursor,
    };
    Ok(Json(match list.rows {
        Rows::Traces => {
            let found = server.engine.search_traces(&search).await?;
            let traces = found.rows.iter().map(|row| (row.trace_id.as_str(), row.start));
            let decisions = decisions::of_listed(&server.engine, traces).await?;
            page(found, |row| trace_row(row, &decisions))
        }
        Rows::Spans => page(server.engine.search_spans(&search).await?, span_row),
    }))
}

fn page<T>(page: Page<T>, row: impl Fn(&T) -> Value) -> Value {
    json!({
        "rows": page.rows.iter().map(row).collect::<Vec<_>>(),
        "cursor": page.cursor,
        "stats": page.stats,
        "sql": page.sql,
        "exact": true,
    })
}

fn trace_row(row: &TraceRow, decisions: &Decisions) -> Value {
    let decision = |field: &str| decisions.get(&row.trace_id).and_then(|decision| decision.get(field));
    json!({
        "trace_id": row.trace_id,
        "start": row.start.0.to_string(),
        "duration_ns": row.duration_ns,
        "root_service": row.root_service,
        "root_name": row.root_name,
        "span_count": row.span_count,
        "error_count": row.error_count,
        "services": row.services,
        "kept": row.kept,
        "keep_reason": row.keep_reason,
        "pending": row.pending,
        "class": decision("class"),
        "adjusted_count": decision("adjusted_count"),
        "head_count": decision("head_count"),
        "matched_span_id": row.matched_span_id,
        "matched_spans": row.matched_spans,
    })
}

fn span_row(row: &SpanRow) -> Value {
    json!({
        "trace_id": row.trace_id,
        "span_id": row.span_id,
        "start": row.start.0.to_string(),
        "duration_ns": row.duration_ns,
        "service_name": row.service_name,
        "span_name": row.span_name,
        "kind": row.kind,
        "status_code": row.status_code,
        "root_service": row.root_service,
        "root_name": row.root_name,
    })
}

fn listed<T>(name: &str, listed: &Listed<T>, item: impl Fn(&T) -> Value) -> Json<Value> {
    let items: Vec<Value> = listed.items.iter().map(item).collect();
    Json(json!({name: items, "stats": listed.stats, "sql": listed.sql, "exact": listed.exact}))
}

pub(super) async fn services(
    State(server): State<Server>,
    Parameters(range): Parameters<Range>,
) -> Result<Json<Value>, ApiError> {
    let answer = server.engine.services(range.times()?).await?;
    Ok(listed("services", &answer, |service| {
        json!({
            "name": service.name,
            "spans": service.spans,
            "operations": service.operations,
            "errors": service.errors,
        })
    }))
}

#[derive(Debug, Deserialize)]
pub(super) struct OperationsOf {
    service: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

pub(super) async fn operations(
    State(server): State<Server>,
    Parameters(wanted): Parameters<OperationsOf>,
) -> Result<Json<Value>, ApiError> {
    let range = Range { from: wanted.from, to: wanted.to }.times()?;
    let service = wanted.service.as_deref().filter(|service| !service.is_empty());
    let answer = server.engine.operations(service, range).await?;
    Ok(listed(
        "operations",
        &answer,
        |operation| json!({"name": operation.name, "kind": operation.kind, "spans": operation.spans}),
    ))
}

#[derive(Debug, Deserialize)]
pub(super) struct KeysLike {
    prefix: Option<String>,
    limit: Option<usize>,
    from: Option<String>,
    to: Option<String>,
}

pub(super) async fn attributes(
    State(server): State<Server>,
    Parameters(wanted): Parameters<KeysLike>,
) -> Result<Json<Value>, ApiError> {
    let range = Range { from: wanted.from, to: wanted.to }.times()?;
    let limit = wanted.limit.unwrap_or(DEFAULT_KEYS).min(MAX_KEYS);
    let answer = server.engine.attributes(wanted.prefix.as_deref().unwrap_or_default(), range, limit).await?;
    Ok(listed("attributes", &answer, |key| {
        json!({
            "key": key.key,
            "scope": match key.scope {
                Scope::Span => "span",
                Scope::Resource => "resource",
            },
            "type": key.value_type,
            "spans": key.spans,
            "values": key.values,
        })
    }))
}

pub(super) async fn schema(State(server): State<Server>) -> Result<Json<Schema>, ApiError> {
    Ok(Json(server.engine.schema().await?))
}
