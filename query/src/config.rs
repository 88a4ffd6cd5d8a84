//! Limits of the query service.

use std::time::Duration;

/// Every limit that a query meets. `validate` names the first setting that cannot work.
#[derive(Debug, Clone)]
pub struct Config {
    /// Memory that all running queries share; a query that would need more fails.
    pub memory_limit_bytes: usize,
    /// From the arrival of a query to its last row.
    pub time_limit: Duration,
    /// Rows of an answer whose request names no limit.
    pub default_row_limit: usize,
    /// What a request may ask for at most.
    pub max_row_limit: usize,
    /// Queries at once; more are refused as unavailable.
    pub max_concurrent_queries: usize,
    /// Length of a query's text.
    pub max_query_bytes: usize,
    /// Parentheses, subqueries and the like within each other.
    pub max_nesting: usize,
    /// Operators of a query: a chain of them becomes a tree as deep as the chain is long. Conditions count once,
    /// arithmetic, joins and unions four times, since planning a chain of those takes cubic time. Members of an IN list
    /// do not count.
    pub max_operators: usize,
    /// Nodes of a plan, its subqueries included.
    pub max_plan_nodes: usize,
    /// Threads of the query service, and partitions of a plan.
    pub threads: usize,
    /// Parquet footers and indexes kept in memory.
    pub metadata_cache_bytes: usize,
    /// What is kept in memory of where traces are in segments; 0 for nothing.
    pub trace_index_bytes: usize,
    /// Dictionaries of segments' columns kept in memory; 0 for none.
    pub dictionary_cache_bytes: usize,
    /// Rows that may be among the first ones asked for are picked out of their pages one by one up to so many; more are decoded
    /// page by page.
    pub max_picked_rows: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory_limit_bytes: 1 << 30,
            time_limit: Duration::from_secs(30),
            default_row_limit: 10_000,
            max_row_limit: 1_000_000,
            max_concurrent_queries: 32,
            max_query_bytes: 1 << 20,
            max_nesting: 50,
            max_operators: 2_000,
            max_plan_nodes: 10_000,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            metadata_cache_bytes: 64 << 20,
            trace_index_bytes: 128 << 20,
            dictionary_cache_bytes: 64 << 20,
            max_picked_rows: 16_384,
        }
    }
}

impl Config {
    pub fn validate(&self) -> Result<(), String> {
        let positive = [
            ("memory_limit_bytes", self.memory_limit_bytes),
            ("default_row_limit", self.default_row_limit),
            ("max_row_limit", self.max_row_limit),
            ("max_concurrent_queries", self.max_concurrent_queries),
            ("max_query_bytes", self.max_query_bytes),
            ("max_nesting", self.max_nesting),
            ("max_operators", self.max_operators),
            ("max_plan_nodes", self.max_plan_nodes),
            ("threads", self.threads),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("query.{name} is 0, but must be at least 1"));
        }
        if self.time_limit.is_zero() {
            return Err("query.time_limit is 0, but must be longer".to_owned());
        }
        if self.default_row_limit > self.max_row_limit {
            return Err(format!(
                "query.default_row_limit is {}, above query.max_row_limit of {}",
                self.default_row_limit, self.max_row_limit
            ));
        }
        Ok(())
    }
}
