//! Which services and operations there are.

use arrow::array::Array;

use crate::answer::Stats;
use crate::engine::Engine;
use crate::error::Result;
use crate::text::{TimeRange, filter, quoted};

/// Names that one answer has at most.
const MAX_NAMES: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub spans: i64,
    pub operations: i64,
    pub errors: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub name: String,
    pub kind: String,
    pub spans: i64,
}

/// A list and how it came about.
#[derive(Debug)]
pub struct Listed<T> {
    pub items: Vec<T>,
    pub stats: Stats,
    pub sql: String,
    /// All of the matching spans were looked at, and nothing was left out.
    pub exact: bool,
}

impl Engine {
    /// The services with a span in the range, by name.
    pub async fn services(&self, range: TimeRange) -> Result<Listed<Service>> {
        let sql = format!(
            "SELECT service_name, count(*) AS spans, count(DISTINCT span_name) AS operations, \
             count(*) FILTER (WHERE status_code = 'error') AS errors FROM spans{} GROUP BY service_name ORDER BY service_name",
            filter(&range.conditions("spans"))
        );
        let answer = self.ask(&self.session().await?, &sql, MAX_NAMES).await?;
        let names = answer.rows.text("service_name")?;
        let (spans, operations) = (answer.rows.int("spans")?, answer.rows.int("operations")?);
        let errors = answer.rows.int("errors")?;
        let service = |row| Service {
            name: names.value(row).to_owned(),
            spans: spans.value(row),
            operations: operations.value(row),
            errors: errors.value(row),
        };
        let items = (0..names.len()).map(service).collect();
        Ok(Listed { items, stats: answer.stats, sql, exact: !answer.truncated })
    }

    /// The operations of a service, or of all, most frequent first.
    pub async fn operations(&self, service: Option<&str>, range: TimeRange) -> Result<Listed<Operation>> {
        let mut conditions = range.conditions("spans");
        conditions.extend(service.map(|service| format!("service_name = {}", quoted(service))));
        let sql = format!(
            "SELECT span_name, kind, count(*) AS spans FROM spans{} GROUP BY span_name, kind \
             ORDER BY spans DESC, span_name, kind",
            filter(&conditions)
        );
        let answer = self.ask(&self.session().await?, &sql, MAX_NAMES).await?;
        let (names, kinds) = (answer.rows.text("span_name")?, answer.rows.text("kind")?);
        let spans = answer.rows.int("spans")?;
        let operation = |row| Operation {
            name: names.value(row).to_owned(),
            kind: kinds.value(row).to_owned(),
            spans: spans.value(row),
        };
        let items = (0..names.len()).map(operation).collect();
        Ok(Listed { items, stats: answer.stats, sql, exact: !answer.truncated })
    }
}
