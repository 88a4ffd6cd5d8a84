//! Frequent attributes, each in a column of its own.
//!
//! A promoted attribute is a key of one column of attributes with one type: the text under `http.route` of `attributes` lies
//! in the column `attributes__text__http__route` of `spans`, as `attributes.text['http.route']` would name it in the maps. Values
//! of another type under the same key stay in their map, or have a column of their own, so that no value is ever converted.
//!
//! Two underscores stand for each dot: DuckDB does not find a column of a Delta table whose name has dots if it is asked for
//! in a WHERE, and without them most names need no quotes anywhere.
//!
//! # Invariants
//!
//! - A table's promoted columns are a list that only grows at its end. A segment knows how many of them there were when it was
//!   written, its [`Keys::promoted`]: of these first ones it has every value in the columns and none in the maps, of all
//!   others every value in the maps.
//! - A column that a segment lacks although it is one of its first ones is NULL in all its rows.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};

use super::{attributes, spans};
use crate::model::ValueType;

/// A column of attributes of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    Attributes,
    Resource,
}

impl Scope {
    pub const ALL: [Self; 2] = [Self::Attributes, Self::Resource];

    pub fn column(self) -> &'static str {
        match self {
            Self::Attributes => spans::ATTRIBUTES,
            Self::Resource => spans::RESOURCE,
        }
    }
}

/// A type of which values may be promoted. What is kept as JSON is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PromotedType {
    Text,
    Int,
    Float,
    Bool,
}

impl PromotedType {
    pub const ALL: [Self; 4] = [Self::Text, Self::Int, Self::Float, Self::Bool];

    /// `None` of values that are never promoted.
    pub fn of(value_type: ValueType) -> Option<Self> {
        match value_type {
            ValueType::Text => Some(Self::Text),
            ValueType::Int => Some(Self::Int),
            ValueType::Float => Some(Self::Float),
            ValueType::Bool => Some(Self::Bool),
            ValueType::Json => None,
        }
    }

    /// The map where such values lie otherwise.
    pub fn map(self) -> &'static str {
        match self {
            Self::Text => attributes::TEXT,
            Self::Int => attributes::INT,
            Self::Float => attributes::FLOAT,
            Self::Bool => attributes::BOOL,
        }
    }

    pub fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8View,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }
}

/// A key and type that has a column of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Promoted {
    pub scope: Scope,
    pub value_type: PromotedType,
    pub key: Arc<str>,
}

impl Promoted {
    /// The column's name says what is in it.
    pub fn parse(column: &str) -> Option<Self> {
        let (scope, rest) = column.split_once(DOT)?;
        let (map, key) = rest.split_once(DOT)?;
        let scope = Scope::ALL.into_iter().find(|known| known.column() == scope)?;
        let value_type = PromotedType::ALL.into_iter().find(|known| known.map() == map)?;
        let key = key.replace(DOT, ".");
        is_name(&key).then(|| Self { scope, value_type, key: key.into() })
    }

    pub fn field(&self) -> Field {
        Field::new(self.to_string(), self.value_type.data_type(), true)
    }
}

/// The column's name.
impl fmt::Display for Promoted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.replace('.', DOT);
        write!(out, "{}{DOT}{}{DOT}{key}", self.scope.column(), self.value_type.map())
    }
}

/// What stands for a dot in a column's name.
const DOT: &str = "__";

/// Bytes of a key that is promoted: longer ones make columns that nobody can read.
const MAX_KEY_BYTES: usize = 128;

/// Whether a key can be part of a column's name in every engine, and be read from it again.
pub fn is_name(key: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    !key.is_empty()
        && key.len() <= MAX_KEY_BYTES
        && key.bytes().all(is_plain)
        && key.replace('.', DOT).replace(DOT, ".") == key
}

/// Where a segment has its attributes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keys {
    /// How many of the table's promoted columns there were when the segment was written.
    pub promoted: usize,
    /// Keys with a promoted column among these that the maps may have too, with a value of another type. Mostly there are none.
    pub mixed: Vec<(Scope, Arc<str>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(column: &str, expected: Option<(Scope, PromotedType, &str)>) {
        let parsed = Promoted::parse(column);
        let parts = parsed.as_ref().map(|promoted| (promoted.scope, promoted.value_type, &*promoted.key));
        assert_eq!(parts, expected);
        if let Some(promoted) = parsed {
            assert_eq!(promoted.to_string(), column);
        }
    }

    #[test]
    fn a_column_is_named_after_its_scope_type_and_key() {
        check("attributes__text__http__route", Some((Scope::Attributes, PromotedType::Text, "http.route")));
        check("attributes__int__http__response__status_code", {
            Some((Scope::Attributes, PromotedType::Int, "http.response.status_code"))
        });
        check("resource__int__process__pid", Some((Scope::Resource, PromotedType::Int, "process.pid")));
        check("attributes__bool___private", Some((Scope::Attributes, PromotedType::Bool, "_private")));
        check("attributes__json__list", None);
        check("attributes__text__", None);
        check("attributes__text__two words", None);
        check("attributes__text", None);
        check("attributes", None);
        check("start_time", None);
        check("events__text__x", None);
    }

    #[test]
    fn a_key_that_its_column_would_not_give_back_has_none() {
        for (key, expected) in [
            ("http.route", true),
            ("k8s.pod.label.app.kubernetes.io/name", true),
            ("_a", true),
            ("a_", true),
            ("a._b", true),
            ("a..b", true),
            ("a_.b", false),
            ("a__b", false),
            ("", false),
            ("sp ace", false),
            ("größe", false),
        ] {
            assert_eq!(is_name(key), expected, "{key}");
            let promoted = Promoted { scope: Scope::Attributes, value_type: PromotedType::Text, key: key.into() };
            let is_read_again = Promoted::parse(&promoted.to_string()).as_ref() == Some(&promoted);
            assert_eq!(is_read_again, expected, "{key}");
        }
        assert!(is_name(&"k".repeat(128)) && !is_name(&"k".repeat(129)));
    }
}
