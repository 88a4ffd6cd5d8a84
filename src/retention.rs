//! `spanhouse retention --dry-run`: what would go.

use anyhow::{Context, bail};
use serde_json::Value;
use storage::retention::Expiring;
use storage::{Clock, SystemClock};

use crate::cli::RetentionArgs;
use crate::client::Client;
use crate::config;

pub async fn run(arguments: RetentionArgs) -> anyhow::Result<()> {
    if !arguments.dry_run {
        bail!("say --dry-run: a server keeps its retention by itself, this only says what would go");
    }
    let (expiring, unread) = match &arguments.data {
        Some(data) => {
            let settings = config::retention(arguments.config.as_deref())?;
            if settings == storage::RetentionSettings::default() {
                bail!("no limit is set; name the configuration with --config, or set SPANHOUSE_RETENTION_MAX_AGE");
            }
            let planned = storage::retention::dry_run(data, &settings, SystemClock.now()).await?;
            let expiring = planned.expiring.iter().map(shown).map(serde_json::to_value).collect::<Result<_, _>>()?;
            (expiring, planned.unread.into_iter().map(told).collect())
        }
        None => {
            let answer = Client::new(&arguments.to)?.get("/api/spanhouse/retention").await?;
            let answer: Value = serde_json::from_slice(&answer).context("the server's answer is not JSON")?;
            let list = |name| answer.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
            let unread = list("unread").iter().filter_map(Value::as_str).map(str::to_owned).collect();
            (list("expiring"), unread)
        }
    };
    print!("{}", table(&expiring));
    check(unread)
}

/// What is printed is all that goes only if every segment was read.
fn check(unread: Vec<String>) -> anyhow::Result<()> {
    if unread.is_empty() {
        return Ok(());
    }
    bail!("rules cannot look at some segments, and keep all of them:\n{}", unread.join("\n"))
}

pub fn told(error: storage::Error) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

fn table(expiring: &[Value]) -> String {
    if expiring.is_empty() {
        return "nothing would go\n".to_owned();
    }
    let text = |row: &Value, name: &str| match row.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    let line = |cells: [String; 6]| {
        let [table, date, segments, rows, bytes, why] = cells;
        format!("{table:<14} {date:<10} {segments:>8} {rows:>14} {bytes:>16}  {why}\n")
    };
    let names = ["table", "date", "segments", "rows", "bytes", "why"];
    let mut lines = line(names.map(str::to_owned));
    expiring.iter().for_each(|row| lines.push_str(&line(names.map(|name| text(row, name)))));
    lines
}

/// As the API says it.
pub fn shown(expiring: &Expiring) -> ui::Expiring {
    ui::Expiring {
        table: expiring.table.name().to_owned(),
        date: expiring.date.clone(),
        segments: expiring.segments,
        rows: expiring.rows,
        bytes: expiring.bytes,
        why: expiring.why.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_go_is_a_table() {
        let row =
            json!({"table": "spans", "date": "2026-11-01", "segments": 2, "rows": 7, "bytes": 900, "why": "max_age"});
        let shown = table(&[row]);
        assert!(
            shown.ends_with("spans          2026-11-01        2              7              900  max_age\n"),
            "{shown}"
        );
        assert_eq!(table(&[]), "nothing would go\n");
    }

    #[test]
    fn segments_that_cannot_be_looked_at_are_named_and_the_command_fails() {
        assert!(check(Vec::new()).is_ok());
        let error = storage::Error::Damaged { what: "segment 7".to_owned(), detail: "no footer".to_owned() };
        let said = check(vec![told(error)]).unwrap_err().to_string();
        assert!(said.ends_with(":\nsegment 7 is damaged: no footer"), "{said}");
    }
}
