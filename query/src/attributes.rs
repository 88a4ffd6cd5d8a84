//! The catalogue of attribute keys: their types, how often they occur, and their most frequent values.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use storage::schema::attributes as schema;

use crate::engine::{Engine, SqlRequest};
use crate::error::{Error, Result};
use crate::services::Listed;
use crate::text::{TimeRange, filter};

/// Spans that are looked at; what is said of more is not exact.
const MAX_SPANS: usize = 20_000;
const MAX_KEYS: usize = 20_000;
/// Values that are counted for a key; later ones only count for the key.
const MAX_VALUES: usize = 1_000;
const TOP_VALUES: usize = 10;
/// A longer value is no help to complete.
const MAX_VALUE_BYTES: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    Span,
    Resource,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeKey {
    pub key: String,
    pub scope: Scope,
    /// `text`, `int`, `float`, `bool` or `json`.
    pub value_type: &'static str,
    pub spans: u64,
    /// Most frequent first.
    pub values: Vec<String>,
}

/// A map of an attributes column, for one of the two columns.
type Source = (Scope, &'static str);

#[derive(Default)]
struct Seen {
    spans: u64,
    values: HashMap<String, u64>,
}

#[derive(Default)]
struct Catalogue {
    keys: HashMap<Source, HashMap<String, Seen>>,
    key_count: usize,
    cut: bool,
}

impl Engine {
    /// Keys that begin with `prefix`, most frequent first.
    pub async fn attributes(&self, prefix: &str, range: TimeRange, limit: usize) -> Result<Listed<AttributeKey>> {
        let sql = format!("SELECT attributes, resource FROM spans{}", filter(&range.conditions("spans")));
        let request = SqlRequest { limit: Some(MAX_SPANS), ..SqlRequest::new(sql.clone()) };
        let mut answer = self.sql(request).await?;
        let prefix = prefix.to_owned();
        // Counting is work for the query threads.
        let counting = self.threads.spawn(async move {
            let mut catalogue = Catalogue::default();
            while let Some(batch) = answer.next().await {
                catalogue.add(&batch?, &prefix)?;
            }
            Ok::<_, Error>((catalogue, answer))
        });
        let (catalogue, answer) = counting.join().await??;
        let exact = !answer.truncated() && !catalogue.cut;
        Ok(Listed { items: catalogue.most_frequent(limit), stats: answer.stats(), sql, exact })
    }
}

impl Catalogue {
    fn add(&mut self, batch: &RecordBatch, prefix: &str) -> Result<()> {
        for (column, scope) in [("attributes", Scope::Span), ("resource", Scope::Resource)] {
            let Some(column) = batch.column_by_name(column) else { continue };
            for value_type in [schema::TEXT, schema::INT, schema::FLOAT, schema::BOOL, schema::JSON] {
                if let Some(map) = column.as_struct().column_by_name(value_type) {
                    self.add_map((scope, value_type), map, prefix)?;
                }
            }
        }
        Ok(())
    }

    fn add_map(&mut self, source: Source, map: &ArrayRef, prefix: &str) -> Result<()> {
        let map = map.as_map();
        let (Some(&first), Some(&last)) = (map.value_offsets().first(), map.value_offsets().last()) else {
            return Ok(());
        };
        let keys = map.keys().as_string::<i32>();
        let texts = (map.values().data_type() == &DataType::Utf8).then(|| map.values().as_string::<i32>());
        let options = FormatOptions::default();
        let formatter = ArrayFormatter::try_new(map.values().as_ref(), &options)?;
        let of_type = self.keys.entry(source).or_default();
        for index in first.max(0) as usize..last.max(0) as usize {
            let key = keys.value(index);
            if !key.starts_with(prefix) {
                continue;
            }
            if !of_type.contains_key(key) {
                if self.key_count >= MAX_KEYS {
                    self.cut = true;
                    continue;
                }
                self.key_count += 1;
                of_type.insert(key.to_owned(), Seen::default());
            }
            let Some(seen) = of_type.get_mut(key) else { continue };
            seen.spans += 1;
            if map.values().is_null(index) {
                continue;
            }
            match texts {
                Some(texts) => seen.count(texts.value(index)),
                None => seen.count(&formatter.value(index).to_string()),
            }
        }
        Ok(())
    }

    fn most_frequent(self, limit: usize) -> Vec<AttributeKey> {
        let of_type = |((scope, value_type), keys): (Source, HashMap<String, Seen>)| {
            keys.into_iter().map(move |(key, seen)| AttributeKey {
                key,
                scope,
                value_type,
                spans: seen.spans,
                values: seen.top(),
            })
        };
        let mut keys: Vec<AttributeKey> = self.keys.into_iter().flat_map(of_type).collect();
        keys.sort_by(|one, other| {
            let place = |key: &AttributeKey| (std::cmp::Reverse(key.spans), key.key.clone(), key.scope, key.value_type);
            place(one).cmp(&place(other))
        });
        keys.truncate(limit);
        keys
    }
}

impl Seen {
    fn count(&mut self, value: &str) {
        if let Some(count) = self.values.get_mut(value) {
            *count += 1;
        } else if self.values.len() < MAX_VALUES && value.len() <= MAX_VALUE_BYTES {
            self.values.insert(value.to_owned(), 1);
        }
    }

    fn top(self) -> Vec<String> {
        let mut values: Vec<(String, u64)> = self.values.into_iter().collect();
        values.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        values.into_iter().take(TOP_VALUES).map(|(value, _)| value).collect()
    }
}
