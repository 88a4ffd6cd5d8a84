//! Values as SQL text: the one place where a value becomes part of a statement.

use storage::model::UnixNanos;

/// Text in quotes. The dialect knows no escapes but the doubled quote.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A pattern for ILIKE that finds `text` anywhere.
pub(crate) fn containing(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    quoted(&pattern)
}

pub(crate) fn micros(micros: i64) -> String {
    format!("to_timestamp_micros({micros})")
}

/// `start >= time`, exact to the nanosecond; the first term is the one that prunes.
pub(crate) fn from(table: &str, time: UnixNanos) -> String {
    let (start, remainder) = (micros(time.micros()), time.remainder());
    if remainder == 0 {
        return format!("{table}.start_time >= {start}");
    }
    format!("{table}.start_time >= {start} AND ({table}.start_time > {start} OR {table}.start_nanos >= {remainder})")
}

/// `start < time`.
pub(crate) fn before(table: &str, time: UnixNanos) -> String {
    let (start, remainder) = (micros(time.micros()), time.remainder());
    if remainder == 0 {
        return format!("{table}.start_time < {start}");
    }
    format!("{table}.start_time <= {start} AND ({table}.start_time < {start} OR {table}.start_nanos < {remainder})")
}

/// The times that a question is about: `from` included, `to` not; either may be open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    pub from: Option<UnixNanos>,
    pub to: Option<UnixNanos>,
}

impl TimeRange {
    /// Conditions on the start of a table's rows.
    pub(crate) fn conditions(&self, table: &str) -> Vec<String> {
        self.from.map(|time| from(table, time)).into_iter().chain(self.to.map(|time| before(table, time))).collect()
    }
}

/// ` WHERE a AND b`, or nothing.
pub(crate) fn filter(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_patterns_keep_their_text_to_themselves() {
        assert_eq!(quoted("a'; DROP TABLE spans --"), "'a''; DROP TABLE spans --'");
        assert_eq!(quoted("\\'"), "'\\'''");
        assert_eq!(containing("5%_\\'"), "'%5\\%\\_\\\\''%'");
    }
}
