//! Spans as a segment has them where some attributes have columns of their own.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{Fields, Schema};
use storage::schema::promoted::{Promoted, PromotedType, Scope};

use super::{TestSpan, Value, Values, span_batch};

fn of_scope(span: &TestSpan, scope: Scope) -> &Values {
    match scope {
        Scope::Attributes => &span.attributes,
        Scope::Resource => &span.resource,
    }
}

fn has_type(value: &Value, value_type: PromotedType) -> bool {
    matches!(
        (value, value_type),
        (Value::Text(_), PromotedType::Text)
            | (Value::Int(_), PromotedType::Int)
            | (Value::Float(_), PromotedType::Float)
            | (Value::Bool(_), PromotedType::Bool)
    )
}

fn is_promoted(promoted: &[Promoted], scope: Scope, key: &str, value: &Value) -> bool {
    promoted.iter().any(|to| to.scope == scope && &*to.key == key && has_type(value, to.value_type))
}

/// The columns of `spans` with what is promoted in columns at the end, and the keys that the maps have too. A column without
/// a value is left out.
pub(super) fn split(all: &[TestSpan], promoted: &[Promoted]) -> (RecordBatch, Vec<(Scope, Arc<str>)>) {
    let kept: Vec<&TestSpan> = all.iter().filter(|span| span.kept).collect();
    let mut rest = all.to_vec();
    for span in &mut rest {
        span.attributes.retain(|(key, value)| !is_promoted(promoted, Scope::Attributes, key, value));
        span.resource.retain(|(key, value)| !is_promoted(promoted, Scope::Resource, key, value));
    }
    let is_left =
        |to: &Promoted| rest.iter().any(|span| of_scope(span, to.scope).iter().any(|(key, _)| **key == *to.key));
    let mut mixed: Vec<(Scope, Arc<str>)> =
        promoted.iter().filter(|to| is_left(to)).map(|to| (to.scope, Arc::clone(&to.key))).collect();
    mixed.sort();
    mixed.dedup();
    let rest = span_batch(&rest);
    let mut fields: Vec<_> = rest.schema().fields().iter().cloned().collect();
    let mut columns = rest.columns().to_vec();
    for to in promoted {
        let column = column(&kept, to);
        if column.null_count() < column.len() {
            fields.push(Arc::new(to.field()));
            columns.push(column);
        }
    }
    let schema = Arc::new(Schema::new(Fields::from(fields)));
    (RecordBatch::try_new(schema, columns).expect("columns"), mixed)
}

fn column(spans: &[&TestSpan], to: &Promoted) -> ArrayRef {
    let values = spans.iter().map(|span| {
        let mut same = of_scope(span, to.scope).iter().filter(|(key, _)| **key == *to.key);
        same.find(|(_, value)| has_type(value, to.value_type)).map(|(_, value)| value)
    });
    match to.value_type {
        PromotedType::Text => Arc::new(StringViewArray::from_iter(values.map(|value| match value {
            Some(Value::Text(text)) => Some(text.as_str()),
            _ => None,
        }))),
        PromotedType::Int => Arc::new(Int64Array::from_iter(values.map(|value| match value {
            Some(Value::Int(int)) => Some(*int),
            _ => None,
        }))),
        PromotedType::Float => Arc::new(Float64Array::from_iter(values.map(|value| match value {
            Some(Value::Float(float)) => Some(*float),
            _ => None,
        }))),
        PromotedType::Bool => Arc::new(BooleanArray::from_iter(values.map(|value| match value {
            Some(Value::Bool(bool)) => Some(*bool),
            _ => None,
        }))),
    }
}
